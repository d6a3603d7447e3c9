"""Compare the trainer with a bare torch loop over tensors in memory: how much of the machine it uses."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline import IMPORT_ROOT
from pipeline.benchmark.process_tree import watched
from pipeline.benchmark.results import TrainingRate
from pipeline.benchmark.sample_photographs import photographs
from pipeline.benchmark.task import read_report
from pipeline.benchmark.training_loop import BareLoop
from pipeline.config.loading import load
from pipeline.engine.machine import cores
from pipeline.errors import RunError
from pipeline.photographs.prepare import prepare_photos
from pipeline.photographs.settings import PrepareConfig
from pipeline.training.settings import TrainConfig

TRAINER, BARE = "jobs/train.py", "bare loop"
_CONFIG = IMPORT_ROOT / "configs" / "train" / "faithful.yaml"
_PHOTOGRAPHS = 400
_WARM = 20  # first steps of both, not counted: in them torch allocates memory and chooses kernels
_STEPS = 60
_LOGGED = 10
_RATE = re.compile(r"images_per_s ([0-9.e+-]+) data_wait ([0-9.e+-]+)")


def measure_training(samples: Path, folder: Path, rounds: int) -> list[TrainingRate]:
    """Both in turn, every second round backwards, each with one thread: on one core, and where there are two
    on two, of which the second is left to Ray's processes and to photographs.

    Raises RunError where one fails or prints no rate.
    """
    prepared = _prepared(samples, folder)
    rates = []
    for use, round_ in itertools.product(range(1, min(2, cores()) + 1), range(rounds)):
        for name in (TRAINER, BARE) if round_ % 2 == 0 else (BARE, TRAINER):
            line = f"training on {use} core(s), round {round_ + 1} of {rounds}: {name}"
            print(line, file=sys.stderr, flush=True)
            measured = (
                _trainer(prepared, folder, round_, use) if name == TRAINER else _bare(folder, round_, use)
            )
            rates.append(measured)
    return rates


def _prepared(samples: Path, folder: Path) -> Path:
    """Training photographs in Parquet: gray ones in made-up colours, which do not change the speed."""
    prepared, tinted = folder / "train-photos", folder / "train-tinted"
    if prepared.exists():
        return prepared
    tinted.mkdir(exist_ok=True)
    for index, path in enumerate(sorted(photographs(samples, folder, "512", _PHOTOGRAPHS).iterdir())):
        with Image.open(path) as image:
            gray = np.asarray(image.resize((256, 256)), np.float32)
        tint = 1 + 0.4 * np.sin(index + np.arange(3) + np.linspace(0, 3, 256)[:, None, None])
        colours = np.clip(gray[..., None] * tint, 0, 255).astype(np.uint8)
        Image.fromarray(colours).save(tinted / path.name, "JPEG", quality=95, subsampling=0)
    prepare_photos([str(tinted)], str(prepared), load(PrepareConfig))
    return prepared


def _trainer(prepared: Path, folder: Path, round_: int, use: int) -> TrainingRate:
    settings = {
        "data.photos": prepared, "data.source_weights": "{}", "data.hold_out": "[]",
        "train.storage": folder / "train-runs", "train.name": f"round-{round_}-{_next(folder)}",
        "train.workers": 1,
        "train.steps": _WARM + _STEPS, "train.log_steps": _LOGGED, "train.checkpoint_steps": 10**6,
    }  # fmt: skip
    command = [sys.executable, "jobs/train.py", "--config", str(_CONFIG)]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    log = folder / "train.log"
    trace = watched(command, use, {}, log, IMPORT_ROOT)
    logged = [(float(rate), float(wait)) for rate, wait in _RATE.findall(log.read_text())][_WARM // _LOGGED :]
    if not logged:
        raise RunError(f"jobs/train.py printed no rate; see {log}")
    seconds = sum(1 / rate for rate, _ in logged)
    waited = sum(wait / rate for rate, wait in logged)
    return TrainingRate(
        contender=TRAINER,
        round=round_,
        cores=use,
        images_per_second=len(logged) / seconds,
        data_wait=waited / seconds,
        other_cores=trace.other_cores(),
    )


def _next(folder: Path) -> int:
    """A run of the same name would be resumed, and has no steps left."""
    return sum(1 for _ in (folder / "train-runs").glob("*"))


def _bare(folder: Path, round_: int, use: int) -> TrainingRate:
    config = load(TrainConfig, str(_CONFIG))
    loop = BareLoop(config=config, warm=_WARM, steps=_STEPS)
    log = folder / "bare-loop.log"
    command = [sys.executable, "-m", "pipeline.benchmark.training_loop", loop.model_dump_json()]
    trace = watched(command, use, {"PYTHONPATH": str(IMPORT_ROOT), "OMP_NUM_THREADS": "1"}, log, IMPORT_ROOT)
    seconds = read_report(log).seconds
    assert seconds is not None
    others = trace.other_cores()
    return TrainingRate(
        contender=BARE, round=round_, cores=use, images_per_second=1 / seconds, other_cores=others
    )
