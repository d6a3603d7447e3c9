"""What a run checks before anything is started."""

from __future__ import annotations

import pytest

from pipeline.config.job import JobConfig
from pipeline.errors import ConfigError
from pipeline.run.colorize import Request, run_job


@pytest.mark.parametrize("stated", ["yesterday", "", "9" * 30])
def test_a_source_date_epoch_that_is_no_time_is_bad_usage(tmp_path, monkeypatch, stated):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", stated)
    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH"):
        run_job(Request(str(tmp_path / "in"), str(tmp_path / "out"), JobConfig()))
    assert not list(tmp_path.iterdir())
