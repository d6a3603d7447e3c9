"""Import an ONNX file: check it, probe it, and pin both in a contract."""

from __future__ import annotations

from dataclasses import replace

from pipeline.config.storage import StorageConfig
from pipeline.models.methods.onnx.contract import Probe, contract_yaml
from pipeline.models.methods.onnx.find import ready_contracts
from pipeline.models.methods.onnx.weights import OnnxWeights, read_onnx
from pipeline.models.weights_location import ONNX_SUFFIX, SCHEME, refuse_no_onnx
from pipeline.models.weights_registry import WeightsRegistry
from pipeline.storage import open_store

_DIGITS = 3  # of the probe's mean, Lab units: far below any tolerance


def import_weights(
    source: str, contract: str | None, registry: str | None, storage: StorageConfig | None = None
) -> str:
    """Check an ONNX file, run the probe, pin both in its contract, and store it.

    Args:
        source: path or URI of the file, optionally with `#sha256=HEX`.
        contract: path or URI of one, or the name of a ready-made one; None: search for it as the job does.
        registry: URI/NAME for file and contract; the file becomes the champion of that name. None: only write
            the contract, next to the file.

    Returns:
        Lines for a person: what it is, the result of the probe, and how to use it.

    Raises:
        ConfigError: the file's name is not that of an ONNX file. WeightsError: a check or the probe fails.
        StorageError: as the store does.
    """
    refuse_no_onnx(source)
    ready = ready_contracts().get(contract or "")
    onnx = read_onnx(source, storage, contract if ready is None else ready.model_dump(mode="json"))
    probed = onnx.probe()
    stated = onnx.contract.probe or Probe(
        mean_ab=(round(probed.mean_ab[0], _DIGITS), round(probed.mean_ab[1], _DIGITS))
    )
    pinned = onnx.contract.model_copy(update={"sha256": (onnx.sha256,), "probe": stated})
    onnx = replace(onnx, contract=pinned)
    place, weights = _stored(onnx, source, registry, storage)
    mean = ", ".join(f"{value:.2f}" for value in probed.mean_ab)
    return "\n".join(
        [
            f"model    {onnx.card.name}, licence {onnx.card.terms}, from {onnx.card.source}",
            f"file     {len(onnx.data):,} bytes, sha256 {onnx.sha256}",
            f"probe    mean a, b {mean}; mean chroma {probed.mean_chroma:.2f}",
            f"contract {place}",
            f"use it   --weights {weights}",
        ]
    )


def _stored(
    onnx: OnnxWeights, source: str, registry: str | None, storage: StorageConfig | None
) -> tuple[str, str]:
    """Where the contract is, and what to pass to `--weights`."""
    location = source.partition("#")[0]
    if registry is not None:
        catalog = WeightsRegistry(registry.removeprefix(SCHEME), storage)
        catalog.store.check_writable()
        entry = catalog.add(onnx, source)
        uri = f"{catalog.uri}/weights/{onnx.sha256}.yaml"
        return f"{uri}, entry {entry.number}", f"{SCHEME}{catalog.uri}"
    folder, _, name = (location[: -len(ONNX_SUFFIX)] + ".yaml").rpartition("/")
    store = open_store(folder or ("/" if location.startswith("/") else "."), storage or StorageConfig())
    store.put(name, contract_yaml(onnx.contract).encode(), "application/yaml")
    return f"{store.uri}/{name}", location
