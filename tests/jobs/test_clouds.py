"""Whole jobs from one cloud to the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.ledger.read import list_parts, read_part
from pipeline.storage import Store, open_store
from tests.support.clouds import CloudServer
from tests.support.job_runner import FAST, encoded, photograph

pytestmark = pytest.mark.job


@pytest.mark.parametrize("to", ["gcs", "azure"])
def test_a_job_reads_one_cloud_and_writes_the_other_once(
    to: str, cloud_gcs: CloudServer, cloud_azure: CloudServer, colorize: Callable
) -> None:
    source, target = (cloud_azure, cloud_gcs) if to == "gcs" else (cloud_gcs, cloud_azure)
    scans, out = (place(server) for server in (source, target))
    for number in range(3):
        scans.put(f"1920s/{number}.jpg", encoded(photograph(number)), "image/jpeg")
    scans.put("1920s/notes.txt", b"no photograph", "text/plain")
    done = colorize("--input", scans.uri, "--output", out.uri, *FAST)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Coloured 3 of 4 files in ") == 1
    parts = [read_part(out, key) for key in list_parts(out)]
    assert sorted(row["status"] for part in parts for row in part.to_pylist()) == [
        "colorized", "colorized", "colorized", "skipped_other"
    ]  # fmt: skip
    images = [info.key for info in out.list("images/")]
    assert images == [f"images/1920s/{number}.jpg" for number in range(3)]
    assert out.get(images[0]).content_type == "image/jpeg"
    again = colorize("--input", scans.uri, "--output", out.uri, *FAST)
    assert again.returncode == 0
    assert "Nothing to do: all 4 files are in the ledger." in again.stdout


def place(server: CloudServer) -> Store:
    return open_store(f"{server.scheme}://{server.bucket()}/archive", server.storage_config)
