"""Ray starts this instead of Python for a worker: it asks for a forked worker, and runs as long as that.

See forked_workers.py. Called as

    python -I -S worker_client.py SOCKET SCRIPT [ARGUMENT ...]

It imports only the standard library, but not pathlib, which is slow: it starts once for each worker.
"""

import json
import os
import socket
import sys
import time

deadline = time.monotonic() + 120
while not os.path.exists(sys.argv[1]) and time.monotonic() < deadline:  # noqa: PTH110
    time.sleep(0.05)
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
    server.connect(sys.argv[1])
    ours, theirs = socket.socketpair()
    cwd = os.getcwd()  # noqa: PTH109
    request = {"words": sys.argv[2:], "env": dict(os.environ), "cwd": cwd, "own_group": True}
    data = json.dumps(request).encode()
    socket.send_fds(server, [len(data).to_bytes(8, "little")], [1, 2, theirs.fileno()])
    server.sendall(data)
theirs.close()
answer = ours.makefile().readlines()  # its process id and, when it has ended, its exit status
status = int(answer[1]) if len(answer) == 2 else 1
sys.exit(status if status >= 0 else 128 - status)
