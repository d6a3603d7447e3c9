"""Types, batches, sizes, hints and threads of a graph; and a graph that fails for only one picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from pipeline.color import spaces
from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import ImageFailure, WeightsError
from pipeline.models.method_list import load_colorizer, open_weights
from pipeline.models.methods.onnx import OnnxColorizer
from pipeline.models.methods.onnx.contract import Contract, Probe, contract_of
from pipeline.models.methods.onnx.find import ready_contracts
from pipeline.models.methods.onnx.probe import check_probe
from pipeline.models.methods.onnx.weights import OnnxWeights, read_onnx
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from pipeline.shard.open_onnx import pin_onnx
from tests.shard.test_fused import only_shard
from tests.support.job_runner import encoded, fill, ledger, photograph
from tests.support.onnx_graphs import PUBLISHED, build, gray_of, soft_picture


def described(**changes: Any) -> Contract:
    """A contract for `halves` with changes."""
    return contract_of(
        {
            "name": "net", "licence": "MIT", "non_commercial": False, "source": "here",
            "inputs": [{"name": "x", "holds": "L", "range": [0, 1]}],
            "size": {"fit": "keep", "side": 64}, "output": {"name": "y", "space": "ab", "scale": 20},
            "recombine": "lab",
        }
        | changes,
        "net",
    )  # fmt: skip


def halves(dtype: int = TensorProto.FLOAT, batch: int | str = "batch") -> onnx.ModelProto:
    """y = (x, 1 - x), so that a = L / 5 and b = 20 - L / 5 under `described`."""
    shape = (batch, 1, "h", "w")
    nodes = [
        helper.make_node("Sub", ["one", "x"], ["rest"]),
        helper.make_node("Concat", ["x", "rest"], ["y"], axis=1),
    ]
    model = build(nodes, {"x": shape}, ("y", (batch, 2, "h", "w")), {}, dtype)
    model.graph.initializer.append(
        helper.make_tensor("one", dtype, [1], [1.0])
        if dtype != TensorProto.FLOAT16
        else numpy_helper.from_array(np.float16(1)[None], "one")
    )
    return model


def opened(folder: Path, model: onnx.ModelProto, contract: Contract) -> OnnxWeights:
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return read_onnx(str(path), contract=contract.model_dump(mode="json"))


def lightness(batch: int = 1, height: int = 48, width: int = 64) -> torch.Tensor:
    return torch.rand(batch, 1, height, width, generator=torch.Generator().manual_seed(3)) * 100


@pytest.mark.parametrize(
    ("dtype", "name", "tolerance"),
    [
        (TensorProto.FLOAT, "float32", 1e-4),
        (TensorProto.FLOAT16, "float16", 0.02),
        (TensorProto.BFLOAT16, "bfloat16", 0.2),
    ],
)
def test_types(dtype: int, name: str, tolerance: float, tmp_path: Path) -> None:
    """onnxruntime has few operators for bfloat16: such graphs widen it themselves."""
    contract = described(inputs=[{"name": "x", "holds": "L", "range": [0, 1], "dtype": name}])
    model = halves(dtype)
    if dtype == TensorProto.BFLOAT16:
        model = halves()
        model.graph.input[0].type.tensor_type.elem_type = dtype
        model.graph.output[0].type.tensor_type.elem_type = dtype
        first, second = model.graph.node
        first.input[1] = second.input[0] = "wide"
        second.output[0] = "result"
        model.graph.node.insert(0, helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT))
        model.graph.node.append(helper.make_node("Cast", ["result"], ["y"], to=dtype))
    L = lightness()
    ab = opened(tmp_path, model, contract).open().predict_ab(L)
    assert ab.dtype == torch.float32
    torch.testing.assert_close(ab, torch.cat([L / 5, 20 - L / 5], 1), rtol=0, atol=tolerance)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_batches_where_the_graph_allows(batch: int | str, tmp_path: Path) -> None:
    net = opened(tmp_path, halves(batch=batch), described()).open()
    L = lightness(3)
    ab = net.predict_ab(L)
    torch.testing.assert_close(ab, torch.cat([net.predict_ab(one[None]) for one in L]))
    torch.testing.assert_close(ab[:, :1], L / 5)


def test_proportions_and_multiples(tmp_path: Path) -> None:
    contract = described(size={"fit": "keep", "side": 96, "multiple_of": 32})
    net = opened(tmp_path, halves(), contract).open()
    L_hw, values = net.run(lightness(1, 160, 320)[:, 0].numpy())
    assert L_hw.shape == (1, 64, 96)
    assert values.shape == (1, 2, 64, 96)
    assert net.predict_ab(lightness(1, 160, 320)).shape == (1, 2, 160, 320)


def test_scale_offset_mean_and_deviation(tmp_path: Path) -> None:
    """(L - 50) / 100 in, ab / 110 out, half of the size: all fields of a contract at once."""
    inputs = [{"name": "x", "holds": "L", "range": [0, 100], "mean": 50, "std": 100}]
    output = {"name": "y", "space": "ab", "scale": 110, "offset": -3, "grid": 2}
    model = halves()
    model.graph.node[-1].output[0] = "full"
    model.graph.node.append(
        helper.make_node("AveragePool", ["full"], ["y"], kernel_shape=[2, 2], strides=[2, 2])
    )
    net = opened(tmp_path, model, described(inputs=inputs, output=output)).open()
    L = torch.full((1, 1, 64, 64), 70.0)
    ab = net.predict_ab(L)
    torch.testing.assert_close(ab[0, :, 9, 9], torch.tensor([110 * 0.2 - 3, 110 * 0.8 - 3]))


def test_a_second_picture_of_fixed_size(tmp_path: Path) -> None:
    """As Iizuka's network has it: the mean of a small copy goes into every place."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["small"], ["mean"]),
        helper.make_node("Sub", ["x", "mean"], ["a"]),
        helper.make_node("Add", ["x", "mean"], ["b"]),
        helper.make_node("Concat", ["a", "b"], ["y"], axis=1),
    ]
    shapes = {"x": (1, 1, "h", "w"), "small": (1, 1, 32, 32)}
    picture = {"holds": "L", "range": [0, 1]}
    inputs = [{"name": "x", **picture}, {"name": "small", "role": "picture_fixed", "side": 32, **picture}]
    model = build(nodes, shapes, ("y", (1, 2, "h", "w")), {})
    net = opened(tmp_path, model, described(inputs=inputs)).open()
    L = torch.cat([torch.full((1, 1, 64, 32), 20.0), torch.full((1, 1, 64, 32), 60.0)], 3)
    ab = net.predict_ab(L)
    wanted = torch.tensor([20 * (0.2 - 0.4), 20 * (0.2 + 0.4)])
    torch.testing.assert_close(ab[0, :, 5, 5], wanted, rtol=0, atol=1e-3)


def test_uv_at_the_photograph_s_lightness(tmp_path: Path) -> None:
    output = {"name": "y", "space": "uv601", "scale": 0.1, "offset": -0.04}
    net = opened(tmp_path, halves(), described(output=output, recombine="yuv601")).open()
    L = torch.full((1, 1, 64, 64), 55.0)
    ab = net.predict_ab(L)[0, :, 3, 3].numpy()
    uv = spaces.lab_to_uv(np.array([55.0, *ab], np.float64))
    assert uv == pytest.approx([0.1 * 0.55 - 0.04, 0.1 * 0.45 - 0.04], abs=1e-5)


def test_the_probe_that_a_contract_states(tmp_path: Path) -> None:
    weights = opened(tmp_path, PUBLISHED["eccv16"].make(), ready_contracts()["eccv16"])
    mean_ab = weights.probe().mean_ab
    for apart, refused in ((0.3, False), (0.7, True)):
        stated = Probe(mean_ab=(mean_ab[0] + apart, mean_ab[1]), tolerance=0.5)
        contract = weights.contract.model_copy(update={"probe": stated})
        colorizer = opened(tmp_path, PUBLISHED["eccv16"].make(), contract).open()
        if not refused:
            assert check_probe(colorizer).mean_ab == pytest.approx(mean_ab)
            continue
        with pytest.raises(WeightsError, match="its contract says"):
            check_probe(colorizer)


def failing_for_dark_pictures() -> onnx.ModelProto:
    """Takes a slice that reaches outside where the mean of L* is below 30."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Less", ["mean", "dark"], ["is_dark"]),
        helper.make_node("Cast", ["is_dark"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["zero", "index"], ["nothing"]),
        helper.make_node("Sub", ["one", "x"], ["rest"]),
        helper.make_node("Concat", ["x", "rest"], ["joined"], axis=1),
        helper.make_node("Add", ["joined", "nothing"], ["y"]),
    ]
    constants: dict[str, Any] = {
        "dark": np.array(0.3, np.float32), "zero": np.zeros(1, np.float32), "one": np.ones(1, np.float32),
    }  # fmt: skip
    return build(nodes, {"x": (1, 1, "h", "w")}, ("y", (1, 2, "h", "w")), constants)


def job_of(folder: Path, weights: OnnxWeights, path: Path, *settings: str) -> Job:
    config = load(JobConfig, None, ["output.format=png", f"model.weights={path}", *settings])
    model = pin_onnx(config.model.model_copy(update={"method": "onnx"}), weights)
    config = config.model_copy(update={"model": model})
    places = (str(folder / "in"), str(folder / "out"), "run", "d", weights.digest)
    return Job(config, *places, model=weights.card)


def run(job: Job) -> dict[str, dict[str, Any]]:
    worker = FusedWorker(job, AttemptRegistry())
    try:
        worker.run(*only_shard(worker))
    finally:
        worker.shard_worker.close()
    return {row["key"]: row for row in ledger(job.output)}


def test_a_picture_that_the_graph_fails_for_is_a_row(tmp_path: Path) -> None:
    bright = photograph(1)
    fill(
        str(tmp_path / "in"),
        {"bright.png": encoded(bright, "PNG"), "dark.png": encoded(bright.point(lambda v: v // 8), "PNG")},
    )
    weights = opened(tmp_path, failing_for_dark_pictures(), described())
    with pytest.raises(ImageFailure, match="the ONNX graph fails for it"):
        weights.open().predict_ab(torch.zeros(1, 1, 64, 64))
    rows = run(job_of(tmp_path, weights, tmp_path / "net.onnx"))
    assert rows["bright.png"]["status"] == "colorized"
    assert (rows["dark.png"]["status"], rows["dark.png"]["failure_code"]) == ("failed", "internal_error")
    assert rows["dark.png"]["message"].startswith("the ONNX graph fails for it: ")


def test_points_are_hints_of_a_network_that_takes_them(tmp_path: Path) -> None:
    """The network gets them; where it does not take them they are spread over its result, as over any."""
    from PIL import Image

    gray = np.rint(gray_of(soft_picture(192, 256)) * 255).astype(np.uint8)
    fill(str(tmp_path / "in"), {"a.png": encoded(Image.fromarray(gray), "PNG")})
    (tmp_path / "guides.jsonl").write_text(
        json.dumps({"key": "a.png", "points": [[60, 60, "#a05040", 30], [200, 140, "#406090", 30]]}) + "\n"
    )
    from pipeline.models.method_list import METHODS
    from pipeline.plan.plan import make_plan
    from pipeline.shard.open_guides import open_guides

    assert METHODS["onnx"].guides == frozenset()
    path = tmp_path / "siggraph17.onnx"
    path.write_bytes(PUBLISHED["siggraph17"].make().SerializeToString())
    opened_weights = open_weights(None, str(path))
    assert opened_weights.guides == {"scribbles"}
    assert opened_weights.onnx is not None
    job = job_of(tmp_path, opened_weights.onnx, path, f"guides.file={tmp_path / 'guides.jsonl'}")
    worker = FusedWorker(job, AttemptRegistry())
    source, out = worker.shard_worker.reader.source, worker.shard_worker.out
    try:
        guides = open_guides(source, job.config)
        (shard,) = make_plan(source, out, job.config, "d", workers=1, guides=guides).shards
        worker.run(shard.shard_id, shard.items)
    finally:
        worker.shard_worker.close()
    (row,) = ledger(job.output)
    assert (row["status"], row["method"]) == ("colorized", "onnx")
    assert "guided by points" in row["message"]
    with Image.open(tmp_path / "out" / row["output_key"]) as image:
        lab = spaces.srgb_to_lab(np.asarray(image).astype(np.float64) / 255)
    wanted = np.moveaxis(PUBLISHED["siggraph17"].ab(lab[..., 0]), 0, -1)
    for x, y, colour in ((60, 60, "a05040"), (200, 140, "406090")):
        rgb = np.frombuffer(bytes.fromhex(colour), np.uint8).astype(np.float64) / 255
        assert np.abs(lab[y, x, 1:] - spaces.srgb_to_lab(rgb)[1:]).max() < 1
    # two radii away there is nothing of them: this graph does not spread hints, and nobody else did
    assert np.abs(lab[10, 128, 1:] - wanted[10, 128]).max() < 1
    assert np.abs(lab[180, 20, 1:] - wanted[180, 20]).max() < 1


def test_it_loads_as_any_weights(tmp_path: Path) -> None:
    path = tmp_path / "ddcolor.onnx"
    path.write_bytes(PUBLISHED["ddcolor"].make().SerializeToString())
    loaded = load_colorizer(None, str(path))
    assert isinstance(loaded.colorizer, OnnxColorizer)
    assert (loaded.method, loaded.precision) == ("onnx", "fp32")
    assert loaded.weights_digest == open_weights("onnx", str(path)).digest
    with pytest.raises(ValueError, match="takes no guide scribbles"):
        loaded.colorizer.predict_ab(lightness(), {"scribbles": lightness()})
