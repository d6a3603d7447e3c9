"""Ray's record of a run's checkpoints, cut off by a kill, and the files next to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.training import run_folder as run_folder_module
from pipeline.training.checkpoint import STATE_FILE, WEIGHTS_FILE
from pipeline.training.run_folder import SNAPSHOT, RunFolder, run_folder

TORN = '{"ray_version": "2.60.0", "checkpoint_results": [{"version": 0, "che'


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torn record stays torn here: nobody is writing it."""
    monkeypatch.setattr(run_folder_module, "_TORN_SECONDS", 0.3)


def run_with(root: Path, steps: dict[str, int], record: str) -> RunFolder:
    """A run with a checkpoint of each name, and what its record says."""
    for name, step in steps.items():
        folder = root / "small" / name
        folder.mkdir(parents=True)
        torch.save({"step": step}, folder / STATE_FILE)
        save_file({"weight": torch.zeros(1000)}, folder / WEIGHTS_FILE)
    (root / "small" / SNAPSHOT).write_text(record)
    return run_folder(str(root), "small", StorageConfig())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_a_torn_record_is_written_anew_of_what_is_whole(tmp_path: Path) -> None:
    names = [f"checkpoint_{n}" for n in range(5)]
    folder = run_with(tmp_path, {name: 5 * n for n, name in enumerate(names)}, TORN)
    cut(tmp_path / "small" / names[4] / STATE_FILE)
    cut(tmp_path / "small" / names[2] / WEIGHTS_FILE)
    with pytest.raises(ConfigError, match=f"{folder.uri} cannot be resumed or read"):
        folder.newest()
    assert folder.mend_record(keep=2) == [names[1], names[3]]
    assert Path(folder.newest().path).name == names[3]
    assert folder.mend_record(keep=2) == []
    assert sorted(folder.remove_strays()) == [names[0], names[2], names[4]]
    assert folder.checkpoints() == [names[1], names[3]]


def test_without_a_whole_checkpoint_a_torn_record_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    folder = run_with(tmp_path, {"checkpoint_0": 5}, TORN)
    (tmp_path / "small" / "checkpoint_0" / STATE_FILE).unlink()
    with pytest.raises(ConfigError, match=r"damaged and no checkpoint .* delete the folder"):
        folder.mend_record(keep=2)
    assert (tmp_path / "small" / SNAPSHOT).read_text() == TORN


def test_a_record_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    folder = run_folder(str(tmp_path), "small", StorageConfig())
    assert folder.mend_record(keep=2) == []
    assert not (tmp_path / "small").exists()
