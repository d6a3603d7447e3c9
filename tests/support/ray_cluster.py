"""Several Ray nodes on loopback as one cluster; nodes may die and can be restarted."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import psutil

from tests.support.paths import REPO
from tests.support.ray_head import TOKEN, ray_head, started
from tests.support.servers import free_port

_NODE = ("start", "--node-ip-address=127.0.0.1", "--num-cpus=2")


def _ports() -> list[str]:
    return [f"--{name}-port={free_port()}" for name in ("dashboard-agent-listen", "metrics-export")]


class Cluster:
    """A head without CPUs, and `nodes` - 1 worker nodes."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self._folder, self._nodes = folder, nodes
        self._stack = ExitStack()
        self._head: psutil.Process | None = None
        self._workers: list[psutil.Process] = []
        self._number = 0
        self.environment: dict[str, str] = {}

    def __enter__(self) -> Cluster:
        self.mend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def processes(self) -> set[psutil.Process]:
        """All processes of all nodes."""
        nodes = [one for one in (self._head, *self._workers) if one is not None]
        return {child for node in nodes for child in _children(node)}

    def is_of_head(self, process: psutil.Process) -> bool:
        """Whether the process belongs to the head node; the cluster dies with the head."""
        return self._head is not None and process in _children(self._head)

    def mend(self) -> None:
        """Restart what has died: a node, or the whole cluster if its head has died."""
        if self._head is None or not _has(self._head, "gcs_server", "raylet"):
            self._stack.close()
            self._stack, self._workers = ExitStack(), []
            options = ("--num-cpus=0", *_ports())
            address, pid = self._stack.enter_context(ray_head(self._fresh(), *options))
            self._head = psutil.Process(pid)
            self.environment = TOKEN | {"RAY_ADDRESS": address}
        self._workers = [one for one in self._workers if _has(one, "raylet")]
        while len(self._workers) < self._nodes - 1:
            join = [*_NODE, f"--address={self.environment['RAY_ADDRESS']}", *_ports()]
            environment = os.environ | TOKEN | {"PYTHONPATH": str(REPO), "RAY_USAGE_STATS_ENABLED": "0"}
            pid = self._stack.enter_context(started(join, environment, self._fresh() / "node.log"))
            self._workers.append(psutil.Process(pid))

    def _fresh(self) -> Path:
        self._number += 1
        folder = self._folder / f"node-{self._number}"
        folder.mkdir()
        return folder


def _children(node: psutil.Process) -> list[psutil.Process]:
    try:
        return node.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _has(node: psutil.Process, *names: str) -> bool:
    """Whether the node has processes with these names."""
    there = set()
    for child in _children(node):
        try:
            if child.status() != psutil.STATUS_ZOMBIE:
                there.add(child.name())
        except psutil.NoSuchProcess:
            continue
    return {*names} <= there
