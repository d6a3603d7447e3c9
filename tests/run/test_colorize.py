"""What a run checks before anything is started."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import ConfigError
from pipeline.models.weights_location import SHIPPED
from pipeline.models.weights_registry import WeightsRegistry
from pipeline.run.start import ColorizeRequest, run_job
from pipeline.storage.local import LocalStore
from tests.support.job_runner import encoded, fill, photograph


@pytest.mark.parametrize("stated", ["yesterday", "", "9" * 30])
def test_a_source_date_epoch_that_is_no_time_is_bad_usage(tmp_path, monkeypatch, stated):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", stated)
    with pytest.raises(ConfigError, match="SOURCE_DATE_EPOCH"):
        run_job(ColorizeRequest(str(tmp_path / "in"), str(tmp_path / "out"), JobConfig()))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["file", "registry"])
def test_the_driver_reads_the_weights_once(tmp_path: Path, monkeypatch, place: str) -> None:
    """Their method, digest and guides come from one read, though a style must fit them."""
    weights = tmp_path / "champion.safetensors"
    shutil.copy(SHIPPED / "iizuka.safetensors", weights)
    WeightsRegistry(f"{tmp_path}/models/faces").promote(str(weights), previous=None)
    fill(str(tmp_path / "guides"), {"style.jpg": encoded(photograph(1))})
    (tmp_path / "in").mkdir()
    reads: Counter[str] = Counter()
    get = LocalStore.get

    def counted(store: LocalStore, key: str, **options):
        reads[Path(key).suffix] += 1
        return get(store, key, **options)

    monkeypatch.setattr(LocalStore, "get", counted)
    named = str(weights) if place == "file" else f"registry:{tmp_path}/models/faces"
    settings = [f"model.weights={named}", f"model.style={tmp_path}/guides/style.jpg"]
    config = load(JobConfig, None, settings)
    request = ColorizeRequest(str(tmp_path / "in"), str(tmp_path / "out"), config, True, show_config=True)
    assert run_job(request) == 0
    assert reads[".safetensors"] == 1
