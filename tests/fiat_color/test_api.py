"""The five names for programs do what the commands do, and the example of their page runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fiat_color
from fiat_color import Ledger, Weights, colorize, colorize_image
from pipeline.color.metrics import to_lab
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, ImageFailure
from pipeline.models.weights_location import shipped_names
from pipeline.records import Status
from pipeline.storage import open_store
from tests.support.job_runner import encoded, fill, photograph
from tests.support.ledger_parts import put_part, row
from tests.support.paths import REPO

PAGE = (REPO / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_there_are_five_names_and_each_has_a_row_on_the_page() -> None:
    names = set(fiat_color.__all__) - {"__version__"}
    assert len(names) == 5
    assert set(re.findall(r"^\| `(\w+)\(", PAGE, re.MULTILINE)) == names


def test_importing_it_loads_neither_torch_nor_ray() -> None:
    program = "import sys, fiat_color; print(*{'torch', 'ray'} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == ""


@pytest.mark.job
def test_the_example_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(str(tmp_path / "scans"), {f"{name}.jpg": encoded(photograph(i)) for i, name in enumerate("ab")})
    fill(str(tmp_path / "scans"), {"broken.jpg": encoded(photograph(3))[:300]})
    program = "\n".join(EXAMPLES).replace(
        '"output.format": "png"', '"output.format": "png", "model.side": 64'
    )
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment |= {"PYTHONPATH": str(REPO)}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False,
        env=environment,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0] == "unet non-commercial research"
    assert "2 1" in lines
    assert Image.open(tmp_path / "a-vivid.jpg").size == (96, 72)
    assert {path.name for path in (tmp_path / "colored" / "images").iterdir()} == {"a.jpg.png", "b.jpg.png"}


def in_mode(gray: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
    image = gray.convert(mode)
    if mode == "LA":
        image.putpixel((3, 4), (0, 0))
    return image


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "LA", "P", "1"])
def test_an_image_keeps_its_size_and_lightness(mode: str) -> None:
    gray = photograph(5, 90, 61)
    image = in_mode(gray, mode)
    colored = colorize_image(image, "faithful", side=64)
    assert (colored.size, colored.mode) == (gray.size, "RGBA" if mode == "LA" else "RGB")
    if mode in ("L", "I;16"):
        lab, before = to_lab(np.asarray(colored)), to_lab(np.asarray(gray.convert("RGB")))
        assert np.abs(lab - before)[..., 0].max() < 1
        assert np.abs(lab[..., 1:]).mean() > 1
    again = colorize_image(image, Weights("faithful"), side=64)
    assert np.array_equal(np.asarray(again), np.asarray(colored))


def test_an_image_that_cannot_be_coloured_says_why() -> None:
    with pytest.raises(ImageFailure, match="cannot write mode CMYK"):
        colorize_image(Image.new("CMYK", (8, 8)))
    with pytest.raises(ConfigError, match="no weights 'nix' ship"):
        colorize_image(Image.new("L", (8, 8)), "nix")
    with pytest.raises(ValueError, match="side"):
        colorize_image(Image.new("L", (8, 8)), side=63)


def test_weights_say_who_may_use_them() -> None:
    assert sorted(Weights.shipped()) == shipped_names()
    default = Weights()
    assert (default.uri, default.method) == ("faithful", "unet")
    assert default.licence == "non-commercial research"
    assert len(default.sha256) == 64


def test_a_mistake_is_an_error_of_one_line(tmp_path: Path) -> None:
    for mistake in (
        lambda: colorize(tmp_path / "nowhere", tmp_path / "out"),
        lambda: colorize(tmp_path, tmp_path / "out", config="nix"),
        lambda: colorize(tmp_path, "/out", settings={"model.sid": 8}),
        lambda: colorize(tmp_path, "/out", settings={"model.side": object()}),
        lambda: Ledger(tmp_path),
    ):
        with pytest.raises(ConfigError) as caught:
            mistake()
        assert "\n" not in str(caught.value)


def test_nothing_to_do_is_a_summary_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    summary = colorize(tmp_path / "in", tmp_path / "out")
    assert (summary.exit_status, summary.counts, summary.record) == (0, {}, None)
    assert summary.message.startswith("Nothing to do")


def test_a_ledger_has_the_row_that_counts(tmp_path: Path, no_storage: StorageConfig) -> None:
    out = open_store(str(tmp_path), no_storage)
    put_part(out, "digest", "1", [row("b.jpg", Status.FAILED, 1), row("a.jpg", Status.COLORIZED, 1)])
    put_part(out, "digest", "2", [row("b.jpg", Status.COLORIZED, 2, datetime(2026, 1, 2, tzinfo=UTC))])
    ledger = Ledger(tmp_path)
    assert len(ledger) == 2
    assert ledger.to_table().select(["key", "status"]).to_pylist() == [
        {"key": "a.jpg", "status": "colorized"},
        {"key": "b.jpg", "status": "colorized"},
    ]
    assert ledger.dataset().count_rows() == 2
    assert list(ledger.to_pandas()["key"]) == ["a.jpg", "b.jpg"]
    assert ledger.to_duckdb().filter("attempts = 2").project("key").fetchall() == [("b.jpg",)]


def test_without_duckdb_one_line_says_what_to_install(
    tmp_path: Path, no_storage: StorageConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_part(open_store(str(tmp_path), no_storage), "digest", "1", [row("a.jpg", Status.COLORIZED, 1)])
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(ConfigError, match=r"^DuckDB is not installed: pip install duckdb"):
        Ledger(tmp_path).to_duckdb()
