"""Join a Ray cluster or start a local one, and find out which resources it has for this job."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import ray
from ray._private import ray_constants
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # not in its stub; the lock pins Ray
from ray.exceptions import AuthenticationError

from pipeline import child_python_path
from pipeline.engine.address import check_answers, no_answer
from pipeline.engine.machine import KEEP_FREED_MEMORY, cores, is_local
from pipeline.engine.ray_notice import without_level_notice
from pipeline.engine.session_folder import session_folder
from pipeline.engine.token import secure_token
from pipeline.engine.watchdog import watchdog
from pipeline.errors import ConfigError, RunError

# Without these, workers would reach a different S3 server than the driver, or none. Secrets are not included,
# because runtime environments are visible in the dashboard.
FORWARDED = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
)


@contextmanager
def cluster(
    address: str | None,
    workers: int | None,
    *,
    cpus: int | None = None,
    environment: Mapping[str, str] = KEEP_FREED_MEMORY,
    setup_hook: str | None = None,
    worker_output: bool = False,
) -> Iterator[None]:
    """A Ray cluster for the duration of a job: the named one, that of a submitted job, or a local one.

    Args:
        address: of a running cluster; None: the job's own, else a local one is started.
        workers: how many the job needs, each with its own logical CPU; None: one per core.
        cpus: logical CPUs of a local cluster; None: those of the workers, and two for tasks that feed them.
            If workers held all of them, these tasks would starve. There should not be many more, because Ray
            starts an idle process for each, which uses part of a core.
        environment: variables of all workers, beside those in FORWARDED that this process has.
        setup_hook: the name of a function that each worker process calls first.
        worker_output: whether the driver prints what workers print.

    Raises:
        ConfigError: Ray refuses the address. RunError: nothing answers there, or Ray does not start here.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    # Ray's core warns on stderr about bounded restarts, which are intended here; its log files keep the rest.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Usage reports would reveal what an archive does, and cost a process and a second at the start.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    settings: dict[str, Any] = {"log_to_driver": worker_output, "logging_level": logging.ERROR}
    hook = {} if setup_hook is None else {"worker_process_setup_hook": setup_hook}
    variables = {**environment, **{name: os.environ[name] for name in FORWARDED if name in os.environ}}
    with ExitStack() as stack:
        if address:
            _join(address, {"env_vars": variables} | hook, settings)
        else:
            cpus = cpus or max(cores(), workers or 0) + 2
            stack.enter_context(watchdog())
            settings["_temp_dir"] = stack.enter_context(session_folder())
            _start_local(cpus, variables | {"PYTHONPATH": child_python_path()}, hook, settings)
        try:
            yield
        finally:
            ray.shutdown()


def _join(address: str, environment: dict[str, Any], settings: dict[str, Any]) -> None:
    """Connect to the cluster with this runtime environment.

    Raises:
        ConfigError: Ray refuses the address or the token. RunError: nothing answers there.
    """
    check_answers(address)
    _check_token(address)
    try:
        with without_level_notice():
            ray.init(address=address, runtime_env=environment, **settings)
    except ConnectionError as error:
        raise no_answer(address, error) from None
    except (RuntimeError, ValueError) as error:
        raise ConfigError(f"Ray refuses the address {address}: {' '.join(str(error).split())}") from None


def _check_token(address: str) -> None:
    """Raises ConfigError if the head needs another token. Ray would try for 20 s and then report that the
    head does not answer."""
    if "://" in address or ":" not in address:  # Ray Client and `auto` find out for themselves
        return
    try:
        GcsClient(address=address)
    except AuthenticationError:
        raise ConfigError(
            f"the Ray head at {address} refuses the token: RAY_AUTH_TOKEN, or the file that "
            "RAY_AUTH_TOKEN_PATH names (~/.ray/auth_token), must hold its own, with RAY_AUTH_MODE=token"
        ) from None
    except Exception:  # ray.init will meet the same error and report it
        return


def _start_local(
    cpus: int, environment: dict[str, str], hook: dict[str, str], settings: dict[str, Any]
) -> None:
    """Start Ray here. Its processes inherit the environment, and listen on loopback alone.

    A runtime environment would do the same, but Ray starts its idle processes without one and could then not
    use them. Only a setup hook needs one.
    """
    secure_token()
    try:
        with _on_loopback(), _environment(environment), without_level_notice():
            ray.init(
                address="local",
                num_cpus=cpus,
                include_dashboard=False,
                runtime_env=hook or None,
                **settings,
            )
    except Exception as error:  # Ray raises a bare Exception if its processes do not start in time
        reason = " ".join(str(error).split())
        raise RunError(f"Ray did not start on this machine, which may be overloaded ({reason})") from error


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Make a Ray that starts in the block listen only on this machine.

    By default it listens on all interfaces on Linux, and on loopback on macOS, where it must be told that a
    cluster is wanted; 127.0.0.1 as the address of its node is replaced. The constant is read in this process,
    the variable in Ray's own.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        with _environment({ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR: "0"}):
            yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


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


def capacity(address: str | None) -> tuple[int, int]:
    """CPUs and GPUs for workers in the running cluster, which is a local one where neither `address` nor the
    environment names another; there the cores count, not Ray's logical CPUs."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus = cores() if is_local(address) else max(1, int(resources.get("CPU", 1)))
    return cpus, int(resources.get("GPU", 0))
