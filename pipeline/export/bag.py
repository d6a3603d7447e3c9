"""Write delivered objects as a bag (BagIt 1.0, RFC 8493) in a local folder.

The payload is copied, never linked, so that later changes to the bag do not change OUT. The folder gets its
final name last, after the bagit library has read all of it again. Until then it is hidden, and because
`bagit.txt` is written last, no program takes it for a bag.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import bagit
import pyarrow as pa

from pipeline.errors import StorageError
from pipeline.storage import ObjectInfo, Store, check_key
from pipeline.storage.base import printable
from pipeline.verify.findings import Finding, findings_table
from pipeline.verify.hashing import OUTPUT_CODES, check, chunks_of

_BAGIT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_MANIFEST = "manifest-sha256.txt"
_AT_A_TIME = 256
# the library also raises what it logs
logging.getLogger("bagit").addHandler(logging.NullHandler())


class Payload(NamedTuple):
    """The payload: number of objects and bytes, and its problems (FINDINGS_SCHEMA)."""

    objects: int
    bytes: int
    findings: pa.Table


@contextmanager
def hidden_folder(target: Path, what: str = "bag") -> Iterator[Path]:
    """A temporary folder next to `target` to build the bag in; removed unless it was renamed.

    Args:
        what: the thing being made, for messages.

    Raises:
        StorageError: it cannot be made, or something in it not be written.
    """
    folder = target.with_name(f".{uuid4().hex}.partial")
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        raise StorageError(f"cannot write the {what}:{where}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pack(
    out: Store, objects: pa.Table, bag: Path, threads: int, progress: Callable[[int, int], None]
) -> Payload:
    """Copy the objects to `data/`, and write the digests of the copied bytes to the manifest.

    Args:
        objects: columns key, sha256 (hex), etag, bytes.
        progress: called with the number of objects copied so far, and of those that differ from the ledger.

    Raises:
        StorageError: the store as a whole cannot be read. OSError: the bag cannot be written.
    """
    (bag / "data").mkdir()
    findings, count, size = list[Finding](), 0, 0
    with (
        (bag / _MANIFEST).open("w", encoding="utf-8", newline="\n") as manifest,
        ThreadPoolExecutor(threads) as pool,
    ):
        for batch in objects.sort_by("key").to_batches(max_chunksize=_AT_A_TIME):
            rows = batch.to_pylist()
            for row, finding in zip(rows, pool.map(lambda row: _copy(out, bag, row), rows), strict=True):
                count, size = count + 1, size + row["bytes"]
                if finding:
                    findings.append(finding)
                manifest.write(_manifest_line(row["sha256"], f"data/{row['key']}"))
                progress(count, len(findings))
    return Payload(count, size, findings_table(findings))


def _copy(out: Store, bag: Path, row: dict[str, Any]) -> Finding | None:
    check_key(row["key"])
    path = bag / "data" / row["key"]
    path.parent.mkdir(parents=True, exist_ok=True)

    info = ObjectInfo(row["key"], row["etag"], row["bytes"])

    def copy_and_hash(store: Store, info: ObjectInfo) -> bytes:
        digest = hashlib.sha256()
        with path.open("xb") as file:
            for chunk in chunks_of(store, info):
                file.write(chunk)
                digest.update(chunk)
        return digest.digest()

    return check(out, OUTPUT_CODES, info, row["sha256"], copy_and_hash)


def finish_bag(bag: Path, target: Path, info: Sequence[tuple[str, str]]) -> None:
    """Write the tag files that make it a bag, validate it with the bagit library, and give it its name.

    Args:
        bag: the folder with the payload, its manifest, and further tag files in `metadata/`.
        info: labels and values of bag-info.txt, in this order.

    Raises:
        StorageError: the bytes read back differ from those written. OSError: it cannot be written.
    """
    lines = (f"{label}: {' '.join(value.split())}\n" for label, value in info)
    (bag / "bag-info.txt").write_text("".join(lines), encoding="utf-8")
    metadata = sorted(path for path in (bag / "metadata").rglob("*") if path.is_file())
    listed = [_manifest_line(hashlib.sha256(_BAGIT).hexdigest(), "bagit.txt")]
    for path in (bag / "bag-info.txt", bag / _MANIFEST, *metadata):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        listed.append(_manifest_line(digest, path.relative_to(bag).as_posix()))
    (bag / "tagmanifest-sha256.txt").write_text("".join(listed), encoding="utf-8")
    (bag / "bagit.txt").write_bytes(_BAGIT)
    try:
        bagit.Bag(str(bag)).validate()
    except bagit.BagError as error:
        reason = printable(str(error))[:300]
        raise StorageError(
            f"the bag was not valid when it was read back, and was removed: {reason}"
        ) from None
    bag.rename(target)


def fits_manifest(key: str) -> bool:
    """Whether the bagit library reads the object's line in the manifest as the same name.

    RFC 8493 percent-encodes only CR, LF and the percent sign (2.1.3). The library ends a line at each
    character at which `str.splitlines` does, U+0085 and U+2028 among them, takes white space off its ends,
    and decodes no more than `_decode_filename` does.
    """
    name = f"data/{key}"
    (line, *more) = _manifest_line("0" * 64, name).splitlines()
    listed = line.strip().split(None, 1)[1]
    return not more and bagit._decode_filename(os.path.normpath(listed.lstrip("*"))) == name


def _manifest_line(digest: str, name: str) -> str:
    """Keep percent signs, as the bagit library does: it does not decode the %25 of RFC 8493, 2.1.3."""
    encoded = name.replace("\r", "%0D").replace("\n", "%0A")
    return f"{digest}  {encoded}\n"
