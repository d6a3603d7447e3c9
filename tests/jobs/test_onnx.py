"""Another project's network in the real job: an ONNX file on the command line, its licence in all output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipeline.models.methods.onnx.find import ready_contracts
from tests.support.job_runner import encoded, fill, ledger, photograph
from tests.support.onnx_graphs import PUBLISHED

pytestmark = pytest.mark.job


def test_a_folder_is_coloured_with_a_non_commercial_graph(tmp_path: Path, colorize, in_process) -> None:
    """The contract is beside the file; the second command finds nothing to do."""
    weights = tmp_path / "mine.onnx"
    weights.write_bytes(PUBLISHED["deoldify"].make().SerializeToString())
    stated = ready_contracts()["deoldify"].model_dump(mode="json", exclude_none=True)
    stated |= {"name": "mine", "licence": "CC BY-NC 4.0", "non_commercial": True}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(stated))
    fill(str(tmp_path / "in"), {f"{i}.jpg": encoded(photograph(i)) for i in range(3)})
    job = ("--input", tmp_path / "in", "--output", tmp_path / "out", "--weights", weights)
    first = colorize(*job)
    assert first.returncode == 0, first.stderr
    terms = "mine, licence CC BY-NC 4.0, non-commercial use only, from "
    assert first.stdout.count(f"model    {terms}") == first.stdout.count(f"Model   {terms}") == 1
    rows = ledger(str(tmp_path / "out"))
    assert [(row["status"], row["method"]) for row in rows] == [("colorized", "onnx")] * 3
    assert max(row["max_delta_l"] for row in rows) < 1
    (written,) = (tmp_path / "out" / "runs").glob("*/summary.json")
    folder, summary = written.parent, json.loads(written.read_text())
    assert summary["model"]["non_commercial"]
    assert summary["precision"] == "fp32"
    assert (
        "mine, licence CC BY-NC 4.0, non-commercial use only"
        in (folder / "report" / "index.html").read_text()
    )
    kept = yaml.safe_load((folder / "config.yaml").read_text())["model"]
    assert kept["contract"]["name"] == "mine"
    assert kept["weights"].endswith(f"mine.onnx#sha256={summary['model']['sha256']}")
    with Image.open(tmp_path / "out" / rows[0]["output_key"]) as image:
        xmp = image.info["xmp"].decode()
    assert 'fiat:ModelLicence="CC BY-NC 4.0, non-commercial use only"' in xmp
    assert "model mine, licence CC BY-NC 4.0" in xmp
    again = in_process("colorize_bucket", "--config", folder / "config.yaml", *job[:4])
    assert again.returncode == 0, again.stderr
    assert "Nothing to do: all 3 files are in the ledger." in again.stdout
