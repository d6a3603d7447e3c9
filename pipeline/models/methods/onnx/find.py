"""Find the contract of an ONNX file: stated, next to it, inside it, or a ready-made one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import IMPORT_ROOT
from pipeline.config.storage import StorageConfig
from pipeline.errors import AccessDenied, ObjectMissing, WeightsError
from pipeline.models.methods.onnx.contract import Contract, contract_of, parse_contract
from pipeline.models.methods.onnx.graph import Graph
from pipeline.models.weights_location import ONNX_SUFFIX, fetch_weights, split_digest
from pipeline.storage import open_store

_READY = Path("configs") / "models"


def ready_contracts() -> dict[str, Contract]:
    """The contracts in configs/models, which the package brings, and of the working folder; by name."""
    folders = [IMPORT_ROOT / "pipeline" / _READY, Path.cwd() / _READY]
    files = (file for folder in folders for file in sorted(folder.glob("*.yaml")))
    ready: dict[str, Contract] = {}
    for file in files:
        ready.setdefault(file.stem, parse_contract(file.read_bytes(), str(file)))
    return ready


def find_contract(
    weights: str,
    sha256: str,
    graph: Graph,
    stated: str | dict[str, Any] | None,
    storage: StorageConfig | None,
) -> Contract:
    """The contract of the file at `weights`, whose bytes have this SHA-256.

    In this order: `stated`, a contract as a mapping or its location; NAME.yaml next to NAME.onnx; the one in
    the file's metadata; a ready-made one for these bytes; a ready-made one with this name.

    Raises:
        WeightsError: there is none; it is damaged; it is for a file of another SHA-256. StorageError: as the
            store does.
    """
    location, _ = split_digest(weights)
    contract, where = next(_candidates(location, sha256, graph, stated, storage), (None, ""))
    if contract is None:
        ready = ", ".join(ready_contracts()) or "none are installed"
        raise WeightsError(
            f"the weights {location} have no contract, which describes the graph's inputs: write "
            f"{Path(location).stem}.yaml next to them (docs/models.md), or name one with model.contract; "
            f"ready-made: {ready}"
        )
    if contract.sha256 and sha256 not in contract.sha256:
        raise WeightsError(
            f"the contract {where} is for a file of sha256 {contract.sha256[0]}; {location} has {sha256}"
        )
    return contract


def _candidates(
    location: str,
    sha256: str,
    graph: Graph,
    stated: str | dict[str, Any] | None,
    storage: StorageConfig | None,
) -> Iterator[tuple[Contract, str]]:
    if isinstance(stated, dict):
        yield contract_of(stated, "model.contract"), "model.contract"
    elif stated is not None:
        yield parse_contract(fetch_weights(stated, storage)[0], stated), stated
    beside = location[: -len(ONNX_SUFFIX)] + ".yaml"
    if (text := _read_if_there(beside, storage or StorageConfig())) is not None:
        yield parse_contract(text, beside), beside
    if graph.contract is not None:
        yield parse_contract(graph.contract, f"inside {location}"), f"inside {location}"
    ready = ready_contracts()
    yield from ((one, one.name) for one in ready.values() if sha256 in one.sha256)
    if (of_name := ready.get(Path(location).stem.lower())) is not None:
        yield of_name, of_name.name


def _read_if_there(location: str, storage: StorageConfig) -> bytes | None:
    folder, _, name = location.rpartition("/")
    try:
        return open_store(folder or ("/" if location.startswith("/") else "."), storage).get(name).data
    except (ObjectMissing, AccessDenied):  # who may not list a bucket is told 403 of what is not there
        return None
