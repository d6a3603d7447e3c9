"""What a child process does before its work: limit its resources, and make sure to end with its parent."""

from __future__ import annotations

import math
import os
import resource
import select
import signal
import threading
import warnings
from multiprocessing.connection import Connection

#: What a child sends when it waits for requests.
READY = "ready"


def connect(socket_fd: int, memory: int) -> Connection:
    """Limit this process to `memory` bytes of address space; its connection to the parent, which knows."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C; it then closes the socket
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    threading.stack_size(256 * 1024)
    threading.Thread(target=end_with_parent, args=(socket_fd,), daemon=True).start()
    connection = Connection(socket_fd)
    connection.send(READY)
    return connection


def end_with_parent(socket_fd: int) -> None:
    """For a thread: end the process as soon as the parent's end of the socket closes, even during a decode.

    Not PR_SET_PDEATHSIG: that fires when the *thread* ends that started the child.
    """
    poll = select.poll()
    poll.register(socket_fd, select.POLLRDHUP if hasattr(select, "POLLRDHUP") else select.POLLHUP)
    poll.poll()
    os._exit(0)


def limit_cpu(seconds: float) -> None:
    """SIGXCPU a little after the limit: the kernel's watchdog, should the parent not be there to kill."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    until = usage.ru_utime + usage.ru_stime + seconds + 1
    if math.isfinite(until) and until < 2**31:
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = math.ceil(until)
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard < 0 else min(soft, hard), hard))
