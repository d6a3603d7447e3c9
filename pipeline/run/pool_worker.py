"""The program of the fork server, `python -m pipeline.run.pool_worker SOCKET`, and of its workers.

It imports everything that a worker needs, which takes seconds and hundreds of MB, and then forks a worker for
each descriptor that it receives over the socket. So a worker starts in a fraction of a second and shares that
memory. The server has only one thread, because a fork copies locks but not the threads that hold them, and it
opens nothing that a fork must not share.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from threading import Thread
from typing import NoReturn

from pipeline.codecs.isolated.limits import end_with_parent
from pipeline.errors import FiatColorError, RunError
from pipeline.run.fork_server import FORK, STOP
from pipeline.run.pool_messages import ImageFinished, ImageStarted, Order, Progress, Ready, RunStopped
from pipeline.shard.fused import FusedWorker, load_kernels


class _Leave(BaseException):
    """Raised in a worker when the driver asks it to end."""


def serve(channel: socket.socket) -> None:
    """Fork and stop workers as the driver says, until it closes the channel or has died."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the driver handles Ctrl-C and a service's stop
        signal.signal(number, signal.SIG_IGN)
    load_kernels()
    gc.freeze()
    workers: set[int] = set()
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        workers = {pid for pid in workers if os.waitpid(pid, os.WNOHANG)[0] == 0}
        match message:
            case b"":
                return
            case code if code == FORK:
                (descriptor,) = descriptors
                if (pid := os.fork()) == 0:
                    channel.close()
                    work_and_exit(descriptor)
                os.close(descriptor)
                workers.add(pid)
            case code if code == STOP:
                for pid in workers:
                    os.kill(pid, signal.SIGTERM)


def work_and_exit(descriptor: int) -> NoReturn:
    """Run a worker. It always ends its process and never returns into the server's code."""
    try:
        signal.signal(signal.SIGTERM, _leave)
        Thread(target=end_with_parent, args=(descriptor,), daemon=True).start()
        with suppress(_Leave, EOFError, ConnectionError):  # the driver no longer waits for it
            _work(Connection(descriptor))
    finally:
        os._exit(0)


def _leave(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Leave


def _work(connection: Connection) -> None:
    """Colour one shard after another. Send an error that must end the run to the driver, which raises it."""
    try:
        job = connection.recv()
        worker = FusedWorker(job, attempts := SentAttempts(connection))
        try:
            connection.send(Ready())
            while True:
                order = attempts.order = connection.recv()
                connection.send(worker.run(order.shard_id, order.items))
        finally:
            worker.close()
    except FiatColorError as error:
        connection.send(RunStopped(error))
    except (EOFError, ConnectionError):
        raise
    except Exception as error:
        connection.send(RunStopped(_defect(error)))


def _defect(error: Exception) -> RunError:
    """Describe an unexpected error in one line, with the line of our code where it occurred."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/pipeline/" in frame.filename]
    file = "pipeline/" + ours[-1].filename.rpartition("/pipeline/")[2]
    line = str(error).partition("\n")[0]
    return RunError(
        f"the run stopped: {type(error).__name__}: {line} ({file}, line {ours[-1].lineno}); committed shards "
        "stay, run again"
    )


class SentAttempts:
    """The attempts as stated in the order; the worker sends what must be remembered to the driver.

    The kernel holds what was sent, so the driver reads it even if this process dies immediately.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.order: Order | None = None

    def begin(self, shard_id: str) -> int:
        assert self.order is not None
        return self.order.attempt

    def lost(self, shard_id: str) -> set[str]:
        assert self.order is not None
        return self.order.lost

    def touch(self, shard_id: str, key: str) -> None:
        self._connection.send(ImageStarted(key))

    def finish(self, shard_id: str, key: str) -> None:
        self._connection.send(ImageFinished(key))

    def progress(self, shard_id: str, done: int, failed: int) -> None:
        self._connection.send(Progress(done, failed))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
