"""The Terraform module, as far as possible without the AWS provider: format, references, and its policies
applied on moto's S3. `terraform validate` needs the provider, which PyPI does not have."""

from __future__ import annotations

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from string import Template
from typing import Any

import boto3
import hcl2
import pytest
from moto import mock_aws
from moto.core.authorization import enable_iam_authentication

from pipeline.config.storage import StorageConfig
from pipeline.errors import FiatColorError
from pipeline.storage import open_store
from tests.support.paths import REPO

FOLDER = REPO / "infra" / "terraform"
TEXT = "\n".join(re.sub(r"#.*", "", path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.tf")))
SOURCE, OUTPUT = "archive", "archive-color"


@functools.cache
def read() -> list[dict[str, Any]]:
    """All files."""
    return [hcl2.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.tf"))]


def blocks(kind: str) -> list[Any]:
    """The blocks of a kind in all files: [{label: {...}}]; labels come with quotes."""
    return [block for file in read() for block in file.get(kind, [])]


def declared(kind: str) -> set[str]:
    """Addresses: "type.name" of resources and data sources, names of variables and outputs."""
    named = {label: body for block in blocks(kind) for label, body in block.items()}
    if kind not in ("resource", "data"):
        return {name.strip('"') for name in named}
    pairs = [(label, name) for block in blocks(kind) for label, body in block.items() for name in body]
    return {f"{label}.{name}".replace('"', "") for label, name in pairs}


def policy(name: str, **values: str) -> dict[str, Any]:
    text = (FOLDER / "policies" / name).read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(Template(text).substitute(values))
    return document


@pytest.mark.skipif(not shutil.which("terraform"), reason="terraform is not installed")
def test_terraform_would_format_nothing() -> None:
    done = subprocess.run(
        ["terraform", "fmt", "-check", "-recursive", FOLDER], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_every_reference_has_its_declaration() -> None:
    locals_ = {name for block in blocks("locals") for name in block}
    assert set(re.findall(r"\bvar\.(\w+)", TEXT)) == declared("variable")
    assert set(re.findall(r"\blocal\.(\w+)", TEXT)) <= locals_
    assert set(re.findall(r"\bdata\.(aws_\w+\.\w+)", TEXT)) == declared("data")
    used = set(re.findall(r"(?<!data\.)\b(aws_\w+\.\w+)", TEXT))
    assert len(used) > 5
    assert used <= declared("resource")


def test_every_policy_gets_the_values_it_asks_for_and_is_json() -> None:
    calls = re.findall(r'templatefile\("\$\{path\.module\}/policies/([\w.]+)", \{(.*?)\}\)', TEXT, re.DOTALL)
    plain = re.findall(r'file\("\$\{path\.module\}/policies/([\w.]+\.json)"\)', TEXT)
    assert {name for name, _ in calls} | set(plain) == {path.name for path in (FOLDER / "policies").iterdir()}
    for name, arguments in calls:
        given = set(re.findall(r"(\w+)\s+=|(?<=\{ )(\w+) =", arguments))
        wanted = set(Template((FOLDER / "policies" / name).read_text(encoding="utf-8")).get_identifiers())
        assert {a or b for a, b in given} == wanted, name
        assert policy(name, **dict.fromkeys(wanted, "x"))["Version"] == "2012-10-17"
    for name in plain:
        assert policy(name)["Version"] == "2012-10-17"


def test_the_example_fills_in_what_has_no_default() -> None:
    filled = hcl2.loads((FOLDER / "example.tfvars").read_text(encoding="utf-8"))
    bodies = {name.strip('"'): body for block in blocks("variable") for name, body in block.items()}
    required = {name for name, body in bodies.items() if "default" not in body}
    assert {name for name in filled if not name.startswith("__")} == required


def test_every_bucket_is_versioned_encrypted_and_private() -> None:
    """Each protection goes over the same set of buckets as the buckets themselves."""
    bodies = {
        label.strip('"'): next(iter(named.values()))
        for block in blocks("resource")
        for label, named in block.items()
    }
    protections = ("versioning", "server_side_encryption_configuration", "public_access_block", "policy")
    for kind in ["aws_s3_bucket", *(f"aws_s3_bucket_{protection}" for protection in protections)]:
        assert bodies[kind]["for_each"] == "${local.buckets}", kind
    blocked = {k: v for k, v in bodies["aws_s3_bucket_public_access_block"].items() if "public" in k}
    assert len(blocked) == 4
    assert all(value is True or value == "true" for value in blocked.values())


@pytest.fixture
def under_policy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """S3 with both buckets and one photograph; the process's credentials have the storage policy, no more."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "admin")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "admin")
    # moto's own credentials would be what monkeypatch restores, after moto has gone
    with mock_aws(config={"core": {"mock_credentials": False}}):
        admin = boto3.client("s3", region_name="us-east-1")
        for bucket in (SOURCE, OUTPUT):
            admin.create_bucket(Bucket=bucket)
        admin.put_object(Bucket=SOURCE, Key="a.jpg", Body=b"photograph")
        iam = boto3.client("iam", region_name="us-east-1")
        iam.create_user(UserName="job")
        output = f"arn:aws:s3:::{OUTPUT}"
        arns = {
            "source_arn": f"arn:aws:s3:::{SOURCE}",
            "output_arn": output,
            "runs_arn": f"{output}/1920s/runs",
        }
        rules = policy("storage.json.tftpl", **arns)
        iam.put_user_policy(UserName="job", PolicyName="storage", PolicyDocument=json.dumps(rules))
        key = iam.create_access_key(UserName="job")["AccessKey"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        with enable_iam_authentication():
            yield


@pytest.mark.slow
def test_the_policy_is_enough_for_a_run_and_no_more(under_policy: None) -> None:
    settings = StorageConfig(region="us-east-1", retries=0)
    source, output = open_store(f"s3://{SOURCE}", settings), open_store(f"s3://{OUTPUT}", settings)
    source.check_readable()
    assert [result.key for result in source.list()] == ["a.jpg"]
    assert source.get("a.jpg").data == b"photograph"
    output.check_writable()
    output.put("images/a.jpg", b"colour")
    output.put_if_absent("ledger/part-1.parquet", b"row")
    assert output.get("ledger/part-1.parquet").data == b"row"
    output.put("training/runs/checkpoint", b"weights")
    output.delete("training/runs/checkpoint")
    output.put("1920s/runs/1/summary.json", b"finished")
    output.delete("1920s/runs/1/summary.json")
    output.put("1920s/images/runs/a.jpg", b"colour")
    for key in ("1920s/images/runs/a.jpg", "1920s/ledger/part-1.parquet", "runs/1/summary.json"):
        with pytest.raises(FiatColorError, match="AccessDenied"):
            output.delete(key)
    with pytest.raises(FiatColorError, match="AccessDenied"):
        source.put("a.jpg", b"overwritten")
    with pytest.raises(FiatColorError, match="AccessDenied"):
        source.delete("a.jpg")
    with pytest.raises(FiatColorError, match="AccessDenied"):
        output.delete("images/a.jpg")
    assert source.get("a.jpg").data == b"photograph"
    assert output.get("images/a.jpg").data == b"colour"
