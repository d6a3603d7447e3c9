"""Every ready contract, with a graph that has the names, shapes, ranges and quirks of the published one:
exact colours."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.color import spaces
from pipeline.color.luminance import luminance_u16_from_gray16
from pipeline.config.job import JobConfig, job_digest
from pipeline.config.loading import load
from pipeline.models.method_list import load_colorizer, open_weights
from pipeline.models.methods.onnx import OnnxColorizer
from pipeline.models.methods.onnx.find import ready_contracts
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from pipeline.shard.open_onnx import pin_onnx
from tests.shard.test_fused import only_shard
from tests.support.job_runner import fill, ledger
from tests.support.onnx_graphs import PUBLISHED, gray_of, soft_picture


def test_each_ready_contract_has_its_graph() -> None:
    assert set(ready_contracts()) == set(PUBLISHED)
    for name, contract in ready_contracts().items():
        assert contract.name == name
        assert not contract.non_commercial


DISTINCT = ("ddcolor", "ddcolor_tiny", "deoldify", "eccv16", "siggraph17")


def test_the_others_are_these_by_another_name() -> None:
    """One graph and one digest of what changes pixels: what is right for one is right for the other."""
    ready = ready_contracts()

    def known(name: str) -> tuple[str, bytes]:
        return ready[name].digest(), PUBLISHED[name].make().SerializeToString()

    assert {known(name) for name in ready} == {known(name) for name in DISTINCT}


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTINCT)
def test_the_job_gives_the_colours_of_the_closed_form(name: str, tmp_path: Path) -> None:
    """At full resolution, in 16 bits, within 0.1 of a and b; and its lightness stays."""
    weights = tmp_path / f"{name}.onnx"
    weights.write_bytes(PUBLISHED[name].make().SerializeToString())
    gray16 = np.rint(gray_of(soft_picture()) * 65535).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(gray16).save(buffer, "PNG")
    fill(str(tmp_path / "in"), {"a.png": buffer.getvalue()})
    config = load(JobConfig, None, ["output.format=png", f"model.weights={weights}"])
    opened = open_weights(None, config.model.weights)
    assert opened.onnx is not None
    model = pin_onnx(config.model.model_copy(update={"method": opened.method}), opened.onnx)
    config = config.model_copy(update={"model": model})
    digest = job_digest(config, opened.digest)
    job = Job(
        config, str(tmp_path / "in"), str(tmp_path / "out"), "run", digest, opened.digest, model=opened.card
    )
    worker = FusedWorker(job, AttemptRegistry())
    try:
        worker.run(*only_shard(worker))
    finally:
        worker.shard_worker.close()
    (row,) = ledger(str(tmp_path / "out"))
    assert (row["status"], row["method"], row["weights_digest"]) == ("colorized", "onnx", opened.digest)
    assert row["max_delta_l"] < 0.1
    written = (tmp_path / "out" / row["output_key"]).read_bytes()
    assert b'fiat:Model="%s"' % name.encode() in written
    assert b'fiat:ModelLicence="%s"' % opened.onnx.contract.licence.encode() in written
    lab = spaces.srgb_to_lab(sixteen_bits(written) / 65535)
    L = luminance_u16_from_gray16(gray16) / spaces.L_U16_SCALE
    wanted = np.moveaxis(PUBLISHED[name].ab(L), 0, -1)
    assert np.abs(lab[..., 1:] - wanted).max() < 0.1


def sixteen_bits(png: bytes) -> np.ndarray:
    """uint16[H,W,3] of a PNG; Pillow reads 8 bits of it."""
    import imagecodecs

    pixels = imagecodecs.png_decode(png)
    assert pixels.dtype == np.uint16
    return pixels.astype(np.float64)


def test_the_graph_s_own_grid_is_laid_along_edges(tmp_path: Path) -> None:
    """Upstream enlarges by nearest neighbour; here a step of the lightness is one of the colour."""
    L = np.full((768, 1024), 30, np.float32)
    L[:, 601:] = 70
    weights = tmp_path / "ddcolor_tiny.onnx"
    weights.write_bytes(PUBLISHED["ddcolor_tiny"].make().SerializeToString())
    colorizer = load_colorizer(None, str(weights)).colorizer
    assert isinstance(colorizer, OnnxColorizer)
    ab = colorizer.predict_ab(torch.from_numpy(L)[None, None])[0].numpy()
    assert ab.shape == (2, 768, 1024)
    wanted = PUBLISHED["ddcolor_tiny"].ab(L.astype(np.float64))
    _, (own_grid,) = colorizer.run(L[None])
    smooth = torch.nn.functional.interpolate(torch.from_numpy(own_grid)[None], (768, 1024), mode="bilinear")
    near = (slice(None), slice(None), slice(596, 606))
    error, without = (np.abs(result - wanted)[near].mean() for result in (ab, smooth[0].numpy()))
    assert error < without / 2
