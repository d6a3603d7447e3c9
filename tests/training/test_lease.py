"""The sign that a job is at work: another machine's is watched, not believed."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from pipeline.config import StorageConfig
from pipeline.errors import RunError
from pipeline.storage import open_store
from pipeline.training.lease import SIGN, STALE_SECONDS, at_work


def elsewhere(folder: Path, at: float) -> None:
    (folder / SIGN).write_text(json.dumps({"host": "elsewhere", "pid": 1, "at": at}))


def test_another_machine_that_renews_its_sign_is_at_work(tmp_path: Path, capsys) -> None:
    store = open_store(str(tmp_path), StorageConfig())
    elsewhere(tmp_path, time.time())
    beat = threading.Timer(0.5, elsewhere, (tmp_path, time.time() + 1))
    beat.start()
    with pytest.raises(RunError, match="process 1 on elsewhere is at work at"), at_work(store):
        pass
    beat.join()
    assert "watching for a sign of life" in capsys.readouterr().err
    assert (tmp_path / SIGN).exists()


def test_another_machine_that_takes_its_sign_down_has_ended(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), StorageConfig())
    elsewhere(tmp_path, time.time())
    end = threading.Timer(0.5, (tmp_path / SIGN).unlink)
    end.start()
    with at_work(store):
        assert json.loads((tmp_path / SIGN).read_text())["host"] != "elsewhere"
    end.join()
    assert not (tmp_path / SIGN).exists()


def test_another_machine_that_is_silent_is_dead(tmp_path: Path, capsys) -> None:
    store = open_store(str(tmp_path), StorageConfig())
    elsewhere(tmp_path, time.time() - STALE_SECONDS + 1)
    begun = time.monotonic()
    with at_work(store):
        pass
    assert time.monotonic() - begun >= 0.9
    assert "watching for a sign of life" in capsys.readouterr().err
