"""Guides as values: round trips, and a digest that changes with everything that changes colours."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.guides.guide import BrushStroke, Guide, GuideObject, Point, parse_points

objects = st.none() | st.builds(GuideObject, st.text(), st.text(), st.text(), st.text())
points = st.builds(
    Point,
    st.floats(0, 1e5),
    st.floats(0, 1e5),
    st.integers(0, 0xFFFFFF).map("#{:06x}".format),
    st.floats(0.1, 100),
)
strokes = st.builds(
    BrushStroke,
    st.none() | st.just("#aabbcc"),
    st.floats(0.001, 0.5),
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=3).map(tuple),
)
guides = st.builds(
    Guide,
    objects,
    st.lists(points, max_size=3).map(tuple),
    objects,
    objects,
    st.none() | st.text(),
    st.none() | st.text(),
    st.integers(0, 4096),
    st.lists(strokes, max_size=2).map(tuple),
    st.none() | st.floats(0, 3),
    objects,
)


@given(guides)
def test_json_there_and_back(guide):
    assert Guide.from_json(guide.to_json()) == guide
    assert Guide.from_json(guide.to_json()).digest() == guide.digest()


@given(st.lists(points, min_size=1, max_size=5))
def test_points_are_read_as_lists_as_mappings_and_as_json(made):
    lists = [list(point) for point in made]
    assert parse_points(lists) == tuple(made)
    assert parse_points([point._asdict() for point in made]) == tuple(made)
    assert parse_points(str(lists).replace("'", '"')) == tuple(made)


def test_the_digest_changes_with_everything_but_the_folder():
    base = Guide(
        GuideObject("a.png", "/x", "a.png", "1"),
        (Point(1, 2, "#aabbcc"),),
        reference=GuideObject("r.jpg", "/x", "r.jpg", "2"),
        side=1024,
    )
    assert base.scribbles
    others = [
        replace(base, scribbles=base.scribbles._replace(etag="9")),
        replace(base, scribbles=base.scribbles._replace(name="b.png")),
        replace(base, points=(Point(1, 2, "#aabbcd"),)),
        replace(base, points=()),
        replace(base, reference=None),
        replace(base, style=base.reference),
        replace(base, method="welsh"),
        replace(base, weights="w"),
        replace(base, side=512),
        replace(base, strokes=(BrushStroke("#aabbcc", 0.1, ((0.5, 0.5),)),)),
        replace(base, strokes=(BrushStroke(None, 0.1, ((0.5, 0.5),)),)),
        replace(base, chroma=0.0),
        replace(base, chroma=1.0),
        replace(base, picture=GuideObject("p.jpg", "/x", "p.jpg", "1")),
        replace(base, picture=GuideObject("p.jpg", "/x", "p.jpg", "2")),
    ]
    assert len({guide.digest() for guide in [base, *others]}) == len(others) + 1
    moved = replace(base, scribbles=base.scribbles._replace(folder="s3://elsewhere"))
    assert moved.digest() == base.digest()


def test_guides_without_strokes_and_factor_have_the_digests_that_ledgers_hold():
    assert Guide().digest() == "ec81aa49dce53fda"
    assert not [name for name in ("strokes", "chroma", "picture") if name in Guide().to_json()]
    reference = GuideObject("r.jpg", "/x", "r.jpg", "2")
    held = Guide(GuideObject("a.png", "/x", "a.png", "1"), (Point(1, 2, "#aabbcc"),), reference, side=512)
    assert replace(held, method="iizuka", weights="w").digest() == "ab53a6a7584fb7b6"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[[1, 2", "not JSON"),
        ({"x": 1}, "not a list"),
        ([[1, 2]], "give [x, y"),
        ([[1, 2, "green"]], "'green': give #rrggbb"),
        ([[1, 2, "#12345"]], "give #rrggbb"),
        ([[1, 2, "#12345g"]], "give #rrggbb"),
        ([[-1, 2, "#123456"]], "(-1, 2) lies outside"),
        ([["1", 2, "#123456"]], "are pixels"),
        ([[1, 2, "#123456", 0]], "radius above 0"),
        ([[float("nan"), 2, "#123456"]], "are pixels"),
        ([{"x": 1, "y": 2, "colour": "#123456"}], "no 'colour'"),
    ],
)
def test_what_is_no_point_is_told(value, said):
    with pytest.raises(ValueError, match=r"\w") as error:
        parse_points(value)
    assert said in str(error.value)
