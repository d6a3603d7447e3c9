"""The tables of codes and exit statuses in docs/troubleshooting.md are those of `pipeline.report.advice`."""

from __future__ import annotations

import re

import pytest

from pipeline.errors import FailureCode, FiatColorError
from pipeline.report.advice import ADVICE, EXIT_MEANING
from pipeline.report.advice_table import exit_table, failure_table, main, with_tables
from tests.support.paths import REPO

PAGE = REPO / "docs" / "troubleshooting.md"


def test_the_page_has_them() -> None:
    """`python -m pipeline.report.advice_table --write docs/troubleshooting.md` writes them."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page


def test_another_table_is_replaced_and_the_rest_stays(tmp_path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    stale = page.replace(f"| {ADVICE[FailureCode.TIMEOUT]} |", "| Have patience. |")
    assert stale != page
    (tmp_path / "page.md").write_text(stale, encoding="utf-8")
    assert main(["--write", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page


def test_a_page_without_the_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="0 tables"):
        with_tables("# A page\n")


def test_every_code_and_every_status_has_a_row(capsys) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == f"{failure_table()}\n\n{exit_table()}\n"
    assert re.findall(r"^\| `(\w+)` \|", failure_table(), re.MULTILINE)[1:] == [*FailureCode]
    statuses = {kind.exit_status for kind in (FiatColorError, *FiatColorError.__subclasses__())}
    assert statuses <= EXIT_MEANING.keys() == {0, 1, 2, 3, 4}


def test_no_message_advises_to_give_up_depth() -> None:
    """The product keeps 16 bits: a master that was made smaller for it is lost."""
    advised = re.compile(r"(convert|develop|save|export|render)\b[^.;\n]{0,60}\b8[- ]bits?\b", re.IGNORECASE)
    pages = [REPO / "README.md", *(REPO / "docs").rglob("*.md"), *(REPO / "pipeline").rglob("*.py")]
    advice = {str(page): advised.findall(page.read_text(encoding="utf-8")) for page in pages}
    assert {page: words for page, words in advice.items() if words} == {}
    assert advised.search("convert it to 8 bits")
    assert advised.search("develop it to an 8-bit TIFF")
