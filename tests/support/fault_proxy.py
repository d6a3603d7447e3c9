"""A proxy on loopback in front of an S3 server that injects the faults of networks and servers.

    with fault_proxy(s3_moto, Fault("flip", method="GET", path=r"/in/.*jpg", chance=0.1)) as proxy:
        run("--input", ..., *proxy.server.settings)
    assert proxy.count("flip") > 0

The first fault that matches a request is applied; without a match it goes through. What happens to the
n-th request for a path depends only on the seed, the path and n, not on the order of the threads.
"""

from __future__ import annotations

import http.client
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

from tests.support.needs import require
from tests.support.servers import S3Server

Kind = Literal["flip", "flip_put", "cut", "shorten", "refuse", "reset", "stall", "lose_answer"]
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect"}
_BACKEND_SECONDS = 60


@dataclass(frozen=True)
class Fault:
    """One rule.

    Args:
        kind: flip: change `bits` of the body, but not its length; flip_put: change those of a request's body,
            before the server gets it; cut: send half of the body, then close the connection; shorten: send a
            complete body of half the length; refuse: answer with `status` and `code` in place of the server;
            reset: reset the connection before the server gets the request; stall: send nothing for `seconds`,
            then go on as usual; lose_answer: let the server do it, then reset the connection.
        method: a regular expression that matches the whole method of the request.
        path: a regular expression, searched in path and query as they are sent.
        chance: probability for a request that matches, 0 to 1.
        times: maximum number of requests with the fault; None: no limit.
        after: number of matching requests that go through before the first one with the fault.
    """

    kind: Kind
    method: str = "GET"
    path: str = ""
    chance: float = 1.0
    times: int | None = None
    after: int = 0
    status: int = 503
    code: str = "SlowDown"
    seconds: float = 5.0
    bits: int = 1


@dataclass
class FaultProxy:
    """A running proxy. `server` is its address; `seen` has all requests, with the fault of each, or None."""

    server: S3Server
    faults: list[Fault]
    seed: int
    seen: list[tuple[str, str, Kind | None]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)
    _fitted: Counter[Fault] = field(default_factory=Counter)
    _done: Counter[Fault] = field(default_factory=Counter)

    def count(self, kind: Kind) -> int:
        """The number of requests with this fault."""
        with self._lock:
            return sum(1 for _, _, fault in self.seen if fault == kind)

    def choose(self, method: str, path: str) -> tuple[Fault | None, random.Random]:
        """The fault for this request, and its random number generator."""
        with self._lock:
            self._asked[method, path] += 1
            nth = self._asked[method, path]
            chances = random.Random(f"{self.seed}/{method}/{path}/{nth}")
            chosen = next((each for each in self.faults if self._befalls(each, method, path, chances)), None)
            self.seen.append((method, path, chosen.kind if chosen else None))
            return chosen, chances

    def _befalls(self, fault: Fault, method: str, path: str, chances: random.Random) -> bool:
        if not re.fullmatch(fault.method, method) or not re.search(fault.path, path):
            return False
        self._fitted[fault] += 1
        over = fault.times is not None and self._done[fault] >= fault.times
        if over or self._fitted[fault] <= fault.after or chances.random() >= fault.chance:
            return False
        self._done[fault] += 1
        return True


@contextmanager
def fault_proxy(backend: S3Server, *faults: Fault, seed: int = 0) -> Iterator[FaultProxy]:
    """A proxy in front of `backend` on a free port, in threads of this process.

    You may change its list `faults` while it runs: an empty list lets everything through.
    """
    require("s3")
    listener = _Listener(("127.0.0.1", 0), _Handler)
    proxy = FaultProxy(S3Server(f"http://127.0.0.1:{listener.server_address[1]}"), list(faults), seed)
    listener.proxy, listener.backend = proxy, urlsplit(backend.endpoint).netloc
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client keeps its connection, and its thread waits for more
    request_queue_size = 128
    proxy: FaultProxy
    backend: str

    def handle_error(self, request: object, client_address: object) -> None:
        """Print nothing: many faults are meant to make a client give up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault, chances = self.server.proxy.choose(self.command, self.path)
        kind = fault.kind if fault else None
        if kind == "reset":
            self._reset()
        elif fault and kind == "refuse":
            self._refuse(fault)
        else:
            self._hand_on(body, fault, chances)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_any

    def _hand_on(self, body: bytes, fault: Fault | None, chances: random.Random) -> None:
        kind = fault.kind if fault else None
        if fault and kind == "stall":
            time.sleep(fault.seconds)
        if fault and kind == "flip_put":
            body = _flipped(body, fault.bits, chances)
        status, headers, answer = self._ask(body)
        if kind == "lose_answer":
            self._reset()
            return
        if fault and kind == "flip":
            answer = _flipped(answer, fault.bits, chances)
        elif kind == "shorten":
            answer = answer[: len(answer) // 2]
        # the answer to a HEAD states a length and has no body
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(answer))
        self._answer(status, headers | {"Content-Length": length}, answer, cut=kind == "cut")

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """The server's own answer. The signature covers the header Host, so it is passed on unchanged."""
        connection = http.client.HTTPConnection(self.server.backend, timeout=_BACKEND_SECONDS)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP_BY_HOP}
            return answer.status, {k.title(): v for k, v in headers.items()}, answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = cut

    def _refuse(self, fault: Fault) -> None:
        text = f"<Error><Code>{fault.code}</Code><Message>{fault.code}</Message></Error>".encode()
        headers = {"Content-Type": "application/xml", "Content-Length": str(len(text))}
        self._answer(fault.status, headers, b"" if self.command == "HEAD" else text)

    def _reset(self) -> None:
        """Close with RST, not FIN: without a byte of an answer and without an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.rfile.close()
        self.wfile.close()
        self.connection.close()

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def _flipped(data: bytes, bits: int, chances: random.Random) -> bytes:
    changed = bytearray(data)
    for position in chances.sample(range(8 * len(data)), min(bits, 8 * len(data))):
        changed[position // 8] ^= 1 << position % 8
    return bytes(changed)
