"""Input and output can be given with or without their options, before, between and after other options."""

from __future__ import annotations

import pytest

from pipeline.cli.command import JobParser


def parser(many: bool = False) -> JobParser:
    parser = JobParser(config=None)
    parser.add_places(many=many, input="read", output="written")
    parser.add_argument("--limit")
    return parser


@pytest.mark.parametrize(
    "typed",
    [
        "IN OUT",
        "--input IN --output OUT",
        "--input IN OUT",
        "IN --output OUT",
        "--limit 3 IN OUT",
        "IN --limit 3 OUT",
        "IN OUT --limit 3",
    ],
)
def test_every_way_of_typing_them_is_the_same(typed: str) -> None:
    args = parser().parse_args(typed.split())
    assert (args.input, args.output) == ("IN", "OUT")
    assert args.limit == ("3" if "--limit" in typed else None)


def test_the_first_may_be_several() -> None:
    args = parser(many=True).parse_args(["a.tif", "b.tif", "--limit", "3", "c.tif", "OUT"])
    assert (args.input, args.output) == (["a.tif", "b.tif", "c.tif"], "OUT")
    args = parser(many=True).parse_args(["a.tif", "b.tif", "--output", "OUT"])
    assert (args.input, args.output) == (["a.tif", "b.tif"], "OUT")
    assert parser(many=True).parse_args(["a.tif", "OUT"]).input == "a.tif"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("IN", "the following arguments are required: --output"),
        ("", "the following arguments are required: --input, --output"),
        ("IN OUT MORE", "unrecognized arguments: MORE"),
        ("--input IN --output OUT MORE", "unrecognized arguments: MORE"),
        ("IN OUT --nothing x", "unrecognized arguments: --nothing x"),
        ("IN OUT --limti 3", "unrecognized arguments: --limti 3; did you mean --limit?"),
    ],
)
def test_what_is_wrong_is_said(typed: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parser().parse_args(typed.split())
    assert left.value.code == 2
    assert capsys.readouterr().err.rstrip().endswith(words)
