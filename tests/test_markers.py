"""`make check` starts neither Ray nor a server: a test without the marker cannot start them, in any run."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.run.fork_server import ForkServer
from tests.support import browser, ceph, servers
from tests.support.job_runner import encoded, fill, photograph, shared_head
from tests.support.needs import FIXTURES, NEEDS, NO_RAY
from tests.support.paths import REPO
from tests.support.ray_head import ray_head
from tests.support.turns import turn


def test_make_check_leaves_out_what_needs_ray_or_a_server() -> None:
    (left_out,) = re.findall(
        r"^CHECKED := (.+)$", (REPO / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(left_out.split(" and ")) == {f"not {marker}" for marker in {*NEEDS, "slow"}}


def test_neither_a_head_nor_a_server_starts_here(tmp_path: Path) -> None:
    assert shared_head() == {}
    for start, need in (
        (ray_head(tmp_path), "ray"),
        (servers.moto(), "s3"),
        (ceph.gateway(tmp_path), "s3"),
        (browser.started(), "server"),
    ):
        with pytest.raises(RuntimeError, match=f"lacks the marker '{need}'"), start:
            pass
    assert list(tmp_path.iterdir()) == []


def test_no_socket_listens_here_and_neither_gallery_nor_pool_starts() -> None:
    with pytest.raises(RuntimeError, match="lacks the marker 'server'"):
        socket.create_server(("127.0.0.1", 0))
    with pytest.raises(RuntimeError, match="lacks the marker 'server'"):
        subprocess.run([sys.executable, "-m", "fiat_color", "review", "out", "--serve"])
    with pytest.raises(RuntimeError, match="lacks the marker 'job' or 'ray'"):
        ForkServer()


@pytest.mark.server
def test_a_socket_listens_where_a_marker_allows_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_a_job_that_wants_ray_fails_here(tmp_path: Path, in_process) -> None:
    fill(str(tmp_path / "in"), {"a.jpg": encoded(photograph(1))})
    done = in_process("colorize_bucket", "--input", tmp_path / "in", "--output", tmp_path / "out")
    assert (done.returncode, os.environ["RAY_ADDRESS"]) == (1, NO_RAY)
    assert done.stderr.startswith(f"error: no Ray cluster answers at {NO_RAY}")


@pytest.mark.parametrize("server", ["moto", "folder"])
def test_a_parameter_that_names_a_server_marks_its_test(request: pytest.FixtureRequest, server: str) -> None:
    assert (request.node.get_closest_marker("s3") is not None) == (server in FIXTURES["s3"])


ALONE = """
import sys
from pathlib import Path
from tests.support.turns import turn

print("waiting", flush=True)
with turn(Path(sys.argv[1]), alone=True):
    print("alone", flush=True)
"""


def test_alone_waits_for_the_turns_of_others(tmp_path: Path) -> None:
    with turn(tmp_path, alone=False):
        with turn(tmp_path, alone=False):
            pass
        command = [sys.executable, "-c", ALONE, str(tmp_path)]
        other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPO)
        assert other.stdout is not None
        assert other.stdout.readline() == "waiting\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.5)
    assert other.communicate(timeout=60)[0] == "alone\n"
    assert other.returncode == 0
