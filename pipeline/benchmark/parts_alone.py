"""Measure the parts of the job separately, in CPU seconds per photograph: one process, one thread.

Run as `python -m pipeline.benchmark.parts_alone TASK`. Every part does all photographs once before it counts.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from pipeline.benchmark.parts import BESIDE, PARTS
from pipeline.benchmark.task import DATE, ScriptReport, Task, read_task
from pipeline.codecs import in_memory
from pipeline.codecs.in_memory import Decoded
from pipeline.models.method_list import open_weights
from pipeline.records import Item
from pipeline.shard.compose import ComposeSettings, compose
from pipeline.shard.finish import provenance_of
from pipeline.shard.job import Job
from pipeline.shard.predictors import open_predictor
from pipeline.shard.put import put_image
from pipeline.storage import open_store

T = TypeVar("T")


class PartsAlone:
    """The parts, as the job runs them, each a function of one photograph."""

    def __init__(self, task: Task) -> None:
        self.config, self.source = task.config(), task.source
        weights = open_weights(self.config.model.method, self.config.model.weights)
        places = (str(task.source), str(task.output), "benchmark", "benchmark")
        self.job = Job(self.config, *places, weights.digest, DATE, weights.card)
        self.predictor = open_predictor(self.job, "cpu")
        self.store = open_store(str(task.output), self.config.storage)

    def decode(self, key: str, data: bytes) -> Decoded:
        """Pixels, lightness and the network's input."""
        model = self.config.model
        limits = in_memory.DecodeLimits(pixels=self.config.limits.pixels, memory=self.config.limits.memory)
        settings = {"model_side": model.side, "color_threshold": model.color_threshold}
        decoded = in_memory.decode(data, key, None, limits, skip_color=model.skip_color, **settings)  # type: ignore[arg-type]
        assert isinstance(decoded, Decoded)
        return decoded

    def network(self, decoded: Decoded) -> Any:
        """Chroma."""
        return self.predictor([decoded.model_L])[0]

    def judged(self, decoded: Decoded) -> Any:
        """Chroma, and the doubt about it."""
        return self.predictor.guesses([decoded.model_L])[0]

    def compose(self, decoded: Decoded, ab: Any) -> Any:
        """Colour pixels."""
        output = self.config.output
        depth = decoded.depth if output.depth == "auto" and output.format in ("tiff", "png", "jp2") else 8
        settings = ComposeSettings(chroma=self.config.model.chroma)
        return compose(decoded.L_u16, ab, decoded.alpha, settings, depth=depth).rgb

    def encode(self, key: str, decoded: Decoded, rgb: Any) -> bytes:
        """The bytes of the result."""
        provenance = provenance_of(self.job, self.job.source_image(Item(key, "", 0)), "0" * 64)
        return in_memory.encode(rgb, decoded, None, self.config.output, provenance, [])

    def checksums(self, source: bytes, result: bytes) -> None:
        """Of source and result."""
        hashlib.sha256(source).hexdigest()
        hashlib.sha256(result).hexdigest()

    def files(self, key: str, result: bytes) -> None:
        """Read the source, write the result."""
        (self.source / key).read_bytes()
        put_image(self.store, f"{Path(key).stem}.{self.config.output.format}", result, "jpeg")


class _Clock:
    """Adds up the CPU seconds of each part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys((*PARTS, *BESIDE), 0.0)

    def of(self, part: str, function: Callable[..., T], *arguments: Any) -> T:
        start = time.process_time()
        result = function(*arguments)
        self.seconds[part] += time.process_time() - start
        return result


def measure(alone: PartsAlone, keys: list[str]) -> dict[str, float]:
    """CPU seconds of each part for all photographs together."""
    clock = _Clock()
    for key in keys:
        data = (alone.source / key).read_bytes()
        decoded = clock.of("decode", alone.decode, key, data)
        ab = clock.of("network", alone.network, decoded)
        clock.of("doubt", alone.judged, decoded)
        rgb = clock.of("compose", alone.compose, decoded, ab)
        result = clock.of("encode", alone.encode, key, decoded, rgb)
        clock.of("checksums", alone.checksums, data, result)
        clock.of("files", alone.files, key, result)
    clock.seconds["doubt"] -= clock.seconds["network"]
    return clock.seconds


def main() -> None:
    """Measure all photographs of the task, after two that do not count, and print the mean."""
    task = read_task()
    torch.set_num_threads(1)
    alone, keys, began = PartsAlone(task), task.keys(), time.time()
    measure(alone, keys[:2])
    parts = {name: seconds / len(keys) for name, seconds in measure(alone, keys).items()}
    print(ScriptReport(began=began, ended=time.time(), parts=parts).model_dump_json())


if __name__ == "__main__":
    main()
