"""A one-node Ceph object gateway on loopback, for the tests.

A monitor, an in-memory OSD and radosgw run as plain processes on free ports, and are ready in about 12 s. The
monitor's first election fails occasionally, so a start is tried twice. Only processes started here are
stopped.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.needs import require
from tests.support.processes import ends_with_us
from tests.support.servers import ACCESS_KEY, SECRET_KEY, S3Server, free_port

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "monmaptool")
PACKAGES = "radosgw ceph-mon ceph-osd ceph-common"
_READY_SECONDS = 90

_CEPH_CONF = """\
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{mon_port}
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
ms bind msgr2 = false
auth cluster required = none
auth service required = none
auth client required = none
run dir = {root}
log file = {root}/$name.log
admin socket = {root}/$name.asok
pid file = {root}/$name.pid
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 1000
paxos propose interval = 0.02
paxos min wait = 0.01
[mon.a]
mon data = {root}/mon
mon initial members = a
[osd.0]
osd data = {root}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd class load list = *
osd class default list = *
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{rgw_port} tcp_nodelay=1
rgw data = {root}/rgw
rgw dns name = 127.0.0.1
rgw rados pool pg num min = 4
rgw run sync thread = false
rgw thread pool size = 64
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = test-key=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=
"""
#: A key of the gateway's stand-in for a key server.
KMS_KEY = "test-key"


def missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program) is None]


@contextmanager
def gateway(root: Path) -> Iterator[S3Server]:
    """A Ceph object gateway that keeps its state in `root`; everything is stopped at the end.

    Raises:
        RuntimeError: three starts failed; the message has the last lines of their logs.
    """
    require("s3")
    failures: list[str] = []
    for attempt in (1, 2, 3):
        cluster = _Ceph(root / f"start-{attempt}")
        try:
            server = cluster.start()
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            cluster.stop()
            failures.append(f"Ceph did not start: {error}\n{cluster.log_tail()}")
            if attempt == 3:
                raise RuntimeError("\n\n".join(failures)) from error
            continue
        try:
            yield server
        finally:
            cluster.stop()
        return


class _Ceph:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.conf = root / "ceph.conf"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> S3Server:
        """Start monitor, OSD and gateway and create a user, each after the one that it needs."""
        fsid, osd_id = str(uuid.uuid4()), str(uuid.uuid4())
        mon_port, rgw_port = free_port(), free_port()
        for name in ("mon", "osd", "rgw"):
            (self.root / name).mkdir(parents=True)
        self.conf.write_text(
            _CEPH_CONF.format(fsid=fsid, root=self.root, mon_port=mon_port, rgw_port=rgw_port)
        )
        address, monmap = f"v1:127.0.0.1:{mon_port}", str(self.root / "monmap")
        self._run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", address, monmap)
        self._run("ceph-mon", "--id", "a", "--mkfs", "--monmap", monmap)
        self._serve("ceph-mon", "--id", "a")
        self._ask("osd", "new", osd_id)
        self._run("ceph-osd", "--id", "0", "--mkfs", "--osd-uuid", osd_id)
        self._serve("ceph-osd", "--id", "0")
        self._serve("radosgw", "--name", "client.rgw")
        endpoint = f"http://127.0.0.1:{rgw_port}"
        self._wait_for(endpoint)
        user = (
            "--uid",
            "test",
            "--display-name",
            "test",
            "--access-key",
            ACCESS_KEY,
            "--secret-key",
            SECRET_KEY,
        )
        self._run("radosgw-admin", "--name", "client.rgw", "user", "create", *user)
        return S3Server(endpoint)

    def stop(self) -> None:
        """Stop with SIGKILL: the state is discarded, and a monitor takes long to shut down cleanly."""
        for process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait(timeout=30)
        self._processes.clear()

    def log_tail(self) -> str:
        logs = sorted(self.root.glob("*.out"))
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-600:]}" for log in logs)

    def _run(self, program: str, *args: str) -> None:
        conf = {**os.environ, "CEPH_CONF": str(self.conf)}
        with (self.root / f"{program}.out").open("ab") as log:
            subprocess.run(
                [program, *args], stdout=log, stderr=log, env=conf, check=True, timeout=_READY_SECONDS
            )

    def _serve(self, program: str, *args: str) -> None:
        """Start a server in a session of its own, so that Ctrl-C in the tests leaves it to `stop`."""
        with (self.root / f"{program}.out").open("ab") as log:
            command = [*ends_with_us("KILL"), program, "-c", str(self.conf), *args, "-f"]
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))

    def _ask(self, *command: str) -> None:
        """Ask the monitor. Now and then Ceph 16 sends a command before it has the monitor's map, and the
        monitor refuses it. An OSD whose command is refused ends."""
        for left in (4, 3, 2, 1, 0):
            try:
                return self._run("ceph", "--connect-timeout", "20", *command)
            except subprocess.CalledProcessError:
                if not left:
                    raise
        return None

    def _wait_for(self, endpoint: str) -> None:
        deadline, osd_starts = time.monotonic() + _READY_SECONDS, 4
        while time.monotonic() < deadline:
            for dead in [process for process in self._processes if process.poll() is not None]:
                self._processes.remove(dead)
                if "ceph-osd" not in dead.args or not osd_starts:
                    raise RuntimeError(f"{dead.args} ended while starting")
                osd_starts -= 1  # see _ask
                self._serve("ceph-osd", "--id", "0")
            try:
                urllib.request.urlopen(endpoint, timeout=5).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"no answer at {endpoint} within {_READY_SECONDS} s")
