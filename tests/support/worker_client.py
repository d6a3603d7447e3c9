"""Ray starts this in place of its own set-up program, once for each worker: it has the worker forked, and
runs as long as that. For a job without forked workers, it becomes Ray's own program.

See forked_workers.py. It imports only the standard library, but not pathlib, which is slow. Called as

    python worker_client.py SCRIPT [ARGUMENT ...] --serialized-runtime-env-context=JSON
"""

import importlib.util
import json
import os
import socket
import sys
import time

#: In the runtime environment of a job with forked workers: the socket of the process that forks them.
PLACE = "TESTS_WORKERS_FORKED_AT"
_CONTEXT = "--serialized-runtime-env-context="


def main(words: list[str]) -> int:
    """Returns the exit status of the worker."""
    given = [word.removeprefix(_CONTEXT) for word in words if word.startswith(_CONTEXT)]
    variables = json.loads(given[0]).get("env_vars", {}) if given and given[0] else {}
    if PLACE not in variables:
        ray = importlib.util.find_spec("ray")
        assert ray is not None
        (folder,) = ray.submodule_search_locations or ()
        own = f"{folder}/_private/workers/setup_worker.py"
        os.execv(sys.executable, [sys.executable, own, *words])
    os.environ.update(variables)
    return _worker([word for word in words if not word.startswith((_CONTEXT, "--language="))])


def _worker(words: list[str]) -> int:
    place = os.environ[PLACE]
    deadline = time.monotonic() + 120
    while not os.path.exists(place) and time.monotonic() < deadline:  # noqa: PTH110
        time.sleep(0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.connect(place)
        ours, theirs = socket.socketpair()
        cwd = os.getcwd()  # noqa: PTH109
        request = {"words": words, "env": dict(os.environ), "cwd": cwd}
        data = json.dumps(request).encode()
        socket.send_fds(server, [len(data).to_bytes(8, "little")], [1, 2, theirs.fileno()])
        server.sendall(data)
    theirs.close()
    answer = ours.makefile().readlines()  # its process id and, when it has ended, its exit status
    status = int(answer[1]) if len(answer) == 2 else 1
    return status if status >= 0 else 128 - status


def lend() -> None:
    """Let the Ray that this process starts begin its workers with this file."""
    from ray._private import ray_constants  # late: it takes a second

    ray_constants.SETUP_WORKER_FILENAME = __file__  # Ray joins it to its own folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
