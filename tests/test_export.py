"""The promises of `jobs/export.py`, on a folder and on an S3 server."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from lxml import etree

from jobs.export import main
from pipeline.config import StorageConfig
from pipeline.storage import Store, open_store
from tests.export.ledgers import deliver

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).parent / "export" / "premis-3-0.xsd"))


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
        assert (again.status, "is there already" in again.stderr) == (2, True)
    assert listed(beside).keys() == {"ledger.csv", "premis.xml"}
    assert listed(out) == before
    assert len(pd.read_csv(io.BytesIO(beside.get("ledger.csv").data))) == 4
    root_element = etree.fromstring(beside.get("premis.xml").data)
    SCHEMA.assertValid(root_element)
    assert len(root_element.findall("{*}object")) == len(objects)


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
    found = pd.read_csv(io.BytesIO(place.get("premis.xml.findings.csv").data))
    assert list(found[["key", "finding"]].itertuples(index=False, name=None)) == [("images/b.jpg", "missing")]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--output", "HERE/nowhere", "--to", "HERE/x.csv"), "no folder"),
        (("--output", "HERE", "--to", "HERE/x.csv"), "no ledger"),
        (("--output", "HERE", "--to", "HERE/images/x.csv"), "lies in"),
        (("--output", "HERE", "--to", "HERE/ledger/x.csv"), "lies in"),
        (("--output", "HERE", "--to", "s3://bucket"), "whole bucket"),
        (("--output", "HERE", "--to", "HERE/x.csv", "--set", "run.workerz=1"), "run.workerz"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(tmp_path, export, args, said):
    refused = export("--format", "csv", *(arg.replace("HERE", str(tmp_path)) for arg in args))
    assert refused.status == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert list(tmp_path.iterdir()) == []
