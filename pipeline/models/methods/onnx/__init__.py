"""Third-party networks as ONNX files, each with a contract: DDColor, DeOldify, Zhang et al., others."""

from pipeline.models.methods.onnx.model import HintedOnnxColorizer, OnnxColorizer

__all__ = ["HintedOnnxColorizer", "OnnxColorizer"]
