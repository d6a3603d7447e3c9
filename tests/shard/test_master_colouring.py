"""Masters coloured in strips: as in memory, skipped if they have colour, and with bounded memory."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile

from pipeline.codecs.in_memory import Skip
from pipeline.codecs.isolated.master import IsolatedMaster
from pipeline.codecs.masters import Master
from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.codecs.metadata.xmp import Provenance
from pipeline.color import spaces
from pipeline.color.luminance import downscale_luminance
from pipeline.config.job import ModelConfig
from pipeline.errors import FailureCode, ImageFailure
from pipeline.records import Status
from pipeline.shard.compose import compose
from pipeline.shard.master_colouring import MasterSettings, WrittenMaster, reduce_master, write_pages
from tests.support.paths import REPO

PROVENANCE = Provenance("algorithmicallyEnhanced", "unet", "ab" * 32, "Fiat Color", "a.tif", "cd" * 32)
MODEL = ModelConfig()


def predict(model_L: np.ndarray) -> np.ndarray:
    """Some chroma that depends on the input and varies over the picture."""
    ramp = np.linspace(-40, 40, model_L.shape[1], dtype=np.float32)
    return np.stack([model_L * np.float32(0.3), np.broadcast_to(ramp, model_L.shape)]).astype(np.float32)


def colour_master(master, target, predict, provenance, model) -> WrittenMaster | Skip:
    seen = reduce_master(master, model)
    if isinstance(seen, Skip):
        return seen
    settings = MasterSettings(model)
    return write_pages(master, [0], target, [predict(*seen.L_pages)], provenance, settings)


def gray(path: Path, height: int = 700, width: int = 500) -> Path:
    y, x = np.mgrid[:height, :width]
    wave = 30_000 + 25_000 * np.sin(x / 37) * np.cos(y / 23)
    tifffile.imwrite(path, wave.astype(np.uint16), compression="zlib", rowsperstrip=16)
    return path


def isolated(path: Path, **limits: float) -> IsolatedMaster:
    settings = {"pixels": 10**9, "memory": 2 * 2**30, "seconds": 60.0} | limits
    return IsolatedMaster(path, **settings)  # type: ignore[arg-type]


@pytest.mark.slow
def test_in_strips_as_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, files = gray(tmp_path / "a.tif"), [io.BytesIO(), io.BytesIO()]
    with isolated(path) as master:
        streamed = colour_master(master, files[0], predict, PROVENANCE, MODEL)
    monkeypatch.setattr("pipeline.codecs.masters.STRIP_PIXELS", 5000)
    here = Master(path, pixels=10**9)
    colour_master(here, files[1], predict, PROVENANCE, MODEL)
    assert files[0].getvalue() == files[1].getvalue()
    l_u16 = np.concatenate([strip for strip, _ in here.strips()])
    wanted = compose(l_u16, predict(downscale_luminance(l_u16, MODEL.side)), depth=16)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(files[0].getvalue())), wanted.rgb)
    assert isinstance(streamed, WrittenMaster)
    assert (streamed.width, streamed.height, streamed.mode) == (500, 700, "I;16")
    assert streamed.measures.max_delta_l == wanted.max_delta_l < 0.1
    assert streamed.measures.colorfulness == wanted.colorfulness
    written = pyvips.Image.new_from_buffer(files[0].getvalue(), "")
    assert written.get("icc-profile-data") == srgb_profile()
    assert b"algorithmicallyEnhanced" in written.get("xmp-data")


def test_alpha_and_eight_bits_go_through(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (90, 70, 2), np.uint8)
    path, file = tmp_path / "a.tif", io.BytesIO()
    tifffile.imwrite(
        path, pixels, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]
    )
    colour_master(Master(path, pixels=10**9), file, predict, PROVENANCE, MODEL)
    result = tifffile.imread(io.BytesIO(file.getvalue()))
    assert (result.shape, result.dtype) == ((90, 70, 4), np.uint8)
    np.testing.assert_array_equal(result[..., 3], pixels[..., 1])
    gray_of = spaces.srgb_to_lab(np.repeat(pixels[..., :1], 3, axis=2) / 255)[..., 0]
    assert np.abs(spaces.srgb_to_lab(result[..., :3] / 255)[..., 0] - gray_of).max() < 1


def test_sixteen_bits_become_eight_where_asked(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 65536, (90, 70, 2), np.uint16)
    path, file = tmp_path / "a.tif", io.BytesIO()
    tifffile.imwrite(
        path, pixels, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]
    )
    master = Master(path, pixels=10**9)
    ab = predict(*reduce_master(master, MODEL).L_pages)  # type: ignore[union-attr]
    write_pages(master, [0], file, [ab], PROVENANCE, MasterSettings(MODEL, 8))
    result = tifffile.imread(io.BytesIO(file.getvalue()))
    assert (result.shape, result.dtype) == ((90, 70, 4), np.uint8)
    assert np.abs(result[..., 3] - pixels[..., 1] / 257).max() <= 0.51


def test_real_colour_is_left_alone(tmp_path: Path) -> None:
    path, file = tmp_path / "a.tif", io.BytesIO()
    pixels = np.random.default_rng(2).integers(0, 65536, (8, 8, 3)).repeat(40, axis=0).repeat(40, axis=1)
    tifffile.imwrite(path, pixels.astype(np.uint16), photometric="rgb")
    outcome = colour_master(Master(path, pixels=10**9), file, predict, PROVENANCE, MODEL)
    assert isinstance(outcome, Skip)
    assert (outcome.status, file.getvalue()) == (Status.SKIPPED_COLOR, b"")
    anyway = ModelConfig(skip_color=False)
    assert isinstance(
        colour_master(Master(path, pixels=10**9), file, predict, PROVENANCE, anyway), WrittenMaster
    )


def test_a_file_that_breaks_costs_one_failure(tmp_path: Path) -> None:
    path = gray(tmp_path / "a.tif")
    data = path.read_bytes()
    with pytest.raises(ImageFailure) as caught:
        isolated(path, pixels=1000)
    assert caught.value.code == FailureCode.TOO_LARGE
    with isolated(path) as master:
        os.kill(master.pid, signal.SIGSEGV)
        with pytest.raises(ImageFailure) as caught:
            master.reduced(384)
    assert caught.value.code == FailureCode.DECODER_CRASHED
    path.write_bytes(data[:2000] + bytes(len(data) - 4000) + data[-2000:])
    with pytest.raises(ImageFailure) as caught, isolated(path) as master:
        colour_master(master, io.BytesIO(), predict, PROVENANCE, MODEL)
    assert caught.value.code in (FailureCode.CORRUPT, FailureCode.TRUNCATED)


MEASURE = """
import os, sys
from pathlib import Path
from pipeline.codecs.isolated.master import IsolatedMaster
from pipeline.config.job import ModelConfig
from pipeline.benchmark.fresh_process import peak_rss_mib
from tests.shard.test_master_colouring import PROVENANCE, colour_master, predict

for path in sys.argv[2:]:
    with IsolatedMaster(Path(path), pixels=10**9, memory=2**31, seconds=60) as master, \\
            open(sys.argv[1], "w+b") as out:
        colour_master(master, out, predict, PROVENANCE, ModelConfig())
        print(peak_rss_mib(os.getpid()), peak_rss_mib(master.pid))
"""


@pytest.mark.job
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A file whose 16-bit colour is 290 MB takes a small part of that more than a tiny one."""
    large, tiny = tmp_path / "large.tif", gray(tmp_path / "tiny.tif")
    (pyvips.Image.black(8000, 6000) + 30_000).cast("ushort").copy(interpretation="grey16").tiffsave(
        str(large), compression="deflate"
    )
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "out.tif"), str(tiny), str(large)],
        cwd=REPO, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    before, after = (np.array(line.split(), int) for line in run.stdout.splitlines())
    assert (after - before < 150).all(), f"{before} MiB, then {after}"
