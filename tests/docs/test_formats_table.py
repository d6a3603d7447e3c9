"""docs/formats.md says what the decoder, the composition and the encoder do now, and they lose nothing."""

from __future__ import annotations

import pytest

from tests.support.formats_table import Outcome, outcomes, table
from tests.support.paths import REPO

PAGE = REPO / "docs" / "formats.md"


@pytest.fixture(scope="module")
def rows() -> list[Outcome]:
    return outcomes()


@pytest.mark.slow
def test_every_kind_is_coloured_whole_or_says_why_not(rows: list[Outcome]) -> None:
    for row in rows:
        assert row.decoded or row.said, row.name
        assert False not in row.kept.values(), row.name
        if row.decoded:
            assert row.max_delta_l is not None
            assert row.max_delta_l < (0.1 if "16 bits" in row.name else 1.0)


def test_the_page_is_what_the_command_writes(rows: list[Outcome]) -> None:
    messages = [line for line in table(rows).splitlines() if line.startswith("| ")]
    written = PAGE.read_text(encoding="utf-8").splitlines()
    # lossy decoders differ between builds: their lightness may move by the last digits
    assert [line.split("|")[:9] for line in messages] == [
        line.split("|")[:9] for line in written if line.startswith("| ")
    ], "python -m tests.support.formats_table > docs/formats.md"
