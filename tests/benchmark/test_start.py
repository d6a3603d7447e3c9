"""The benchmark of the start, on one photograph; its other half needs Ray and is the same code."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.benchmark import start
from pipeline.errors import ConfigError
from tests.support.job_runner import encoded, fill, photograph


@pytest.mark.job
def test_one_photograph_has_a_first_picture_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(start, "ENGINES", ("processes",))
    fill(str(tmp_path / "in"), {f"{i}.jpg": encoded(photograph(i)) for i in range(3)})
    (row,) = start.compare_starts(tmp_path / "in", tmp_path / "work", [1], 1, ["model.side=64"])
    assert (row["images"], row["engine"]) == (1, "processes")
    assert 0 < row["first_picture"] < row["whole"]
    assert row["cpu"] > 0.5
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["start.log"]


def test_no_folder_is_bad_usage(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        start.compare_starts(tmp_path / "none", tmp_path, [1], 1, [])
