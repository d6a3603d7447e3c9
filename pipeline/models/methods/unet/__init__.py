"""U-Nets: plain or on a pretrained EfficientNet-Lite0, regressing chroma or predicting its distribution."""

from pipeline.models.methods.unet.model import UnetColorizer

__all__ = ["UnetColorizer"]
