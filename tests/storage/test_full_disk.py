"""Disks that refuse writes: one line with cause and remedy. Existing files stay; nothing is left over."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import AccessDenied, StorageError
from pipeline.storage import open_store, unusable
from pipeline.storage.lease import hold_lease
from tests.support.disks import make_read_only, small_disk

AGAIN = "and run the same command again"


def refused(store, size: int) -> str:
    """The line of the error that each way to write this object raises."""
    lines = set()
    for put in (store.put, store.put_if_absent):
        with pytest.raises(StorageError) as error:
            put("images/b.jpg", bytes(size))
        lines.add(str(error.value))
    (line,) = lines
    assert [info.key for info in store.list()] == ["images/a.jpg"]
    assert not list(store.root.rglob("*.tmp"))
    return line


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """No file of this process may grow longer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_and_one_that_is_read_only(tmp_path, no_storage):
    with small_disk(tmp_path / "disk", 64) as disk:
        store = open_store(str(disk), no_storage)
        store.put("images/a.jpg", b"1")
        cause = f"No space left on device; free space on its disk {AGAIN}"
        assert refused(store, 2**20) == f"cannot write {disk}/images/b.jpg: {cause}"
        make_read_only(disk)
        cause = f"Read-only file system; make it writable {AGAIN}"
        assert refused(store, 1) == f"cannot write {disk}/images/b.jpg: {cause}"


def fill_up(path: Path) -> None:
    """Write until there is no space."""
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def test_a_lease_ends_though_there_is_no_space_to_say_so(tmp_path, no_storage):
    """The same process may go on at once, as a notebook does."""
    with small_disk(tmp_path / "disk", 64) as disk:
        store = open_store(str(disk), no_storage)
        with hold_lease(store, "lease/"):
            with pytest.raises(OSError, match="No space left"):
                fill_up(disk / "full")
            with pytest.raises(StorageError):
                store.put("images/a.jpg", b"1")
        (disk / "full").unlink()
        with hold_lease(store, "lease/"):
            store.put("images/a.jpg", b"1")


def test_a_limit_on_the_size_of_files(tmp_path, no_storage):
    store = open_store(str(tmp_path), no_storage)
    store.put("images/a.jpg", b"1")
    with longest_file(2**16):
        line = refused(store, 2**20)
    cause = f"File too large; raise the limit on the size of files {AGAIN}"
    assert line == f"cannot write {tmp_path}/images/b.jpg: {cause}"


def test_what_other_libraries_could_not_write_is_worded_alike():
    arrow = OSError(
        "When creating key 'runs/x/' in bucket 'b': AWS Error SLOW_DOWN during PutObject operation: SlowDown"
    )
    line = str(unusable(arrow, "s3://b/runs"))
    assert line.startswith("cannot read or write below s3://b/runs: When creating key")
    assert line.endswith(f"SlowDown; check the storage and its credentials {AGAIN}")
    full = unusable(
        OSError(28, "Error writing bytes to file. Detail: [errno 28] No space left"), "/data/runs"
    )
    assert str(full) == (
        f"cannot read or write below /data/runs: No space left on device; free space on its disk {AGAIN}"
    )
    assert isinstance(unusable(PermissionError(13, "Permission denied"), "/data/runs"), AccessDenied)
