"""The watchdog: however the job ended, nothing that it started keeps running."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline import child_python_path

#: A job with a child, whose own child leaves the family by a session of its own, as Ray's agents do.
JOB = '''
import subprocess, sys, time
from pipeline.engine.watchdog import watchdog
sleep = "import time; time.sleep(600)"
start = f"""
import subprocess, sys, time
agent = subprocess.Popen([sys.executable, '-c', {sleep!r}], start_new_session=True)
print(agent.pid, flush=True)
time.sleep(1.5)  # long enough for a look of the watchdog, whose start counts too
"""
with watchdog(look=0.2, grace=0.5):
    child = subprocess.Popen([sys.executable, "-c", sleep])
    subprocess.run([sys.executable, "-c", start])
    print(child.pid, flush=True)
    sys.stdin.read()
    child.kill()
'''


def start(folder: Path) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {"PYTHONPATH": child_python_path()}
    return subprocess.Popen([sys.executable, "-c", JOB], **pipes, text=True, env=environment, cwd=folder)


def started_by(job: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that the job started, the watchdog among them."""
    assert job.stdout is not None
    family = [psutil.Process(int(job.stdout.readline())) for _ in range(2)]
    return [*family, *psutil.Process(job.pid).children()]


def is_running(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_nothing_lives_on_after_a_kill_or_the_end(tmp_path: Path) -> None:
    killed, ended = start(tmp_path), start(tmp_path)
    some, others = started_by(killed), started_by(ended)
    assert any("pipeline.engine.watchdog" in " ".join(process.cmdline()) for process in some)
    killed.kill()
    for job in (killed, ended):
        job.communicate("")
    deadline = time.monotonic() + 60
    while any(map(is_running, some + others)):
        assert time.monotonic() < deadline
        time.sleep(0.1)


#: A job that goes on after the block, as an evaluation does that measures costs in processes of its own.
GOES_ON = """
import subprocess, sys, time
import psutil
from pipeline.engine.watchdog import watchdog
with watchdog(look=0.1, grace=0.3):
    (guard,) = psutil.Process().children()
later = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
while guard.is_running() and guard.status() != psutil.STATUS_ZOMBIE and later.poll() is None:
    time.sleep(0.05)
assert later.poll() is None, later.returncode
later.kill()
"""


def test_what_the_job_starts_after_the_block_lives(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": child_python_path()}
    process = subprocess.run([sys.executable, "-c", GOES_ON], env=environment, cwd=tmp_path, timeout=50)
    assert process.returncode == 0
