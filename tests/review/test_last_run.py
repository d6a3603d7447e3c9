"""Which run is the last, and its settings."""

import json
from pathlib import Path

import pytest

from pipeline.config.job import JobConfig
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.review.last_run import LastRun, last_run, settings_of
from pipeline.storage import Store, open_store

FIRST, SECOND = "20260101T000000Z-0000", "20260102T000000Z-0000"


@pytest.fixture
def out(tmp_path: Path) -> Store:
    out = open_store(str(tmp_path), StorageConfig())
    for run_id, place in ((FIRST, "old"), (SECOND, "new")):
        out.put(f"runs/{run_id}/config.yaml", b"model: {side: 128}\nnotify: {webhook: 'https://a.b/...'}")
        out.put(f"runs/{run_id}/summary.json", json.dumps({"input": place}).encode())
    out.put("runs/20260103T000000Z-0000/config.yaml", b"model: {side: 64}")
    out.put("runs/20260104T000000Z-0000-verify/summary.json", b"{}")
    return out


def test_the_newest_finished_colouring_run(out: Store) -> None:
    assert last_run(out) == LastRun(SECOND, "new")


def test_there_is_none(tmp_path: Path) -> None:
    assert last_run(open_store(str(tmp_path), StorageConfig())) is None


def test_storage_and_webhook_are_those_of_this_job(out: Store) -> None:
    local = JobConfig.model_validate({"storage": {"region": "eu"}, "notify": {"webhook": "https://c.d/e"}})
    settings = settings_of(out, SECOND, local)
    assert (settings.model.side, settings.storage, settings.notify) == (128, local.storage, local.notify)


@pytest.mark.parametrize("data", [b"- no mapping", b"a: [", b"", b"\xff\xfe\xff"])
def test_damaged_settings(out: Store, data: bytes) -> None:
    out.put(f"runs/{SECOND}/config.yaml", data)
    with pytest.raises(ConfigError, match=r"config\.yaml is damaged"):
        settings_of(out, SECOND, JobConfig())


@pytest.mark.parametrize("data", [b"{", b"[]", b"{}", b"\xff"])
def test_no_earlier_run_stands_in_for_a_damaged_one(out: Store, data: bytes) -> None:
    out.put(f"runs/{SECOND}/summary.json", data)
    with pytest.raises(ConfigError, match=r"summary\.json is damaged"):
        last_run(out)
