"""Graphs that do not colour, reach outside their file, or would silently give wrong colours: one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from jobs.colorize_bucket import main as colorize
from pipeline.errors import WeightsError
from pipeline.models.methods.onnx.contract import METADATA_KEY, contract_yaml, parse_contract
from pipeline.models.methods.onnx.find import ready_contracts
from pipeline.models.methods.onnx.weights import read_onnx
from tests.support.onnx_graphs import PUBLISHED, build, deoldify


def saved(folder: Path, model: onnx.ModelProto, name: str = "net", **changes: Any) -> Path:
    """The file, and beside it ddcolor_tiny's contract with changes; `contract=NAME` takes another's."""
    ready = ready_contracts()[changes.pop("contract", "ddcolor_tiny")]
    contract = ready.model_dump(mode="json", exclude_none=True)
    for key, value in changes.items():
        contract[key] = contract[key] | value if isinstance(contract.get(key), dict) else value
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(contract))
    (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    return folder / f"{name}.onnx"


def tiny() -> onnx.ModelProto:
    return PUBLISHED["ddcolor_tiny"].make()


def with_external_data() -> onnx.ModelProto:
    model = tiny()
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "../../etc/passwd")
    return model


def with_external_data_in_a_branch() -> onnx.ModelProto:
    """A constant's tensor inside one branch of an If."""
    model = tiny()
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "t")
    tensor.data_location = TensorProto.EXTERNAL
    node = helper.make_node("Constant", [], ["c"], value=tensor)
    branch = helper.make_graph(
        [node], "branch", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [1])]
    )
    model.graph.node.append(
        helper.make_node("If", ["yes"], ["unused"], then_branch=branch, else_branch=branch)
    )
    return model


def with_operator(op_type: str, domain: str) -> onnx.ModelProto:
    model = tiny()
    model.graph.node.append(helper.make_node(op_type, ["input"], ["more"], domain=domain))
    return model


def with_a_function_of_its_own(op_type: str, domain: str) -> onnx.ModelProto:
    model = tiny()
    body = [helper.make_node(op_type, ["x"], ["y"], domain=domain)]
    model.functions.append(
        helper.make_function("local", "Body", ["x"], ["y"], body, [helper.make_opsetid("", 17)])
    )
    return model


def gray_only() -> onnx.ModelProto:
    return constant_ab(0.0)


def constant_ab(value: float) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Conv", ["input", "weight", "bias"], ["output"]),
    ]
    weight, bias = np.zeros((2, 3, 1, 1), np.float32), np.full(2, value, np.float32)
    shape = (1, 3, 512, 512)
    return build(nodes, {"input": shape}, ("output", (1, 2, 512, 512)), {"weight": weight, "bias": bias})


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "external data": (lambda d: saved(d, with_external_data()), "keep tensors in other files"),
    "external data in a branch": (
        lambda d: saved(d, with_external_data_in_a_branch()),
        "keep tensors in other files",
    ),
    "custom operator": (
        lambda d: saved(d, with_operator("Paint", "com.example")),
        "use the operator com.example:Paint, which is code outside ONNX",
    ),
    "code in another file": (
        lambda d: saved(d, with_operator("EPContext", "com.microsoft")),
        "com.microsoft:EPContext",
    ),
    "custom operator in a function": (
        lambda d: saved(d, with_a_function_of_its_own("Azure", "com.microsoft.extensions")),
        "com.microsoft.extensions:Azure",
    ),
    "an operator that ONNX has not": (
        lambda d: saved(d, with_operator("Colorize", "")),
        "onnxruntime cannot load the weights ddcolor_tiny",
    ),
    "another input": (
        lambda d: saved(d, PUBLISHED["siggraph17"].make()),
        "its inputs are L, hint_ab, hint_mask, the contract has input",
    ),
    "another output": (
        lambda d: saved(d, tiny(), output={"name": "ab"}),
        "its outputs are output, the contract has ab",
    ),
    "another size": (
        lambda d: saved(d, tiny(), size={"side": 256}),
        "is fixed to 1 x 3 x 512 x 512, the contract says 256 pixels",
    ),
    "proportions of a square": (lambda d: saved(d, tiny(), size={"fit": "keep"}), "size.fit must be stretch"),
    "another type": (
        lambda d: saved(d, tiny(), inputs=[_input(dtype="float16")]),
        "the input input is float32, the contract says float16",
    ),
    "other channels": (
        lambda d: saved(d, tiny(), inputs=[_input(holds="L", range=[0, 100])]),
        "has 3 channels, L has 1",
    ),
    "two channels for rgb": (
        lambda d: saved(d, tiny(), output={"space": "rgb"}),
        "for rgb it must be N x 3 x h x w",
    ),
    "another grid": (
        lambda d: saved(d, PUBLISHED["ddcolor"].make(), output={"grid": 2}),
        "correct output.space or output.grid",
    ),
    "a range that the probe tells": (
        lambda d: saved(
            d, tiny(), inputs=[_input(range=[0, 255])], probe={"mean_ab": [7.25, 5.06], "tolerance": 0.5}
        ),
        "its contract says 7.25, 5.06 within 0.5: a range, mean, std or scale",
    ),
    "0..1 for a graph that wants 0..255": (
        lambda d: saved(d, deoldify(), contract="deoldify", inputs=[_input(holds="luma601", range=[0, 1])]),
        "as if it saw another picture",
    ),
    "0..255 for a graph that wants 0..1": (
        lambda d: saved(d, tiny(), inputs=[_input(range=[0, 255])]),
        "plausible is 0.5 to 90",
    ),
    "a gray picture": (lambda d: saved(d, gray_only()), "a mean chroma of 0.00, plausible is 0.5 to 90"),
    "one colour": (lambda d: saved(d, constant_ab(12.0)), "the whole probe a single colour"),
    "no numbers": (lambda d: saved(d, constant_ab(float("nan"))), "numbers that are not finite"),
    "no ONNX file": (lambda d: _damaged(d, b"\xff\xfe not a graph"), "are not an ONNX file, or are damaged"),
    "an empty file": (lambda d: _damaged(d, b""), "hold no graph"),
    "half of a file": (
        lambda d: _damaged(d, tiny().SerializeToString()[:150]),
        "not an ONNX file|hold no graph",
    ),
}


def _input(**changes: Any) -> dict[str, Any]:
    return {"name": "input", "role": "picture", "holds": "gray_rgb_of_L", "range": [0, 1]} | changes


def _damaged(folder: Path, data: bytes) -> Path:
    path = saved(folder, tiny())
    path.write_bytes(data)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("case", list(REFUSED))
def test_the_job_refuses_it_in_one_line(case: str, tmp_path: Path, capsys) -> None:
    make, problem = REFUSED[case]
    weights = make(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "scan.jpg").write_bytes(b"of no matter: weights are read first")
    places = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert colorize([*places, "--weights", str(weights)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert any(one in line for one in problem.split("|")), line
    assert not (tmp_path / "out").exists()


CONTRACTS = {
    "nam: x": "the key 'name' is missing|unknown key 'nam'",
    "size: {fit: crop}": "size.fit has the value 'crop': input should be 'stretch' or 'keep'",
    "size: {side: 500}": "size: side 500 is not a multiple of 32",
    "recombine: yuv601": "as a whole: an output in ab is recombined in lab",
    "output: {scal: 1}": "unknown key 'output.scal'; docs/models.md lists the keys",
    "inputs: []": "inputs has the value []",
    "sha256: [abc]": "sha256.0 has the value 'abc'",
    "inputs: [{name: m, role: hint_mask, range: [0, 1]}]": "no input is a picture",
    "inputs: [{name: m, holds: L, range: [1, 0]}]": "inputs.0: range needs its smaller number first",
    "inputs: [{name: m, holds: L, range: [0, 1], std: 0}]": "inputs.0: std must not be 0",
    "inputs: [{name: m, range: [0, 1]}]": "inputs.0: holds says what a picture holds",
    "inputs: [{name: m, holds: L, range: [0, 1], side: 64}]": "inputs.0: side is the size of a picture_fixed",
}


@pytest.mark.parametrize("change", list(CONTRACTS))
def test_a_contract_that_is_wrong(change: str) -> None:
    good = yaml.safe_load(contract_yaml(ready_contracts()["ddcolor_tiny"]))
    for key, value in yaml.safe_load(change).items():
        good[key] = good[key] | value if isinstance(value, dict) else value
    with pytest.raises(WeightsError) as refused:
        parse_contract(yaml.safe_dump(good), "net.yaml")
    message = str(refused.value)
    assert message.startswith("the contract net.yaml: ")
    assert "\n" not in message
    assert any(one in message for one in CONTRACTS[change].split("|")), message


def test_a_contract_that_is_no_mapping() -> None:
    for text, problem in {
        "a: [": "is not YAML",
        "- 1": "holds no keys",
        b"\xff\xfe\xff": "is not YAML",
    }.items():
        with pytest.raises(WeightsError, match=problem):
            parse_contract(text, "net.yaml")


class TestWhichContract:
    """Stated, beside, inside, by the file's digest, by its name: in this order."""

    def test_by_name_and_none(self, tmp_path: Path) -> None:
        for name in ("ddcolor_tiny", "Unknown"):
            (tmp_path / f"{name}.onnx").write_bytes(tiny().SerializeToString())
        assert read_onnx(str(tmp_path / "ddcolor_tiny.onnx")).contract == ready_contracts()["ddcolor_tiny"]
        with pytest.raises(WeightsError, match=r"write Unknown.yaml next to them .*ready-made: ddcolor, "):
            read_onnx(str(tmp_path / "Unknown.onnx"))

    def test_by_digest(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "renamed.onnx"
        path.write_bytes(tiny().SerializeToString())
        digest = read_onnx(str(path), contract=str(_ready("ddcolor_tiny"))).sha256
        known = ready_contracts()["ddcolor_tiny"].model_copy(update={"name": "known", "sha256": (digest,)})
        (tmp_path / "configs" / "models").mkdir(parents=True)
        (tmp_path / "configs" / "models" / "known.yaml").write_text(contract_yaml(known))
        monkeypatch.chdir(tmp_path)
        assert read_onnx(str(path)).contract.name == "known"

    def test_inside_beside_and_stated(self, tmp_path: Path) -> None:
        model, ready = tiny(), ready_contracts()["ddcolor_tiny"]

        def named(name: str) -> str:
            return ready.model_copy(update={"name": name}).model_dump_json()

        helper.set_model_props(model, {METADATA_KEY: named("inside")})
        path = tmp_path / "ddcolor_tiny.onnx"
        path.write_bytes(model.SerializeToString())
        assert read_onnx(str(path)).contract.name == "inside"
        (tmp_path / "ddcolor_tiny.yaml").write_text(named("beside"))
        assert read_onnx(str(path)).contract.name == "beside"
        (tmp_path / "other.yaml").write_text(named("stated"))
        assert read_onnx(str(path), contract=str(tmp_path / "other.yaml")).contract.name == "stated"

    def test_for_another_file(self, tmp_path: Path) -> None:
        path = saved(tmp_path, tiny(), sha256=["0" * 64])
        with pytest.raises(WeightsError, match=f"is for a file of sha256 {'0' * 64}"):
            read_onnx(str(path))

    def test_the_digest_is_of_what_changes_pixels(self) -> None:
        contract = ready_contracts()["ddcolor_tiny"]
        assert contract.model_copy(update={"licence": "other"}).digest() == contract.digest()
        stretched = contract.size.model_copy(update={"side": 256})
        assert contract.model_copy(update={"size": stretched}).digest() != contract.digest()


def _ready(name: str) -> Path:
    from tests.support.paths import REPO

    return REPO / "configs" / "models" / f"{name}.yaml"


def test_what_the_command_line_cannot_mean(tmp_path: Path, capsys) -> None:
    weights = saved(tmp_path, tiny())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "scan.jpg").write_bytes(b"of no matter: weights are read first")
    places = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    for more, problem in {
        ("--method", "unet", "--weights", str(weights)): "are for the method 'onnx', not 'unet'",
        ("--method", "onnx"): "no weights ship for the method 'onnx'",
        ("--weights", "faithful", "--set", "model.contract=x.yaml"): "only ONNX weights",
        ("--weights", str(weights), "--set", "model.precision=bf16"): "in its own data types",
        ("--weights", f"{weights}#sha256={'0' * 64}"): "as requested",
        ("--weights", str(tmp_path / "none.onnx")): "cannot read the weights",
    }.items():
        assert colorize([*places, *more]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert problem in line
