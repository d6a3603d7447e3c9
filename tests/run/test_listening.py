"""Nobody on the network can reach a run on this machine: its sockets listen on loopback, or not at all."""

from __future__ import annotations

import ipaddress
import time
from pathlib import Path

import psutil
import pytest

from tests.support.job_runner import FAST, encoded, fill, photograph, started


def listening(job: psutil.Process) -> set[tuple[str, str]]:
    """Process names and addresses of all TCP and UDP sockets of a job's processes that wait for others."""
    found = set()
    for process in [job, *job.children(recursive=True)]:
        try:
            name, sockets = process.name(), process.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
        for each in sockets:
            waits = each.status == psutil.CONN_LISTEN or (each.status == psutil.CONN_NONE and not each.raddr)
            if each.laddr and waits:
                found.add((name, each.laddr.ip))
    return found


def seen_in_a_run(folder: Path, engine: str) -> set[tuple[str, str]]:
    """What listened at any time of a run of its own, looked at until it ends."""
    fill(str(folder / "in"), {f"{i}.jpg": encoded(photograph(i, 64, 48)) for i in range(6)})
    asked = (folder / "in", folder / "out", *FAST, "--set", f"run.engine={engine}")
    found = set[tuple[str, str]]()
    with started(*asked) as job:
        process = psutil.Process(job.pid)
        while job.poll() is None:
            try:
                found |= listening(process)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.2)
        _, stderr = job.communicate(60)
    assert job.returncode == 0, stderr
    return found


def reachable(found: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those that another machine could reach."""
    return {(name, ip) for name, ip in found if not ipaddress.ip_address(unmapped(ip)).is_loopback}


def unmapped(ip: str) -> str:
    """An IPv4 address that a socket of both kinds shows as ::ffff:127.0.0.1."""
    return ip.removeprefix("::ffff:") if "." in ip else ip


@pytest.mark.job
def test_a_pool_of_processes_listens_nowhere(tmp_path: Path) -> None:
    assert seen_in_a_run(tmp_path, "processes") == set()


@pytest.mark.ray
@pytest.mark.first
def test_a_local_ray_listens_on_loopback_alone(tmp_path: Path) -> None:
    found = seen_in_a_run(tmp_path, "ray")
    assert {"gcs_server", "raylet"} <= {name for name, _ in found}
    assert reachable(found) == set()
