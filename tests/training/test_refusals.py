"""Bad photographs during training: named once, counted, and above the allowed share training ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.training.data.dataset import Dataset
from pipeline.training.loop import share_unreadable
from pipeline.training.sections import DataConfig
from pipeline.training.settings import TrainConfig
from pipeline.training.worker import UnusableData, Worker
from tests.support.training_data import training_rows, write_parts


def worker(folder: Path, storage: StorageConfig, share: float) -> Worker:
    """A worker with its photographs; the network has no part in this."""
    write_parts(folder, training_rows({"sea": 40}))
    config = TrainConfig(data=DataConfig(photos=str(folder), max_unreadable=share))
    data = Dataset.open(config.data, storage)
    none = cast(Any, None)
    sampler = data.sampler(config.data, 0, 4, 0, 1)
    return Worker(config, none, data, sampler, None, none, none, none, "fp32", 0, None)


def test_bad_rows_are_named_once_and_end_the_run_above_the_share(
    tmp_path: Path, no_storage: StorageConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    output = worker(tmp_path, no_storage, 0.05)
    for _ in range(2):  # met again in the next epoch
        output.newly_unreadable |= {"sea/1", "sea/0"}
        share_unreadable(output)
    message = capsys.readouterr().out.splitlines()
    assert [line.rsplit(" ", 1)[1] for line in message] == ["sea/0", "sea/1"]
    output.newly_unreadable |= {"sea/2"}
    with pytest.raises(
        UnusableData, match=r"at least 3 of 40 .* \(7.5%\) cannot be .* \(5.0%\).* sea/0, sea/1, sea/2"
    ):
        share_unreadable(output)
