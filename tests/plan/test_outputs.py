"""The names of results, sources that can have none, and which keys patterns keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.output import DerivativeConfig, OutputConfig
from pipeline.errors import FailureCode
from pipeline.plan.outputs import derivative_key, document_key, output_key, page_key
from pipeline.plan.patterns import Patterns
from pipeline.plan.refusals import find_refusals

#: Few characters, so that suffixes, equal outputs and files that are folders come about often.
part = st.sampled_from(
    [
        "a",
        "b",
        "a.jpg",
        "a.JPG",
        "a.jpg.jpg",
        "a.tif",
        "b.png",
        "page-0001.jpg",
        "pages.tif",
        "..",
        "",
        "x" * 252,
    ]
)
some_keys = st.sets(st.lists(part, min_size=1, max_size=3).map("/".join).filter(bool), max_size=12).map(
    sorted
)
outputs_ = st.builds(
    OutputConfig,
    format=st.sampled_from(["jpeg", "png", "webp", "tiff", "jp2"]),
    suffix=st.sampled_from(["append", "replace", "_color"]),
    derivative=st.sampled_from(["none", "jpeg", "tiff_pyramid"]).map(lambda f: DerivativeConfig(format=f)),
)


@pytest.mark.parametrize(
    ("key", "format", "output"),
    [
        ("a.tif", "jpeg", "images/a.tif.jpg"),
        ("a.jpg", "jpeg", "images/a.jpg"),
        ("deep/er/A.JPEG", "jpeg", "images/deep/er/A.JPEG"),
        ("a.jpe", "jpeg", "images/a.jpe"),
        ("a.jpg", "png", "images/a.jpg.png"),
        ("a.PnG", "png", "images/a.PnG"),
        ("a.webp", "webp", "images/a.webp"),
        ("a.tif", "tiff", "images/a.tif"),
        ("a.TIFF", "tiff", "images/a.TIFF"),
        ("a.jpg", "tiff", "images/a.jpg.tif"),
        ("a.JP2", "jp2", "images/a.JP2"),
        ("a.tif", "jp2", "images/a.tif.jp2"),
        ("noname", "jpeg", "images/noname.jpg"),
    ],
)
def test_output_key(key, format, output):
    assert output_key(key, OutputConfig(format=format)) == output


@pytest.mark.parametrize(
    ("key", "replaced", "with_text"),
    [
        ("a.tif", "images/a.jpg", "images/a_color.jpg"),
        ("deep/er/A.JPEG", "images/deep/er/A.JPEG", "images/deep/er/A_color.JPEG"),
        ("box 3.1911", "images/box 3.1911.jpg", "images/box 3.1911_color.jpg"),
        ("a.tif/b", "images/a.tif/b.jpg", "images/a.tif/b_color.jpg"),
        (".tif", "images/.tif.jpg", "images/.tif_color.jpg"),
        ("a.tar.Png", "images/a.tar.jpg", "images/a.tar_color.jpg"),
    ],
)
def test_output_key_with_another_suffix(key, replaced, with_text):
    assert output_key(key, OutputConfig(suffix="replace")) == replaced
    assert output_key(key, OutputConfig(suffix="_color")) == with_text


def refuse(keys, output=None, finished=()):
    return find_refusals(keys, output or OutputConfig(), np.array([key in finished for key in keys], bool))


@given(keys=some_keys, output=outputs_)
def test_what_is_not_refused_can_stand_in_one_folder(keys, output):
    refused = refuse(keys, output)
    outputs = [output_key(key, output) for i, key in enumerate(keys) if i not in refused and key[-1] != "/"]
    outputs += [key for result in outputs if (key := derivative_key(result, output)) is not None]
    assert len(set(outputs)) == len(outputs)
    folders = {created.rsplit("/", n)[0] for created in outputs for n in range(1, created.count("/") + 1)}
    assert not folders & set(outputs)
    for created in outputs:
        assert not {"", ".", ".."} & set(created.split("/"))
        assert max(len(name.encode()) for name in created.split("/")) <= 255


@given(keys=some_keys, output=outputs_, data=st.data())
def test_a_finished_result_keeps_its_place(keys, output, data):
    good = [key for i, key in enumerate(keys) if i not in refuse(keys, output)]
    later = data.draw(st.sets(st.sampled_from(good))) if good else set()
    refused = {keys[i] for i in refuse(keys, output, finished=later)}
    assert not refused & later  # and what could all stand together before still can
    assert refused == {keys[i] for i in refuse(keys, output)}


def test_of_two_equal_outputs_the_later_key_is_refused():
    refused = refuse(["a.tif", "a.tif.jpg", "b.jpg"])
    assert list(refused) == [1]
    assert refused[1].code is FailureCode.OUTPUT_COLLISION
    assert "'a.tif'" in refused[1].message


def test_of_two_equal_outputs_the_finished_one_stays():
    assert list(refuse(["a.tif", "a.tif.jpg"], finished=["a.tif.jpg"])) == [0]


def test_replaced_suffixes_can_meet_and_then_the_later_key_is_refused():
    refused = refuse(["a.jpg", "a.png", "a.tif", "b.png"], OutputConfig(suffix="replace"))
    assert {i: refusal.code for i, refusal in refused.items()} == dict.fromkeys(
        (1, 2), FailureCode.OUTPUT_COLLISION
    )


@pytest.mark.parametrize(
    ("format", "derivative", "key"),
    [
        ("tiff", "none", None),
        ("tiff", "jpeg", "derivatives/x/a.tif.jpg"),
        ("tiff", "tiff_pyramid", "derivatives/x/a.tif"),
        ("jpeg", "jpeg", "derivatives/x/a.tif.jpg"),
        ("png", "tiff_pyramid", "derivatives/x/a.tif.png.tif"),
    ],
)
def test_derivative_key(format, derivative, key):
    output = OutputConfig(format=format, derivative=DerivativeConfig(format=derivative))
    assert derivative_key(output_key("x/a.tif", output), output) == key


def test_a_derivative_cannot_be_the_folder_of_others():
    output = OutputConfig(format="tiff", derivative=DerivativeConfig(format="jpeg"))
    keys = ["a.tif", "a.tif.jpg/b.tif"]
    assert refuse(keys, OutputConfig(format="tiff")) == {}
    assert list(refuse(keys, output)) == [1]
    assert list(refuse(keys, output, finished=[keys[1]])) == [0]


def test_a_result_cannot_be_the_folder_of_others():
    keys = ["a.jpg", "a.jpg-x", "a.jpg/1.jpg", "a.jpg/2/3.jpg", "b.jpg"]
    refused = refuse(keys)
    assert sorted(refused) == [2, 3]
    assert {refusal.code for refusal in refused.values()} == {FailureCode.OUTPUT_COLLISION}
    assert sorted(refuse(keys, finished=["a.jpg/2/3.jpg"])) == [0]
    # the suffix can make a file of what was none
    assert sorted(refuse(["a", "a.jpg/b.jpg"])) == [1]


@pytest.mark.parametrize(
    "key", ["/a.jpg", "a//b.jpg", "../a.jpg", "a/./b.jpg", "x" * 252, "a\0.jpg", "k/" * 510]
)
def test_bad_keys(key):
    (refusal,) = refuse([key + "z"]).values()
    assert refusal.code is FailureCode.BAD_KEY


def test_folder_markers_are_never_refused():
    assert refuse(["a/", "a//", "b.jpg/", "b.jpg/c.jpg"]) == {}


@pytest.mark.parametrize(
    ("pattern", "kept", "left_out"),
    [
        ("*.jpg", ["a.jpg", "deep/er/a.jpg"], ["a.JPG", "a.jpg.txt"]),
        ("1920/*", ["1920/a.jpg", "1920/x/a.jpg"], ["11920/a.jpg", "1920"]),
        ("1920/", ["1920/a.jpg", "1920/x/a.jpg"], ["1921/a.jpg"]),
        ("**/*.tif", ["a.tif", "x/a.tif", "x/y/a.tif"], ["a.tiff"]),
        ("x/**/a.jpg", ["x/a.jpg", "x/y/z/a.jpg"], ["a.jpg", "xa.jpg"]),
        ("box-?/[ab]*", ["box-1/a", "box-2/bcd"], ["box-10/a", "box-1/c"]),
        ("[!.]*", ["a.jpg"], [".hidden"]),
        ("[a-c].jpg", ["b.jpg"], ["-.jpg", "d.jpg"]),
        ("a+(b).jpg", ["a+(b).jpg"], ["aab.jpg"]),
        ("a[.jpg", ["a[.jpg"], ["a.jpg"]),
        ("line*", ["line\nbreak"], []),
    ],
)
def test_patterns(pattern, kept, left_out):
    assert [key for key in kept + left_out if Patterns([pattern], []).keep(key)] == kept
    assert [key for key in kept + left_out if Patterns([], [pattern]).keep(key)] == left_out


def test_include_and_exclude_together():
    patterns = Patterns(["a/*", "b/*"], ["*.txt", "b/no/*"])
    kept = ["a/1.jpg", "a/1.txt", "b/2.jpg", "b/no/3.jpg", "c/4.jpg"]
    assert [key for key in kept if patterns.keep(key)] == ["a/1.jpg", "b/2.jpg"]


@pytest.mark.parametrize(
    ("key", "output", "page", "document"),
    [
        ("x/a.tif", {}, "images/x/a.tif/page-0012.jpg", "images/x/a.tif"),
        ("a.TIFF", {"format": "png"}, "images/a.TIFF/page-0012.png", "images/a.TIFF"),
        ("a", {}, "images/a/page-0012.jpg", "images/a/pages.tif"),
        ("a.tif", {"suffix": "replace"}, "images/a.tif/page-0012.jpg", "images/a.tif"),
        ("a.tif", {"suffix": "_color"}, "images/a.tif/page-0012_color.jpg", "images/a_color.tif"),
        ("a.tif", {"format": "tiff"}, "images/a.tif/page-0012.tif", "images/a.tif"),
        ("a", {"format": "tiff"}, "images/a/page-0012.tif", "images/a.tif"),
    ],
)
def test_places_of_pages(key, output, page, document):
    assert page_key(key, 12, OutputConfig(**output)) == page
    assert document_key(key, OutputConfig(**output)) == document


@given(keys=some_keys, output=outputs_)
def test_pages_meet_no_other_result(keys, output):
    refused = refuse(keys, output)
    standing = [key for i, key in enumerate(keys) if i not in refused and key[-1] != "/"]
    outputs = [output_key(key, output) for key in standing]
    pages = [page_key(key, number, output) for key in standing for number in (1, 2)]
    assert len({*outputs, *pages}) == len(outputs) + len(pages)
    if output.format != "tiff":  # else it is the result itself
        documents = [document_key(key, output) for key in standing]
        assert len({*outputs, *documents}) == len(outputs) + len(documents)


def test_what_stands_where_another_has_its_pages_is_refused():
    keys = ["a.tif", "a.tif/other.jpg", "a.tif/page-0002.jpg", "a.tif/pages.tif", "b/page-0001.jpg"]
    refused = refuse(keys)
    assert list(refused) == [2, 3]
    assert refused[2].code is FailureCode.OUTPUT_COLLISION
    assert "'a.tif'" in refused[2].message
    assert list(refuse(keys, finished=[keys[2]])) == [0, 3]
    assert list(refuse(keys, finished=[keys[0], keys[2]])) == [2, 3]
