"""Check within seconds whether a Ray head listens at an address; Ray itself tries for minutes."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from pipeline.errors import ConfigError, RunError

_PROBE_SECONDS = 5.0
# of addresses without a port; 10001 is that of ray://HOST (Ray's documentation, "Ray Client")
_PORTS = {"ray": 10001, "http": 80, "https": 443}


def check_answers(address: str) -> None:
    """Try for a few seconds to connect.

    Args:
        address: `host:port`, `ray://host[:port]` or `http://host:port`. For an address without host and port
            (`auto`) nothing is tried, because Ray finds the cluster itself.

    Raises:
        ConfigError: the port is not a number. RunError: nothing listens there at present.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError as error:
        raise ConfigError(f"the Ray address {address!r} has a bad port: {error}") from None
    if not parts.hostname or port is None:
        return
    try:
        socket.create_connection((parts.hostname, port), _PROBE_SECONDS).close()
    except OSError as error:
        raise no_answer(address, error) from None


def no_answer(address: str, error: OSError) -> RunError:
    """The error if nothing answers. The head may come back later, so a scheduler may retry."""
    return RunError(
        f"no Ray cluster answers at {address} ({' '.join(str(error).split())}): start its head, or correct "
        "run.address or RAY_ADDRESS"
    )
