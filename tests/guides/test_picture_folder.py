"""Which picture belongs to which image, by their keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.guides.picture_folder import Pictures
from pipeline.storage import ObjectInfo


def pictures(*keys: str) -> Pictures:
    return Pictures.of(ObjectInfo(key, "etag", 1) for key in keys)


@pytest.mark.parametrize(
    ("key", "there", "meant"),
    [
        ("a/tram.tif", ["a/tram.tif"], ["a/tram.tif"]),
        ("a/tram.tif", ["a/tram.tif.jpg"], ["a/tram.tif.jpg"]),
        ("a/tram.tif", ["a/tram.png"], ["a/tram.png"]),
        ("a/tram.tif", ["a/tram_color.png"], ["a/tram_color.png"]),
        ("a/tram.tif", ["a/tram-Colorized.JPG"], ["a/tram-Colorized.JPG"]),
        ("a/tram.tif", ["a/tram colourised.webp"], ["a/tram colourised.webp"]),
        ("a/tram.tif", ["a/tram.colour.png"], ["a/tram.colour.png"]),
        ("a/tram.tif", ["tram.png", "b/tram.png", "a/tram2.png", "a/tram_bw.png", "a/tram.txt"], []),
        ("a/color.tif", ["a/_color.png"], []),
        # the first kind of which there is one counts
        ("a.tif", ["a.tif", "a.jpg", "a_color.png"], ["a.tif"]),
        ("a.tif", ["a.tif.png", "a.jpg"], ["a.tif.png"]),
        ("a.jpg", ["a.tif", "a.jpg"], ["a.jpg"]),
        # of one kind several are too many
        ("a.tif", ["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        ("a.tif", ["a.jpg", "a_color.png"], ["a.jpg", "a_color.png"]),
        ("a.tif", ["a.tif.jpg", "a.tif.png"], ["a.tif.jpg", "a.tif.png"]),
        # an ending that is the image's own
        ("a_color.tif", ["a_color.png"], ["a_color.png"]),
        ("a_color.tif", ["a.png"], []),
        ("scan", ["scan.png"], ["scan.png"]),
    ],
)
def test_what_is_meant(key: str, there: list[str], meant: list[str]) -> None:
    assert [info.key for info in pictures(*there).candidates(key)] == meant


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
        lambda t: t[-1] not in "/."
    ),
    st.sampled_from(["", "_color", "-Colorized", " colour", ".colorisation"]),
    st.sampled_from([".jpg", ".PNG", ".tiff"]),
)
def test_a_stem_with_any_ending_is_met(stem: str, ending: str, suffix: str) -> None:
    assert [one.key for one in pictures(f"{stem}{ending}{suffix}").candidates(f"{stem}.tif")]
