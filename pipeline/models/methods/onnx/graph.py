"""Check an ONNX file before running it: does it use external code or files, and does it fit its contract?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import ConfigError, WeightsError
from pipeline.models.methods.onnx.contract import METADATA_KEY, Contract, Input

if TYPE_CHECKING:
    import onnx

#: Domains of operators that onnxruntime itself has; a graph may also define functions of its own.
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
#: Built in, and yet they load compiled code from other files or run other languages.
_REACHING = frozenset({"EPContext", "ATen", "PythonOp", "PythonOpGrad", "TritonOp"})
_DEEPEST = 16  # subgraphs within subgraphs

Dims = tuple[int | None, ...]


@dataclass(frozen=True)
class Port:
    """An input or output: `dtype` as a contract calls it, `dims` with None for what is free."""

    dtype: str
    dims: Dims


@dataclass(frozen=True)
class Graph:
    """What an ONNX file says of itself; `contract`: the text inside its metadata, if any."""

    inputs: dict[str, Port]
    outputs: dict[str, Port]
    contract: str | None


def import_onnx() -> Any:
    """The package `onnx`. Raises ConfigError where it is not installed."""
    try:
        import onnx
    except ImportError:
        raise ConfigError(
            "ONNX weights need the packages onnx and onnxruntime: pip install 'fiat-color[onnx]'"
        ) from None
    return onnx


def read_graph(data: bytes, name: str) -> Graph:
    """Parse and check the bytes of an ONNX file; nothing is run.

    Raises:
        WeightsError: no ONNX file, weights in other files, operators that onnxruntime has not or that load
            code. ConfigError: the package onnx is not installed.
    """
    onnx = import_onnx()
    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # protobuf's DecodeError, whose class is another in each of its implementations
        raise WeightsError(f"the weights {name} are not an ONNX file, or are damaged") from None
    if not model.HasField("graph") or not model.graph.node:
        raise WeightsError(f"the weights {name} hold no graph: export the network again")
    _refuse_external(model, name)
    _refuse_foreign_code(model, name)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    constants = {one.name for one in model.graph.initializer}
    return Graph(
        {one.name: _port(one, onnx) for one in model.graph.input if one.name not in constants},
        {one.name: _port(one, onnx) for one in model.graph.output},
        metadata.get(METADATA_KEY),
    )


def check_fit(graph: Graph, contract: Contract, name: str) -> None:
    """Raises WeightsError, in one line, where file and contract do not fit each other."""

    def refuse(reason: str) -> WeightsError:
        return WeightsError(f"the weights {name} do not fit the contract {contract.name}: {reason}")

    stated = {one.name: one for one in contract.inputs}
    if set(stated) != set(graph.inputs):
        raise refuse(f"its inputs are {_names(graph.inputs)}, the contract has {_names(stated)}")
    if contract.output.name not in graph.outputs:
        raise refuse(f"its outputs are {_names(graph.outputs)}, the contract has {contract.output.name}")
    for one in contract.inputs:
        if (reason := _input_problem(graph.inputs[one.name], one, contract)) is not None:
            raise refuse(f"the input {one.name} {reason}")
    channels = 3 if contract.output.space == "rgb" else 2
    dims = graph.outputs[contract.output.name].dims
    if dims and (len(dims) != 4 or dims[1] not in (None, channels)):
        raise refuse(
            f"the output {contract.output.name} is {_shape(dims)}, for {contract.output.space} it must be "
            f"N x {channels} x h x w"
        )


def channels_of(one: Input, port: Port) -> int:
    """Of an input: luma can be given once or three times, as the graph has it."""
    if one.holds == "luma601" and len(port.dims) == 4 and port.dims[1] is not None:
        return port.dims[1]
    return {"gray_rgb_of_L": 3, "luma601": 3}.get(one.holds or "", 2 if one.role == "hint_ab" else 1)


def _input_problem(port: Port, one: Input, contract: Contract) -> str | None:
    if port.dtype != one.dtype:
        return f"is {port.dtype}, the contract says {one.dtype}"
    if len(port.dims) != 4:
        return f"is {_shape(port.dims)}, a picture is N x C x H x W"
    channels = channels_of(one, port)
    if port.dims[1] not in (None, channels) or channels not in (1, 2, 3):
        holds = one.holds or one.role
        return f"has {port.dims[1]} channels, {holds} has {channels}"
    if max(len(one.mean), len(one.std)) > 1 and {len(one.mean), len(one.std)} - {1, channels}:
        return f"has {channels} channels; mean and std need one number or {channels}"
    side, fixed = one.side or contract.size.side, [d for d in port.dims[2:] if d is not None]
    if any(length != side for length in fixed):
        return f"is fixed to {_shape(port.dims)}, the contract says {side} pixels"
    if fixed and contract.size.fit == "keep" and one.role != "picture_fixed":
        return f"is fixed to {_shape(port.dims)}, so size.fit must be stretch"
    return None


def _names(ports: Any) -> str:
    return ", ".join(sorted(ports)) or "none"


def _shape(dims: Dims) -> str:
    return " x ".join("?" if length is None else str(length) for length in dims)


def _port(value: onnx.ValueInfoProto, onnx: Any) -> Port:
    kind = value.type.tensor_type
    dims = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim)
    name = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
    return Port("float32" if name == "float" else name, dims)


def _refuse_external(model: onnx.ModelProto, name: str) -> None:
    for graph in _graphs(model, name):
        tensors = [*graph.initializer, *(a.t for node in graph.node for a in node.attribute)]
        tensors += [t for node in graph.node for a in node.attribute for t in a.tensors]
        sparse = [*graph.sparse_initializer, *(a.sparse_tensor for n in graph.node for a in n.attribute)]
        sparse += [s for node in graph.node for a in node.attribute for s in a.sparse_tensors]
        tensors += [part for one in sparse for part in (one.values, one.indices)]
        if any(t.external_data or t.data_location == t.EXTERNAL for t in tensors):
            raise WeightsError(
                f"the weights {name} keep tensors in other files; save them as one: onnx.save(model, path)"
            )


def _refuse_foreign_code(model: onnx.ModelProto, name: str) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    for graph in _graphs(model, name):
        for node in graph.node:
            if (node.domain, node.op_type) in own:
                continue
            if node.domain not in _DOMAINS or node.op_type in _REACHING:
                operator = f"{node.domain}:{node.op_type}" if node.domain else node.op_type
                raise WeightsError(
                    f"the weights {name} use the operator {operator}, which is code outside ONNX; "
                    "export them with standard operators only"
                )


def _graphs(model: onnx.ModelProto, name: str) -> Iterator[Any]:
    """The graph, those in its nodes, and the functions as graphs without tensors of their own."""
    yield from _nested(model.graph, name, 0)
    for function in model.functions:
        yield from _nested(_FunctionBody(function.node), name, 0)


@dataclass(frozen=True)
class _FunctionBody:
    node: Any
    initializer: tuple[()] = ()
    sparse_initializer: tuple[()] = ()


def _nested(graph: Any, name: str, depth: int) -> Iterator[Any]:
    if depth > _DEEPEST:
        raise WeightsError(f"the weights {name} nest more than {_DEEPEST} graphs in each other")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nested(attribute.g, name, depth + 1)
            for one in attribute.graphs:
                yield from _nested(one, name, depth + 1)
