"""Names of objects in bags: kept if a manifest can hold them; otherwise a row says so."""

from __future__ import annotations

import csv
import hashlib

import bagit
import pytest

from pipeline.export.bag import fits_manifest
from pipeline.ledger.write import commit_part
from pipeline.storage import open_store
from tests.support.delivered import row


def test_names_that_manifests_must_spell_with_care_are_kept(tmp_path, in_process, no_storage):
    out = open_store(str(tmp_path / "out"), no_storage)
    names = ["50% faded.jpg", "line\nbreak.jpg", "caf\u00e9 *.jpg", " blank.jpg"]
    for name in names:
        out.put(f"images/{name}", name.encode())
    commit_part(out, "digest", "0", [row(name, name.encode()) for name in names])
    to = tmp_path / "bag"
    done = in_process("export", "--output", out.uri, "--format", "bagit", "--to", str(to))
    assert done.returncode == 0, done.stderr
    bagit.Bag(str(to)).validate()
    assert sorted(path.name for path in (to / "data" / "images").iterdir()) == sorted(names)


UNFIT = [
    *(f"a{mark}b.jpg" for mark in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"),
    "a%0D.jpg",  # bagit reads it as a carriage return
    "a\n\n\nb.jpg",  # and decodes two of them
    "blank/no suffix\u00a0",
]


def test_a_name_that_no_manifest_can_hold_costs_the_bag_that_file_alone(tmp_path, in_process, no_storage):
    out, to = open_store(str(tmp_path / "out"), no_storage), tmp_path / "bag"
    names = ["fit.jpg", "a\u200bb\u3000c.jpg", *UNFIT]
    for name in names:
        out.put(f"images/{name}", name.encode())
    commit_part(out, "digest", "0", [row(name, name.encode()) for name in names])
    done = in_process("export", "--output", out.uri, "--format", "bagit", "--to", str(to))
    assert done.returncode == 3
    assert "exported a bag of 2 files" in done.stdout
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"the bag lacks {len(UNFIT)} files whose names a manifest cannot hold")
    assert f"{to}.findings.csv names them" in line
    bag = bagit.Bag(str(to))
    bag.validate()
    assert bag.payload_entries().keys() == {"data/images/fit.jpg", "data/images/a\u200bb\u3000c.jpg"}
    with to.with_name("bag.findings.csv").open(newline="", encoding="utf-8") as file:
        findings = list(csv.DictReader(file))
    assert {one["key"] for one in findings} == {f"images/{name}" for name in UNFIT}
    assert {one["finding"] for one in findings} == {"unfit_name"}


@pytest.mark.parametrize("name", [*UNFIT, "fit.jpg", "50%.jpg", "a\r\n.jpg", "a\u3000b.jpg", "*a .jpg"])
def test_the_check_of_names_agrees_with_the_library(tmp_path, name):
    folder = tmp_path / "bag"
    (folder / "data" / name).parent.mkdir(parents=True)
    (folder / "data" / name).write_bytes(b"a")
    encoded_name = name.replace("\r", "%0D").replace("\n", "%0A")
    digest = hashlib.sha256(b"a").hexdigest()
    (folder / "manifest-sha256.txt").write_bytes(f"{digest}  data/{encoded_name}\n".encode())
    (folder / "bagit.txt").write_text("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")
    try:
        bagit.Bag(str(folder)).validate()
        readable = True
    except bagit.BagError:
        readable = False
    assert fits_manifest(name) == readable
