"""S3 servers on loopback: what both kinds have in common, and moto's server; `ceph.py` has the other."""

from __future__ import annotations

import os
import random
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3

from pipeline.config.storage import StorageConfig
from tests.support.needs import require

ACCESS_KEY, SECRET_KEY = "test", "testsecret"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    # nothing of the machine's own AWS set-up may leak in
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class S3Server:
    """A running server; the credentials are `ACCESS_KEY` and `SECRET_KEY`."""

    endpoint: str
    storage_config: StorageConfig = field(init=False)

    def __post_init__(self) -> None:
        self.storage_config = StorageConfig(endpoint=self.endpoint, region="us-east-1", addressing="path")

    @property
    def settings(self) -> tuple[str, ...]:
        """The same configuration as arguments of a job."""
        values = self.storage_config.model_dump(exclude_defaults=True)
        return tuple(arg for key, value in values.items() for arg in ("--set", f"storage.{key}={value}"))

    @cached_property
    def client(self) -> Any:
        """A plain boto3 client, to prepare and inspect without the code under test."""
        return boto3.session.Session(ACCESS_KEY, SECRET_KEY).client(
            "s3", endpoint_url=self.endpoint, region_name="us-east-1"
        )

    def bucket(self, **options: Any) -> str:
        """Make a new bucket, and return its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=name, **options)
        return name


def free_port() -> int:
    """A port that nobody listens on, below those that Linux gives to connections and above those of Ray's
    workers, so that probably nobody else takes it before the server does."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def moto() -> Iterator[S3Server]:
    """moto's S3 server in a thread of this process."""
    require("s3")
    from moto.server import ThreadedMotoServer  # a second, for tests that start no server

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3Server(f"http://{host}:{port}")
    finally:
        server.stop()


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")
