"""Open the ONNX weights of a job before it starts: probe and pin them, so that all workers use the same."""

from __future__ import annotations

from pipeline.config.job import ModelConfig
from pipeline.errors import ConfigError
from pipeline.models.methods.onnx.weights import OnnxWeights

#: The photograph is decoded at this multiple of the graph's side, so that chroma can follow finer edges.
_DECODED = 2
_LARGEST = 4096  # of `ModelConfig.side`


def pin_onnx(model: ModelConfig, onnx: OnnxWeights) -> ModelConfig:
    """The section with the SHA-256 of the file in its URI and the whole contract in place of its location.

    The side at which photographs are decoded is twice the graph's where the user states none: a square of
    512 then has its 512 rows of a panorama, too, and its chroma meets edges that are finer than itself.

    Raises:
        ConfigError: an ONNX file does not support this precision. WeightsError: the probe fails.
    """
    if model.precision == "bf16":
        raise ConfigError(
            "configuration key 'model.precision' has the value 'bf16': an ONNX graph computes in its own "
            "data types; leave it out"
        )
    onnx.probe()
    assert model.weights is not None
    side = min(_DECODED * onnx.contract.size.side, _LARGEST) // 8 * 8
    return model.model_copy(
        update={
            "weights": f"{model.weights.partition('#')[0]}#sha256={onnx.sha256}",
            "contract": onnx.contract.model_dump(mode="json"),
            "precision": "fp32",
            "side": model.side if "side" in model.model_fields_set else max(side, 64),
        }
    )
