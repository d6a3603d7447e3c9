"""The tables of docs/troubleshooting.md, failure codes and exit statuses, generated from `advice`.

`python -m pipeline.report.advice_table` prints them; with `--write docs/troubleshooting.md` it replaces the
tables with the same headings.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.report.advice import ADVICE, EXIT_MEANING


def failure_table() -> str:
    """The table of failure codes in Markdown, without a line break at its end."""
    return _table("`failure_code`", "what to do", {f"`{code}`": advice for code, advice in ADVICE.items()})


def exit_table() -> str:
    """The table of exit statuses in Markdown, without a line break at its end."""
    return _table("exit status", "means", {str(status): text for status, text in EXIT_MEANING.items()})


def with_tables(page: str) -> str:
    """The page with its two tables updated.

    Raises:
        ValueError: it does not have exactly one table with each of these headings.
    """
    for table in (failure_table(), exit_table()):
        head = table.splitlines()[0]
        stale = re.findall(rf"^{re.escape(head)}\n(?:\|.*\n)+", page, re.MULTILINE)
        if len(stale) != 1:
            raise ValueError(f"the page has {len(stale)} tables with the head {head}")
        page = page.replace(stale[0], f"{table}\n")
    return page


def _table(left: str, right: str, rows: Mapping[str, str]) -> str:
    lines = [f"| {left} | {right} |", "|---|---|", *(f"| {key} | {text} |" for key, text in rows.items())]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Print the tables, or write them into a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="a Markdown page that has both tables")
    page = parser.parse_args(argv).write
    if page is None:
        print(f"{failure_table()}\n\n{exit_table()}")
    else:
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
