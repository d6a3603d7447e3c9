"""onnxruntime: one session for each worker, on the cores that the worker has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ConfigError, FailureCode, ImageFailure, WeightsError

F32 = NDArray[np.float32]
_BFLOAT16 = 16  # as ONNX numbers its types
_QUIET = 4  # log only fatal errors; others are raised and reported in one line


class Session:
    """A graph, loaded, that computes on so many cores. Raises WeightsError where it cannot be loaded."""

    def __init__(self, data: bytes, name: str, device: str, threads: int = 1) -> None:
        runtime = _import_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _QUIET
        try:
            self._session = runtime.InferenceSession(data, options, providers=_providers(runtime, device))
        except Exception as error:  # onnxruntime's own classes have no common base but this one
            raise WeightsError(f"onnxruntime cannot load the weights {name}: {_words(error)}") from None
        self._runtime = runtime
        self._types = {one.name: one.type for one in self._session.get_inputs()}

    def __call__(self, feeds: Mapping[str, F32], output: str) -> F32:
        """The output for these inputs, float32.

        Raises:
            ImageFailure: INTERNAL_ERROR where the graph fails for them, OUT_OF_MEMORY where memory does.
        """
        try:
            if any(kind == "tensor(bfloat16)" for kind in self._types.values()):
                return self._run_bfloat16(feeds, output)
            typed = {name: value.astype(self._dtype(name), copy=False) for name, value in feeds.items()}
            (result,) = self._session.run([output], typed)
        except Exception as error:
            words = _words(error)
            code = FailureCode.OUT_OF_MEMORY if "alloc" in words.lower() else FailureCode.INTERNAL_ERROR
            raise ImageFailure(code, f"the ONNX graph fails for it: {words}") from None
        return np.asarray(result, np.float32)

    def _dtype(self, name: str) -> type[np.float16] | type[np.float32]:
        return np.float16 if self._types[name] == "tensor(float16)" else np.float32

    def _run_bfloat16(self, feeds: Mapping[str, F32], output: str) -> F32:
        """numpy has no bfloat16: it is the upper half of a float32, rounded to even."""
        values = {}
        for name, value in feeds.items():
            if self._types[name] == "tensor(bfloat16)":
                bits = np.ascontiguousarray(value, np.float32).view(np.uint32)
                half = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
                values[name] = self._runtime.OrtValue.ortvalue_from_numpy_with_onnx_type(half, _BFLOAT16)
            else:
                typed = np.ascontiguousarray(value, self._dtype(name))
                values[name] = self._runtime.OrtValue.ortvalue_from_numpy(typed)
        (result,) = self._session.run_with_ort_values([output], values)
        if result.data_type() != "tensor(bfloat16)":
            return np.asarray(result.numpy(), np.float32)
        import torch

        return torch.utils.dlpack.from_dlpack(result._ortvalue.to_dlpack()).float().numpy()


def _providers(runtime: Any, device: str) -> list[Any]:
    """CPU alone, or CUDA with the CPU for what it lacks. Raises ConfigError where there is no CUDA."""
    kind, _, number = device.partition(":")
    if kind != "cuda":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in runtime.get_available_providers():
        raise ConfigError(
            "ONNX weights on a GPU need the package onnxruntime-gpu instead of onnxruntime; without it set "
            "run.gpus=0"
        )
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]


def _import_runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(
            "ONNX weights need the packages onnx and onnxruntime: pip install 'fiat-color[onnx]'"
        ) from None
    return onnxruntime


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
