"""The sign that a job is at work: another machine's is watched, not believed."""

from __future__ import annotations

import itertools
import json
import threading
import time
from pathlib import Path

import pytest

from pipeline.config.storage import StorageConfig
from pipeline.errors import RunError
from pipeline.storage import lease, open_store
from pipeline.storage.lease import SIGN, STALE_SECONDS, at_work


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sign of another machine is read ten times as often as in a job."""
    monkeypatch.setattr(lease, "_LOOK_SECONDS", 0.2)


def elsewhere(folder: Path, at: float) -> None:
    """Put whole, as a store does: its reader never meets half a sign."""
    written = folder / "written"
    written.write_text(json.dumps({"host": "elsewhere", "pid": 1, "at": at}))
    written.replace(folder / SIGN)


def test_another_machine_that_renews_its_sign_is_at_work(tmp_path: Path, capsys) -> None:
    store, ended, begun = open_store(str(tmp_path), StorageConfig()), threading.Event(), time.time()

    def beat() -> None:
        for number in itertools.count():
            elsewhere(tmp_path, begun + number)
            if ended.wait(0.05):
                return

    elsewhere(tmp_path, begun)
    alive = threading.Thread(target=beat)
    alive.start()
    with pytest.raises(RunError, match="process 1 on elsewhere is at work at"), at_work(store):
        pass
    ended.set()
    alive.join()
    assert "watching for a sign of life" in capsys.readouterr().err
    assert (tmp_path / SIGN).exists()


def test_another_machine_that_takes_its_sign_down_has_ended(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), StorageConfig())
    elsewhere(tmp_path, time.time())
    end = threading.Timer(0.3, (tmp_path / SIGN).unlink)
    end.start()
    with at_work(store):
        assert json.loads((tmp_path / SIGN).read_text())["host"] != "elsewhere"
    end.join()
    assert not (tmp_path / SIGN).exists()


def test_another_machine_that_is_silent_is_dead(tmp_path: Path, capsys) -> None:
    store, at = open_store(str(tmp_path), StorageConfig()), time.time() - STALE_SECONDS + 1
    elsewhere(tmp_path, at)
    with at_work(store):
        assert time.time() - at >= STALE_SECONDS
    assert "watching for a sign of life" in capsys.readouterr().err
