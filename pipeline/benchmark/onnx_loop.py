"""Compare the job with a bare onnxruntime loop, using a graph as large as DDColor's smaller one.

`python -m pipeline.benchmark.onnx_loop loop GRAPH SOURCE OUTPUT` is the loop: read, decode, run, encode,
write, one photograph after the other, and nothing else. `worker` in place of `loop` is the job's worker in
this process, without Ray.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline import IMPORT_ROOT
from pipeline.benchmark.contenders import CONTENDERS, OURS, summary
from pipeline.benchmark.process_tree import Trace, Tree, watched
from pipeline.benchmark.sample_photographs import photographs
from pipeline.benchmark.task import DATE, Task
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.models.method_list import open_weights
from pipeline.models.methods.onnx.contract import METADATA_KEY, contract_of
from pipeline.models.methods.onnx.graph import import_onnx
from pipeline.models.methods.onnx.session import Session
from pipeline.plan.plan import make_plan
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from pipeline.shard.open_onnx import pin_onnx

SIDE = 512
_WARM_UP = 2
Stages = Sequence[tuple[int, int, int]]
_STAGES: Stages = ((128, 4, 4), (256, 2, 5), (512, 2, 5), (1024, 2, 4))
"""Channels, stride into the stage, 3 x 3 convolutions in it: 56 million parameters, 46 billion products."""
_CHROMA = 12.0
"""Lab units: what the random graph is scaled to on average, so that the probe finds it plausible."""


def compare_onnx(samples: Path, folder: Path, count: int, overrides: list[str]) -> dict[str, Any]:
    """Colour `count` photographs of 512 x 512 with the loop and with the job, each on one core.

    Seconds are for an image, after start-up: of the graph alone, of the loop, of the job. CPU seconds are of
    all processes; unlike the others they say the same on a busy machine.

    Raises:
        RunError: one of them failed; the message says how. ConfigError: no samples, no Linux, bad overrides.
    """
    load(JobConfig, None, overrides)
    folder.mkdir(parents=True, exist_ok=True)
    graph, source = folder / "heavy.onnx", photographs(samples, folder / "photographs", "512", count)
    parameters = write_heavy(graph)
    environment = {"PYTHONPATH": str(IMPORT_ROOT), "OMP_NUM_THREADS": "1"}
    job_out, log = folder / f"job-{time.time_ns()}", folder / "onnx.log"

    def colored_by(kind: str) -> tuple[Trace, dict[str, float]]:
        out = folder / f"{kind}-{time.time_ns()}"
        module = [sys.executable, "-m", "pipeline.benchmark.onnx_loop"]
        command = [*module, kind, *map(str, (graph, source, out))]
        trace = watched(command, 1, environment, log, IMPORT_ROOT)
        return trace, json.loads(log.read_text().strip().splitlines()[-1])

    (loop, report), (_, worker) = colored_by("loop"), colored_by("worker")
    settings = ["run.workers=1", "run.topology=fused", "report.sample=0", "report.gallery=false", *overrides]
    job_command = [
        sys.executable, str(IMPORT_ROOT / "jobs" / "colorize_bucket.py"), "--weights", str(graph),
        "--input", str(source), "--output", str(job_out), *(w for s in settings for w in ("--set", s)),
    ]  # fmt: skip
    job = watched(job_command, 1, environment, folder / "onnx-job.log", IMPORT_ROOT)
    began, ended = CONTENDERS[OURS].window(Task(source=source, output=job_out, workers=1), log)
    colored = summary(job_out)["counts"]["colorized"]
    job_seconds, job_cpu = (ended - began) / colored, job.cpu_seconds(began, ended) / colored
    sizes = {"parameters": parameters, "side": SIDE, "photographs": count}
    return sizes | {
        "graph_seconds": round(report["graph"], 3),
        "loop_seconds": round(report["loop"], 3),
        "job_seconds": round(job_seconds, 3),
        "job_over_loop": round(job_seconds / report["loop"], 3),
        "loop_cpu_seconds": round(report["cpu"], 3),
        "worker_cpu_seconds": round(worker["cpu"], 3),
        "worker_over_loop_cpu": round(worker["cpu"] / report["cpu"], 3),
        "job_cpu_seconds": round(job_cpu, 3),
        "job_over_loop_cpu": round(job_cpu / report["cpu"], 3),
        "peak_mib": {"loop": round(loop.peak_rss / 2**20), "job": round(job.peak_rss / 2**20)},
        "other_cores": {"loop": round(loop.other_cores(), 2), "job": round(job.other_cores(), 2)},
    }


def write_heavy(path: Path, stages: Stages = _STAGES) -> int:
    """Write the graph with its contract inside: random weights, the work of a real one. Returns its number of
    parameters."""
    onnx, rng, constants, nodes = import_onnx(), np.random.default_rng(0), dict[str, Any](), list[Any]()

    def convolve(x: str, inputs: int, outputs: int, side: int, stride: int) -> str:
        name = f"c{len(nodes)}"
        weight = rng.standard_normal((outputs, inputs, side, side), np.float32)
        constants[name] = weight * np.float32(np.sqrt(2 / (inputs * side * side)))
        pads, start = [(side - stride) // 2 if side > stride else 0] * 4, f"{name}_out"
        nodes.append(onnx.helper.make_node("Conv", [x, name], [start], strides=[stride, stride], pads=pads))
        return start

    x, channels, reduced = "input", 3, 1
    for outputs, stride, convolutions in stages:
        x, reduced = convolve(x, channels, outputs, stride, stride), reduced * stride
        for _ in range(convolutions):
            x = convolve(x, outputs, outputs, 3, 1)
            nodes.append(onnx.helper.make_node("Relu", [x], [f"{x}r"]))
            x = f"{x}r"
        channels = outputs
    x = convolve(x, channels, 2, 1, 1)
    nodes.append(onnx.helper.make_node("Resize", [x, "", "scales"], ["output"], mode="linear"))
    constants["scales"] = np.array([1, 1, reduced, reduced], np.float32)
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "heavy", [value("input", onnx.TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [value("output", onnx.TensorProto.FLOAT, [1, 2, SIDE, SIDE])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    ramp = np.broadcast_to(np.linspace(0, 1, SIDE, dtype=np.float32), (1, 3, SIDE, SIDE))
    raw = Session(model.SerializeToString(), "heavy", "cpu")({"input": np.ascontiguousarray(ramp)}, "output")
    contract = contract_of(
        {
            "name": "heavy", "licence": "none needed", "non_commercial": False, "source": "random numbers",
            "inputs": [{"name": "input", "holds": "gray_rgb_of_L", "range": [0, 1]}],
            "size": {"fit": "stretch", "side": SIDE},
            "output": {"name": "output", "space": "ab", "scale": _CHROMA / float(np.hypot(*raw[0]).mean())},
            "recombine": "lab",
        },
        "heavy",
    )  # fmt: skip
    onnx.helper.set_model_props(model, {METADATA_KEY: contract.model_dump_json(exclude_none=True)})
    path.write_bytes(model.SerializeToString())
    return sum(int(array.size) for array in constants.values())


def color_in_a_loop(graph: Path, source: Path, output: Path) -> dict[str, float]:
    """Mean seconds of an image: of the graph, of all, and CPU of all; the first ones do not count."""
    output.mkdir(exist_ok=True)
    session = Session(graph.read_bytes(), graph.name, "cpu")
    began = began_cpu = in_graph = 0.0
    files = sorted(source.glob("*.jpg"))
    for number, file in enumerate([*files[:_WARM_UP], *files]):
        if number == _WARM_UP:
            began, began_cpu, in_graph = time.perf_counter(), time.process_time(), 0.0
        with Image.open(file) as opened:
            gray = opened.convert("L")
        small = np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32) / 255
        start = time.perf_counter()
        ab = session({"input": np.broadcast_to(small, (1, 3, SIDE, SIDE))}, "output")[0]
        in_graph += time.perf_counter() - start
        # Pillow's own Lab: a and b as signed bytes; lightness is not kept exactly, and chroma is clipped
        planes = [Image.fromarray(np.clip(plane, -127, 127).astype(np.int8).view(np.uint8)) for plane in ab]
        merged = Image.merge("LAB", [gray, *(plane.resize(gray.size) for plane in planes)])
        merged.convert("RGB").save(output / file.name, "JPEG", quality=92, subsampling=0)
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    seconds = {"graph": in_graph, "loop": wall, "cpu": cpu}
    return {name: value / len(files) for name, value in seconds.items()}


def color_in_a_worker(graph: Path, source: Path, output: Path) -> dict[str, float]:
    """Mean CPU seconds of an image, with its decoder: what the job's worker takes when it runs."""
    config, opened = load(JobConfig, None, [f"model.weights={graph}"]), open_weights(None, str(graph))
    assert opened.onnx is not None
    model = pin_onnx(config.model.model_copy(update={"method": opened.method}), opened.onnx)
    config = config.model_copy(update={"model": model})
    job = Job(config, str(source), str(output), "run", "digest", opened.digest, DATE, model=opened.card)
    worker, tree = FusedWorker(job, _FirstAttempts()), Tree(os.getpid())
    shard_worker = worker.shard_worker
    plan = make_plan(shard_worker.reader.source, shard_worker.out, config, "digest", workers=1)
    try:
        before, *_ = tree.read()
        for shard in plan.shards:
            worker.run(shard.shard_id, shard.items)
        after, *_ = tree.read()
    finally:
        shard_worker.close()
    return {"cpu": (after - before) / plan.todo_items}


class _FirstAttempts:
    """No worker is lost here."""

    def begin(self, shard_id: str) -> int:
        return 1

    def touch(self, shard_id: str, key: str) -> None: ...

    def finish(self, shard_id: str, key: str) -> None: ...

    def progress(self, shard_id: str, done: int, failed: int) -> None: ...

    def lost(self, shard_id: str) -> set[str]:
        return set()


KINDS = {"loop": color_in_a_loop, "worker": color_in_a_worker}

if __name__ == "__main__":
    print(json.dumps(KINDS[sys.argv[1]](*map(Path, sys.argv[2:5]))))
