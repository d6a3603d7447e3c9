"""How a colouring run uses a cluster or this machine: topology, workers, GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from pipeline.config.job import JobConfig
from pipeline.engine.machine import is_local
from pipeline.errors import ConfigError
from pipeline.models.base import resolve_precision
from pipeline.models.methods.onnx import OnnxColorizer


@dataclass(frozen=True)
class Layout:
    """How the job uses the cluster; `gpus` counts only those that it uses.

    `threads`: cores of each worker. `engine`: starts the workers and gives them shards."""

    topology: Literal["fused", "staged"]
    workers: int
    gpus: int
    precision: str
    threads: int = 1
    engine: Literal["ray", "processes"] = "ray"


class Resources(NamedTuple):
    """Numbers of CPUs and GPUs."""

    cpus: int
    gpus: int


def occupied(layout: Layout, address: str | None) -> Resources:
    """The resources that the run holds. Fused: the CPUs of its workers. Staged: all CPUs of the cluster,
    because its tasks take all free ones. Call this at the end of the work, when an autoscaling cluster has
    grown."""
    from pipeline.engine.cluster import capacity  # Ray is imported late: a run may do without it

    cpus, _ = capacity(address)
    return Resources(layout.workers * layout.threads if layout.topology == "fused" else cpus, layout.gpus)


def choose_layout(config: JobConfig) -> Layout:
    """Choose topology and worker count for the running cluster: staged with GPUs, fused with CPUs only.

    Raises ConfigError if `run` asks for GPUs that a local cluster does not have.
    """
    from pipeline.engine.cluster import capacity

    cpus, gpus = capacity(config.run.address)
    if is_local(config.run.address) and (config.run.gpus or 0) > gpus:
        raise ConfigError(
            f"run.gpus={config.run.gpus}, but this machine has {gpus or 'no'} GPU{'s' * (gpus > 1)} that Ray "
            "can use: lower it, leave it out, or name a cluster in run.address"
        )
    return layout_for(config, cpus, gpus)


def layout_for(config: JobConfig, cpus: int, gpus: int) -> Layout:
    """The layout for this many CPUs and GPUs. A count in `run.gpus` takes precedence, because an autoscaling
    cluster has no GPUs until somebody asks for them.

    Raises ConfigError if a GPU should compose but there is none.
    """
    run, on_gpu = config.run, config.run.compose == "gpu"
    gpus = gpus if run.gpus is None else run.gpus
    if on_gpu and not gpus:
        raise ConfigError(
            "run.compose=gpu, but the cluster has no GPU: leave it out, or set run.gpus for an "
            "autoscaling cluster"
        )
    topology = run.topology if run.topology != "auto" else ("staged" if gpus and not on_gpu else "fused")
    if topology == "fused" and not on_gpu:
        gpus = 0
    # Staged predict actors on CPUs must leave CPUs to the tasks around them; fused actors are alone.
    default = max(cpus, gpus) if topology == "fused" else gpus or max(1, cpus // 2)
    precision = resolve_precision(config.model.precision, "cuda" if gpus else "cpu")
    workers = run.workers or default
    # ONNX weights may take a gigabyte in each worker, so there are fewer workers with several cores each.
    several = config.model.method == OnnxColorizer.method and topology == "fused"
    return Layout(topology, workers, gpus, precision, max(1, cpus // workers) if several else 1)
