"""Ray itself: joining a cluster or starting a local one, and what its resources mean for this job."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # not in its stub; the lock pins Ray
from ray.exceptions import AuthenticationError

from pipeline.config import JobConfig
from pipeline.errors import ConfigError, RunError
from pipeline.flow.address import check_answers, no_answer
from pipeline.flow.notices import without_level_notice
from pipeline.flow.token import secure_token
from pipeline.models.base import resolve_precision

# Without these, an AWS-compatible server that the driver reaches is another one, or none, for the workers.
# Secrets are not among them: runtime environments can be read in the dashboard.
FORWARDED = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
)

# Freed memory is kept for the next image: to get it from the system again page by page took a fifth of the
# network's time. Larger pieces than 32 MiB, which glibc allows no more for, are given back.
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(32 * 2**20), "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20)}


@dataclass(frozen=True)
class Layout:
    """How the job is laid over the cluster; `gpus` that it does not use are not counted."""

    topology: Literal["fused", "staged"]
    workers: int
    gpus: int
    precision: str


@contextmanager
def cluster(address: str | None, workers: int | None) -> Iterator[None]:
    """A Ray cluster for the duration of a job: the one named or the job was submitted to, else a local one.

    Args:
        address: of a running cluster; None: the job's own, else a local one is started.
        workers: how many the job wants, each with a logical CPU of its own; None: one per core.

    Raises:
        ConfigError: Ray refuses the address. RunError: nothing answers there, or Ray does not start here.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    # Ray's core warns on stderr of what is meant here (bounded restarts); its own files keep the rest.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # What an archive does is told to nobody; Ray's reports would also be a process and a second at the start.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    forwarded = _ALLOCATOR | {name: os.environ[name] for name in FORWARDED if name in os.environ}
    if address:
        join(address, {"env_vars": forwarded}, quiet)
    else:
        root = str(Path(__file__).resolve().parents[2])
        inherited = os.environ.get("PYTHONPATH")
        path = root if not inherited else f"{root}{os.pathsep}{inherited}"
        _start_local(max(cores(), workers or 0) + 2, _ALLOCATOR | {"PYTHONPATH": path}, quiet)
    try:
        yield
    finally:
        ray.shutdown()


def join(address: str, environment: dict[str, Any], quiet: dict[str, Any]) -> None:
    """Connect to the cluster with this runtime environment.

    Raises:
        ConfigError: Ray refuses the address or the token. RunError: nothing answers there.
    """
    check_answers(address)
    _check_token(address)
    try:
        with without_level_notice():
            ray.init(address=address, runtime_env=environment, **quiet)
    except ConnectionError as error:
        raise no_answer(address, error) from None
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"Ray refuses the address {address}: {' '.join(str(error).split())}") from None


def _check_token(address: str) -> None:
    """Raises ConfigError where the head wants another token: Ray would try for 20 s and then speak of a head
    that does not answer."""
    if "://" in address or ":" not in address:  # Ray Client and `auto` find out for themselves
        return
    try:
        GcsClient(address=address)
    except AuthenticationError:
        raise ConfigError(
            f"the Ray head at {address} refuses the token: RAY_AUTH_TOKEN, or the file that "
            "RAY_AUTH_TOKEN_PATH names (~/.ray/auth_token), must hold its own, with RAY_AUTH_MODE=token"
        ) from None
    except Exception:  # whatever it is, ray.init meets it next and its error is told
        return


def _start_local(cpus: int, environment: dict[str, str], quiet: dict[str, Any]) -> None:
    """More logical CPUs than cores are wanted: workers that held all of them would starve the tasks that feed
    them. Not many more: Ray starts an idle process for each, and they take part of the cores.

    Its processes inherit the environment. A runtime environment would do the same, but Ray starts its idle
    processes without one, so that none of them could be used.
    """
    secure_token()
    try:
        with _environment(environment), without_level_notice():
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
    except Exception as error:  # Ray raises a bare Exception where its processes are not up in time
        reason = " ".join(str(error).split())
        raise RunError(f"Ray did not start on this machine, is it overloaded? ({reason})") from error


@contextmanager
def _environment(more: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in more}
    os.environ.update(more)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def cores() -> int:
    """Cores this process may use (containers and taskset included)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def capacity(address: str | None) -> tuple[int, int]:
    """CPUs and GPUs for workers in the running cluster, which is a local one where neither `address` nor the
    environment names another; there the cores count, not Ray's logical CPUs."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus = cores() if _is_local(address) else max(1, int(resources.get("CPU", 1)))
    return cpus, int(resources.get("GPU", 0))


def _is_local(address: str | None) -> bool:
    return not (address or os.environ.get("RAY_ADDRESS"))


def held(laid: Layout, address: str | None) -> tuple[int, int]:
    """CPUs and GPUs that the run holds: fused, one CPU a worker; staged, all CPUs of the cluster, for its
    tasks take what is free. Asked at the end of the work, when a cluster that grows has grown."""
    cpus, _ = capacity(address)
    return (laid.workers if laid.topology == "fused" else cpus, laid.gpus)


def layout(config: JobConfig) -> Layout:
    """Topology and worker count for the running cluster: GPUs ask for staged, CPUs alone for fused.

    Raises ConfigError where `run` asks for GPUs that a local cluster does not have and will not get.
    """
    cpus, gpus = capacity(config.run.address)
    if _is_local(config.run.address) and (config.run.gpus or 0) > gpus:
        raise ConfigError(
            f"run.gpus={config.run.gpus}, but this machine has {gpus or 'no'} GPU{'s' * (gpus > 1)} that Ray "
            "can use: lower it, leave it out, or name a cluster in run.address"
        )
    return layout_for(config, cpus, gpus)


def layout_for(config: JobConfig, cpus: int, gpus: int) -> Layout:
    """The layout over so many CPUs and GPUs; those that `run.gpus` names count instead, for a cluster that
    grows on demand has none until somebody asks.

    Raises ConfigError where a GPU is to compose and there is none.
    """
    run, on_gpu = config.run, config.run.compose == "gpu"
    gpus = gpus if run.gpus is None else run.gpus
    if on_gpu and not gpus:
        raise ConfigError(
            "run.compose=gpu, but the cluster has no GPU: leave it out, or set run.gpus for a cluster that "
            "grows on demand"
        )
    topology = run.topology if run.topology != "auto" else ("staged" if gpus and not on_gpu else "fused")
    if topology == "fused" and not on_gpu:
        gpus = 0
    # Staged predict actors on CPUs must leave CPUs to the tasks around them; fused actors are alone.
    default = max(cpus, gpus) if topology == "fused" else gpus or max(1, cpus // 2)
    precision = resolve_precision(config.model.precision, "cuda" if gpus else "cpu")
    return Layout(topology, run.workers or default, gpus, precision)
