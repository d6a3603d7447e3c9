"""The promises of `jobs/export.py`, on a folder and on an S3 server."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import bagit
import pandas as pd
import pytest
from lxml import etree

from jobs.export import main
from pipeline import __version__
from pipeline.config.storage import StorageConfig
from pipeline.ledger.write import commit_part
from pipeline.storage import Store, open_store
from tests.support.delivered import deliver, row
from tests.support.job_runner import encoded, fill, photograph
from tests.support.paths import REPO, SUPPORT

SCHEMA = etree.XMLSchema(etree.parse(SUPPORT / "premis-3-0.xsd"))


class Done(NamedTuple):
    status: int
    stdout: str
    stderr: str


@pytest.fixture
def export(capsys) -> Callable[..., Done]:
    """The job in this process: most of a start goes into imports."""

    def run(*args: str) -> Done:
        return Done(main(list(args)), *capsys.readouterr())

    return run


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path) -> tuple[str, tuple[str, ...], StorageConfig]:
    """A folder or bucket, the job's settings and the storage's."""
    if request.param == "folder":
        return str(tmp_path), (), StorageConfig()
    server = request.getfixturevalue("s3_moto")
    return f"s3://{server.bucket()}", server.settings, server.storage_config


def listed(store: Store) -> dict[str, str]:
    return {info.key: info.etag for info in store.list()}


def test_csv_and_premis_are_written_beside_and_nothing_else_is_touched(place, export):
    root, settings, storage = place
    out, beside = open_store(f"{root}/out", storage), open_store(f"{root}/exports", storage)
    objects, before = deliver(out), listed(out)
    for format, name in (("csv", "ledger.csv"), ("premis", "premis.xml")):
        args = ("--output", out.uri, "--format", format, "--to", f"{beside.uri}/{name}", *settings)
        done = export(*args)
        assert done.status == 0, done.stderr
        assert done.stdout.startswith("exported 4 ")
        again = export(*args)
        assert (again.status, "exists already" in again.stderr) == (2, True)
    assert listed(beside).keys() == {"ledger.csv", "premis.xml"}
    assert listed(out) == before
    assert len(pd.read_csv(io.BytesIO(beside.get("ledger.csv").data))) == 4
    root_element = etree.fromstring(beside.get("premis.xml").data)
    SCHEMA.assertValid(root_element)
    assert len(root_element.findall("{*}object")) == len(objects)


WEB = ("--base", "https://a.b/iiif", "--images", "https://a.b/out", "--sources", "https://a.b/in")


def test_manifests_are_written_once_and_nothing_else_is_touched(place, export):
    root, settings, storage = place
    out, to = open_store(f"{root}/out", storage), open_store(f"{root}/iiif", storage)
    deliver(out, width=30, height=20)
    before = listed(out)
    args = ("--output", out.uri, "--format", "iiif", "--to", to.uri, *WEB, *settings)
    done = export(*args)
    assert done.status == 0, done.stderr
    assert done.stdout.startswith("exported 3 manifests and their collection to ")
    collection = json.loads(to.get("collection.json").data)
    assert [one["label"]["none"] for one in collection["items"]] == [["b.jpg"], ["box 1/a.jpg"], ["c.tif"]]
    assert collection["label"] == {"none": ["out"]}
    names = {one["id"].removeprefix("https://a.b/iiif/") for one in collection["items"]}
    assert listed(to).keys() == {"collection.json", *names}
    assert listed(out) == before
    again = export(*args)
    assert (again.status, "exists already" in again.stderr) == (2, True)


def test_no_manifests_where_an_object_is_gone_or_an_address_missing(tmp_path, export, no_storage):
    out = open_store(str(tmp_path / "out"), no_storage)
    deliver(out, width=30, height=20)
    args = ("--output", out.uri, "--format", "iiif", "--to", str(tmp_path / "iiif"))
    done = export(*args, *WEB[:4])
    assert (done.status, done.stderr) == (
        2,
        "error: IIIF manifests need full addresses: give --sources https://...\n",
    )
    out.delete("images/b.jpg")
    assert export(*args, *WEB).status == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["iiif.findings.csv", "out"]


def test_premis_vouches_for_no_object_that_is_gone(place, export):
    root, settings, storage = place
    out = open_store(f"{root}/out", storage)
    deliver(out)
    out.delete("images/b.jpg")
    done = export("--output", out.uri, "--format", "premis", "--to", f"{root}/premis.xml", *settings)
    assert done.status == 3, done.stderr
    assert "missing: images/b.jpg" in done.stdout
    place = open_store(root, storage)
    assert not place.exists("premis.xml")
    findings = pd.read_csv(io.BytesIO(place.get("premis.xml.findings.csv").data))
    assert list(findings[["key", "finding"]].itertuples(index=False, name=None)) == [
        ("images/b.jpg", "missing")
    ]


def test_a_bag_holds_what_the_ledger_names_and_is_valid(place, export, tmp_path):
    root, settings, storage = place
    out, to = open_store(f"{root}/out", storage), tmp_path / "made" / "bag"
    objects = deliver(out)
    out.put("images/stray.jpg", b"of nobody")
    before = listed(out)
    args = ("--output", out.uri, "--format", "bagit", "--to", str(to), *settings)
    done = export(*args, "--bag-info", "Source-Organization=City Archive")
    assert done.status == 0, done.stderr
    assert "omitted 1 file " in done.stdout
    assert "exported a bag of 4 files" in done.stdout
    bag = bagit.Bag(str(to))
    bag.validate()
    size = sum(map(len, objects.values()))
    assert bag.info["Payload-Oxum"] == f"{size}.4"
    assert bag.info["Source-Organization"] == "City Archive"
    assert bag.payload_entries() == {
        f"data/{key}": {"sha256": hashlib.sha256(data).hexdigest()} for key, data in objects.items()
    }
    assert {key: (to / "data" / key).read_bytes() for key in objects} == objects
    assert all((to / "data" / key).stat().st_nlink == 1 for key in objects)
    assert (to / "metadata/runs/run-1/config.yaml").read_text() == "# of run-1\n"
    assert len(pd.read_csv(to / "metadata" / "ledger.csv")) == 4
    premis = etree.parse(to / "metadata" / "premis.xml")
    SCHEMA.assertValid(premis)
    names = {node.text for node in premis.iterfind(".//{*}originalName")}
    assert names == bag.payload_entries().keys()
    assert [path.name for path in to.parent.iterdir()] == ["bag"]
    assert listed(out) == before
    assert export(*args).status == 2


def test_a_damaged_and_a_missing_object_are_rows_and_there_is_no_bag(place, export, tmp_path):
    root, settings, storage = place
    out, to = open_store(f"{root}/out", storage), tmp_path / "made" / "bag"
    objects = deliver(out)
    flipped = bytearray(objects["images/c.tif"])
    flipped[5000] ^= 1
    out.put("images/c.tif", bytes(flipped))
    out.delete("derivatives/c.tif")
    done = export("--output", out.uri, "--format", "bagit", "--to", str(to), *settings)
    assert done.status == 3, done.stderr
    assert [path.name for path in to.parent.iterdir()] == ["bag.findings.csv"]
    findings = pd.read_csv(to.with_name("bag.findings.csv")).set_index("key")
    assert findings["finding"].to_dict() == {"derivatives/c.tif": "missing", "images/c.tif": "changed"}
    assert findings["expected"]["images/c.tif"] == hashlib.sha256(objects["images/c.tif"]).hexdigest()
    assert findings["found"]["images/c.tif"] == hashlib.sha256(flipped).hexdigest()
    assert "changed: images/c.tif" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("format", ["csv", "premis", "bagit"])
def test_a_damaged_ledger_part_is_one_line_and_nothing_is_exported(tmp_path, export, no_storage, format):
    out = open_store(str(tmp_path / "out"), no_storage)
    deliver(out)
    out.put("ledger/digest-1/part-1.parquet", b"PAR1")
    done = export("--output", out.uri, "--format", format, "--to", str(tmp_path / "to"))
    assert done.status == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: the ledger part ledger/digest-1/part-1.parquet in {out.uri} is damaged (")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_bag_that_cannot_be_written_leaves_nothing_behind(tmp_path, export, no_storage):
    out = open_store(str(tmp_path / "out"), no_storage)
    deliver(out)
    (tmp_path / "file").write_bytes(b"")
    done = export("--output", out.uri, "--format", "bagit", "--to", str(tmp_path / "file" / "bag"))
    assert done.status == 1
    assert done.stderr.startswith("error: cannot write the bag")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


def test_a_file_that_cannot_be_written_is_one_line(tmp_path, export, no_storage):
    out = open_store(str(tmp_path / "out"), no_storage)
    deliver(out)
    (tmp_path / "file").write_bytes(b"")
    for format in ("csv", "premis"):
        done = export("--output", out.uri, "--format", format, "--to", str(tmp_path / "file" / "x"))
        assert done.status == 1
        assert done.stderr.splitlines()[-1].startswith(f"error: cannot write {tmp_path}/file/x")


@pytest.mark.slow
def test_a_terminated_job_leaves_no_half_made_bag(tmp_path, no_storage):
    out = open_store(str(tmp_path / "out"), no_storage)
    names = [f"{i}.jpg" for i in range(1500)]
    for name in names:
        out.put(f"images/{name}", name.encode())
    commit_part(out, "digest", "0", [row(name, name.encode()) for name in names])
    output = tmp_path / "made"
    args = ("--output", out.uri, "--format", "bagit", "--to", str(output / "bag"))
    command = [sys.executable, str(REPO / "jobs" / "export.py"), *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        while job.poll() is None and not list(output.glob(".*.partial/data/images/*")):
            time.sleep(0.01)
        job.terminate()
        _, errors = job.communicate(timeout=60)
    assert job.returncode == 1
    assert errors.splitlines()[-1] == "error: interrupted; nothing was exported: run it again"
    assert "Traceback" not in errors
    assert list(output.iterdir()) == []


@pytest.mark.job
def test_what_a_real_run_delivers_becomes_a_valid_bag(tmp_path, colorize, export):
    fill(str(tmp_path / "in"), {f"{i}.jpg": encoded(photograph(i)) for i in range(2)} | {"x.jpg": b"none"})
    process = colorize("--input", tmp_path / "in", "--output", tmp_path / "out")
    assert process.returncode == 3, process.stderr
    to = tmp_path / "bag"
    done = export("--output", str(tmp_path / "out"), "--format", "bagit", "--to", str(to))
    assert done.status == 0, done.stderr
    bagit.Bag(str(to)).validate()
    for path in (to / "data" / "images").iterdir():
        assert path.read_bytes()[:13] == b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1"  # JFIF 1.01: PRONOM fmt/43
    (settings,) = (to / "metadata" / "runs").glob("*/config.yaml")
    assert settings.read_bytes() == (tmp_path / "out" / settings.relative_to(to / "metadata")).read_bytes()
    premis = etree.parse(to / "metadata" / "premis.xml")
    SCHEMA.assertValid(premis)
    assert [node.text for node in premis.iterfind(".//{*}agentVersion")] == [__version__]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--output", "HERE/nowhere", "--to", "HERE/x.csv"), "no folder"),
        (("--output", "HERE", "--to", "HERE/x.csv"), "no ledger"),
        (("--output", "HERE", "--to", "HERE/images/x.csv"), "is inside the input"),
        (("--output", "HERE", "--to", "HERE/ledger/x.csv"), "is inside the input"),
        (("--output", "HERE", "--to", "s3://bucket"), "whole bucket"),
        (("--output", "OUT", "--format", "bagit", "--to", "s3://bucket/bag"), "must be a local folder"),
        (("--output", "OUT", "--format", "bagit", "--to", "HERE/bag", "--bag-info", "A"), "LABEL=VALUE"),
        (
            ("--output", "OUT", "--format", "bagit", "--to", "HERE/bag", "--bag-info", "Bagging-Date=x"),
            "sets this itself",
        ),
        (("--output", "HERE", "--to", "HERE/x.csv", "--set", "run.workerz=1"), "run.workerz"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(tmp_path, export, no_storage, args, message):
    here, out = tmp_path / "here", tmp_path / "out"
    here.mkdir()
    deliver(open_store(str(out), no_storage))
    refused = export(
        "--format", "csv", *(arg.replace("HERE", str(here)).replace("OUT", str(out)) for arg in args)
    )
    assert refused.status == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert list(here.iterdir()) == []
