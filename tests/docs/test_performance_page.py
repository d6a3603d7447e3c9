"""docs/performance.md is what its command writes from the template and the measured figures next to it."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline.benchmark.page import write_page
from pipeline.benchmark.results import read_results
from tests.support.paths import REPO

PAGE = REPO / "docs" / "performance.md"


def without_plots(page: str) -> str:
    return re.sub(r"\n+", "\n", re.sub(r"^!\[.*\n", "", page, flags=re.MULTILINE))


def test_the_page_is_what_the_command_writes(tmp_path: Path) -> None:
    results = read_results(REPO / "docs" / "performance" / "results.json")
    write_page(results, tmp_path / "performance.md", plots=False)
    written = (tmp_path / "performance.md").read_text(encoding="utf-8")
    assert without_plots(written) == without_plots(PAGE.read_text(encoding="utf-8"))


def test_its_plots_are_there() -> None:
    plots = re.findall(r"^!\[[^\]]+\]\((\S+)\)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(plots) == 3
    assert all((PAGE.parent / plot).is_file() for plot in plots)
