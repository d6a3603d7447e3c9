"""Commands in separate processes that import nothing: they are forked from one that imported everything.

Python's imports take more than half of the time of a small job. A forked command has its own arguments,
folder, environment, output and exit status, like one that a user types. There is one difference: if a library
other than Ray reads environment variables when it is imported, it gets those of the first command.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from enum import Enum
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock

from tests.support import worker_client
from tests.support.needs import until_the_end
from tests.support.paths import REPO

#: What most jobs load, and what the fork must not start: threads.
_MODULES = (
    "ray", "ray.data", "pipeline.run.colorize", "pipeline.run.chain", "pipeline.run.staged",
    "pipeline.run.remote_attempts", "pipeline.run.telemetry", "pipeline.commands.program",
    "pipeline.verify.verification", "pipeline.evaluate.evaluation", "pipeline.training.trainer",
    "pipeline.review.review", "pipeline.retraining.promote",
)  # fmt: skip
WITHOUT_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false", "OMP_NUM_THREADS": "1"}


def run_forked(
    words: Sequence[object], env: dict[str, str], *, cwd: Path | None = None, timeout: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` to its end, like `subprocess.run` with `capture_output` and `text`.

    Args:
        words: a script and its arguments, or `-m`, a module and its arguments.
    """
    with ForkedCommand(words, env, cwd=cwd) as command:
        texts = command.communicate(timeout)
        assert command.returncode is not None
        return subprocess.CompletedProcess(command.args, command.returncode, *texts)


class ForkedCommand:
    """`python WORDS` that runs, like a `subprocess.Popen`; at the block's end it is killed with its group.

    Args:
        words: a script and its arguments, or `-m`, a module and its arguments.
        stdout: an open file for the output; None: `communicate` returns it.
    """

    def __init__(
        self,
        words: Sequence[object],
        env: dict[str, str],
        *,
        cwd: Path | None = None,
        stdout: int | None = None,
    ) -> None:
        self.args = [*map(str, words)]
        self.returncode: int | None = None
        self._asking = Lock()
        self._stack = ExitStack()
        self._files = [self._stack.enter_context(TemporaryFile()) for _ in range(2)]  # noqa: SIM115
        out, err = (file.fileno() for file in self._files)
        ours, theirs = socket.socketpair()
        self._answers = self._stack.enter_context(ours)
        request = {"words": self.args, "env": env, "cwd": str(cwd or Path.cwd())}
        with theirs:
            descriptors = [out, err] if stdout is None else [stdout, stdout]
            _send(_server(env), request, [*descriptors, theirs.fileno()])
        self.pid = int(_line(self._answers))

    def __enter__(self) -> ForkedCommand:
        return self

    def __exit__(self, *error: object) -> None:
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.wait(60)
        self._stack.close()

    def poll(self) -> int | None:
        """The exit status, once it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(1e-6)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The exit status; as of `Popen`, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: it still runs after this many seconds.
        """
        with self._asking:
            if self.returncode is None:
                self._answers.settimeout(timeout)
                try:
                    self.returncode = int(_line(self._answers))
                except TimeoutError:
                    raise subprocess.TimeoutExpired(self.args, timeout) from None
            return self.returncode

    def communicate(self, timeout: float) -> tuple[str, str]:
        """What it wrote to stdout and to stderr, once it has ended.

        Raises:
            subprocess.TimeoutExpired: it still runs after this many seconds.
        """
        self.wait(timeout)
        return self.written()

    def written(self) -> tuple[str, str]:
        """What it has written to stdout and to stderr until now."""
        out, err = (os.pread(file.fileno(), 2**30, 0).decode() for file in self._files)
        return out, err

    def kill(self) -> None:
        """End it at once, it alone."""
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        """Send it a signal, to it alone."""
        os.kill(self.pid, number)


#: Ray reads these when it needs them, its other variables when it is imported.
_READ_LATER = {"RAY_ADDRESS", "RAY_RUNTIME_ENV_HOOK", "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"}


def _server(env: dict[str, str]) -> socket.socket:
    """The channel to this process's server for commands with the same environment variables for Ray."""
    told = {name: value for name, value in env.items() if name.startswith("RAY_") and name not in _READ_LATER}
    same = tuple(sorted(told.items()))
    if same not in _channels:
        _channels[same] = _started(env)
    return _channels[same]


_channels: dict[tuple[tuple[str, str], ...], socket.socket] = {}


def _started(env: dict[str, str]) -> socket.socket:
    ours, theirs = socket.socketpair()
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, cwd=REPO,
            env={**env, **WITHOUT_THREADS, "PYTHONPATH": str(REPO)},
        )  # fmt: skip
    until_the_end.callback(lambda: (ours.close(), server.wait()))
    return ours


def _send(channel: socket.socket, request: dict[str, object], files: list[int]) -> None:
    data = json.dumps(request).encode()
    socket.send_fds(channel, [len(data).to_bytes(8, "little")], files)
    channel.sendall(data)


def _line(channel: socket.socket) -> bytes:
    """Read one line from the channel."""
    line = b""
    while not line.endswith(b"\n"):
        part = channel.recv(1)
        if not part:
            raise ChildProcessError("the process that forks commands, or the command's parent, has died")
        line += part
    return line


def serve(listener: socket.socket) -> None:
    """Fork a command for each connection; each connection brings one request."""
    while True:
        channel, _ = listener.accept()
        with channel:
            if _answer(channel, listener) is Process.COMMAND:
                return


def _serve(channel: socket.socket) -> None:
    """Fork a command for each request, until the tests close the channel or have died."""
    for module in _MODULES:
        __import__(module)
    while _answer(channel, channel) is Process.SERVER:
        pass


class Process(Enum):
    """Which process continues after a request: ours, that of the command at its end, or none."""

    SERVER = 0
    COMMAND = 1
    NONE = 2


def _answer(channel: socket.socket, listened: socket.socket) -> Process:
    """Fork a command for the next request of the channel. The command does not keep the `listened` socket."""
    head, files, _, _ = socket.recv_fds(channel, 8, 3)
    if not head:
        return Process.NONE
    data = b""
    size = int.from_bytes(head, "little")
    while len(data) < size and (part := channel.recv(size - len(data))):
        data += part
    if len(data) == size and os.fork() == 0:
        if os.fork() == 0:  # of a grandchild nobody's `wait` here is needed
            channel.close()
            listened.close()
            _watch(json.loads(data), *files)
            return Process.COMMAND
        os._exit(0)
    if len(data) == size:  # else who asked was killed meanwhile
        os.wait()
    for file in files:
        os.close(file)
    return Process.SERVER


def _watch(request: dict[str, object], out: int, err: int, answer: int) -> None:
    """Fork the command; report its process id and exit status. Returns only in the command, at its end."""
    process = os.fork()
    if process == 0:
        os.close(answer)
        _run(request, out, err)
        return
    with suppress(PermissionError, ProcessLookupError):  # it did so itself, and may have become a program
        os.setpgid(process, process)
    os.write(answer, b"%d\n" % process)
    _, status = os.waitpid(process, 0)
    with suppress(BrokenPipeError):  # who asked has been killed
        os.write(answer, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _run(request: dict, out: int, err: int) -> None:
    """The command: what it raises, SystemExit too, ends this process as it ends any other."""
    os.setpgid(0, 0)  # Ray ends a worker with its group
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    if worker_client.PLACE in os.environ:
        worker_client.lend()
    words: list[str] = request["words"]
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
