"""If Ray cannot start or does not answer, the user soon gets one line about it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.engine import session_folder as session_folder_module
from pipeline.engine.address import check_answers
from pipeline.engine.session_folder import session_folder
from pipeline.errors import ConfigError, RunError
from pipeline.run.layout import layout_for
from tests.support.job_runner import encoded, fill, photograph, run
from tests.support.paths import REPO
from tests.support.servers import free_port

SCRIPT = """
from pipeline.errors import RunError
from pipeline.engine.cluster import cluster
try:
    with cluster(None, 1):
        pass
except RunError as error:
    print(f"{error.exit_status}: {error}")
"""


@pytest.mark.ray
def test_a_ray_that_does_not_start_is_a_run_error(tmp_path: Path) -> None:
    """Its folder for sessions is a file here; in its own process, for Ray reads the variable at import."""
    (tmp_path / "file").write_text("in the way")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True, text=True, cwd=REPO, timeout=240, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "RAY_TMPDIR": str(tmp_path / "file")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1: Ray did not start on this machine")
    assert done.stdout.count("\n") == 1


COUNTS = """
import ray
from pipeline.engine.cluster import cluster
with cluster(None, 1):
    print(ray.get(ray.remote(lambda: 7).remote()))
"""


@pytest.mark.ray
def test_a_long_folder_for_temporary_files_is_still_the_one_that_ray_uses(tmp_path: Path) -> None:
    """Its sockets would have paths of more than the 107 bytes that the system allows."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    before = set(Path("/tmp").glob("ray-*/ray"))
    done = subprocess.run(
        [sys.executable, "-c", COUNTS],
        capture_output=True, text=True, cwd=REPO, timeout=240, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(long)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr
    assert list(long.glob("ray/session_2*/logs"))
    linked = {link for link in set(Path("/tmp").glob("ray-*/ray")) - before if link.is_symlink()}
    assert not [link for link in linked if link.readlink().is_relative_to(tmp_path)]


def test_where_no_short_path_can_be_made_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    monkeypatch.setenv("TMPDIR", str(long))
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(session_folder_module, "_SHORT", tmp_path / "none")
    with pytest.raises(RunError, match=r"set TMPDIR to a folder with a shorter path$"), session_folder():
        pass


@pytest.mark.parametrize("is_long", [False, True])
def test_the_path_that_ray_gets_is_short_enough_for_its_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_long: bool
) -> None:
    long = tmp_path / ("x" * 200)
    monkeypatch.setenv("RAY_TMPDIR", str(long) if is_long else "/tmp")
    with session_folder() as folder:
        assert (folder is not None) == is_long
        base = folder or "/tmp/ray"
        assert len(f"{base}/session_2026-11-28_20-51-34_932414_4194304/sockets/plasma_store".encode()) <= 107
        if folder:
            (Path(folder) / "a").write_text("b")
    assert folder is None or (long / "ray" / "a").read_text() == "b"
    assert folder is None or not Path(folder).parent.exists()


@pytest.mark.parametrize(
    ("form", "way"), [("127.0.0.1:{}", "environment"), ("ray://127.0.0.1:{}", "setting")]
)
def test_a_dead_head_ends_the_job_at_once_and_may_be_tried_again(
    tmp_path: Path, in_process, monkeypatch: pytest.MonkeyPatch, form: str, way: str
) -> None:
    fill(str(tmp_path / "in"), {"a.jpg": encoded(photograph(1))})
    address = form.format(free_port())
    named = ["--set", f"run.address={address}"] if way == "setting" else []
    if way == "environment":
        monkeypatch.setenv("RAY_ADDRESS", address)
    began = time.monotonic()
    done = in_process("colorize_bucket", "--input", tmp_path / "in", "--output", tmp_path / "out", *named)
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"error: no Ray cluster answers at {address} (")
    assert done.stderr.count("\n") == 1
    assert time.monotonic() - began < 60  # Ray itself tries for minutes; imports included


@pytest.mark.server
def test_a_listening_head_passes_and_an_address_of_no_host_is_left_to_ray() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        check_answers(f"127.0.0.1:{server.getsockname()[1]}")
    with pytest.raises(RunError, match="refused"):
        check_answers(f"http://127.0.0.1:{free_port()}")
    check_answers("auto")
    check_answers("local")
    with pytest.raises(ConfigError, match="bad port"):
        check_answers("head:port")


@pytest.mark.parametrize(
    ("overrides", "cpus", "gpus", "expected"),
    [
        ([], 8, 0, ("fused", 8, 0)),
        ([], 8, 2, ("staged", 2, 2)),
        (["run.gpus=0"], 8, 2, ("fused", 8, 0)),
        (["run.gpus=4"], 1, 0, ("staged", 4, 4)),  # a cluster that grows on demand, before it has grown
        (["run.workers=64"], 1, 0, ("fused", 64, 0)),
        (["run.topology=staged"], 8, 0, ("staged", 4, 0)),
        (["run.topology=fused"], 8, 2, ("fused", 8, 0)),  # on the CPUs alone
        (["run.compose=gpu"], 8, 2, ("fused", 8, 2)),
        (["run.compose=gpu", "run.gpus=4"], 1, 0, ("fused", 4, 4)),
    ],
)
def test_the_layout_over_what_the_cluster_has_or_the_run_asks_for(
    overrides: list[str], cpus: int, gpus: int, expected: tuple[str, int, int]
) -> None:
    layout = layout_for(load(JobConfig, None, overrides), cpus, gpus)
    assert (layout.topology, layout.workers, layout.gpus) == expected


def test_few_workers_of_an_onnx_graph_have_several_cores_each() -> None:
    for method, settings, threads in (
        ("onnx", ["run.workers=2"], 4),
        ("onnx", ["run.workers=3"], 2),
        ("onnx", ["run.workers=64"], 1),
        ("onnx", [], 1),
        ("onnx", ["run.topology=staged"], 1),
        ("unet", ["run.workers=2"], 1),
    ):
        layout = layout_for(load(JobConfig, None, [f"model.method={method}", *settings]), 8, 0)
        assert (layout.threads, layout.workers * layout.threads <= 8 or layout.workers > 8) == (threads, True)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["run.compose=gpu"], "the cluster has no GPU: leave it out, or set run.gpus"),
        (["run.compose=gpu", "run.gpus=0"], "the cluster has no GPU"),
        (["run.compose=gpu", "run.topology=staged"], "leave one of them out"),
    ],
)
def test_composing_on_a_gpu_that_is_not_there_is_refused(settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        layout_for(load(JobConfig, None, settings), 8, 0)


@pytest.mark.ray
def test_a_gpu_that_this_machine_does_not_have_is_not_waited_for(tmp_path: Path) -> None:
    fill(str(tmp_path / "in"), {"a.jpg": encoded(photograph(1))})
    done = run("--input", tmp_path / "in", "--output", tmp_path / "out", "--set", "run.gpus=99", own_ray=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: run.gpus=99, but this machine has ")
    assert done.stderr.count("\n") == 1
