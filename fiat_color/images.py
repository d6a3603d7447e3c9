"""One image in memory: `colorize_image`, and the `Weights` that colour it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

    from pipeline.models.base import LoadedColorizer


@dataclass(frozen=True)
class Weights:
    """Weights that colour.

    Attributes:
        uri: the name of weights that ship ("faithful", "vivid" ...), a path or URI, optional #sha256=...
    """

    uri: str = "faithful"

    @staticmethod
    def shipped() -> tuple[str, ...]:
        """The names of all weights that ship, the default first."""
        from pipeline.models.shipped_cards import shipped_cards

        return tuple(shipped_cards())

    @property
    def method(self) -> str:
        """The colouring method that they are for. Raises ConfigError where they cannot be had."""
        return _loaded(self.uri).method

    @property
    def sha256(self) -> str:
        """SHA-256 of the file (of an ONNX file with its contract), 64 hex digits. Raises as `method`."""
        return _loaded(self.uri).weights_digest

    @property
    def licence(self) -> str | None:
        """Who may use them; None for weights that nobody published. Raises as `method`."""
        from pipeline.models.method_list import open_weights

        card = open_weights(None, self.uri).card
        return None if card is None else card.terms


@lru_cache(maxsize=4)
def _loaded(uri: str) -> LoadedColorizer:
    from pipeline.models.method_list import load_colorizer

    return load_colorizer(None, uri, precision="fp32")


def colorize_image(
    image: Image, weights: Weights | str = "faithful", *, side: int = 384, chroma: float = 1.0
) -> Image:
    """A photograph with colours, of the same size; its lightness stays (by less than 1 L* of 100).

    It runs here, on one core, without Ray. The first call with weights loads them: seconds.

    Args:
        image: any mode of Pillow's that PNG holds; 16-bit gray is read as such. Its own colour is replaced.
        side: longest side that the network sees, in pixels, a multiple of 8.
        chroma: factor on the predicted chroma, 0 to 3.

    Returns:
        8-bit sRGB: RGB, or RGBA where the image has transparency.

    Raises:
        pipeline.errors.ConfigError: the weights cannot be had, or need a guide.
        pipeline.errors.ImageFailure: the image is too large, empty or of a mode that is not read.
        ValueError: `side` or `chroma` is out of range.
    """
    import numpy as np
    from PIL import Image as Pictures

    from pipeline.codecs.in_memory import Decoded, DecodeLimits, decode
    from pipeline.config.job import LimitsConfig, ModelConfig
    from pipeline.errors import FailureCode, ImageFailure
    from pipeline.shard.compose.composer import ComposeSettings, compose
    from pipeline.shard.predict import Predictor

    ModelConfig(side=side, chroma=chroma)  # raises ValueError
    loaded, limits = _loaded(weights.uri if isinstance(weights, Weights) else weights), LimitsConfig()
    buffer = io.BytesIO()
    try:
        image.save(buffer, "PNG", compress_level=1)
    except (OSError, SystemError) as error:  # SystemError: an image without pixels
        raise ImageFailure(FailureCode.UNSUPPORTED, f"the image cannot be read: {error}") from None
    decoded = decode(
        buffer.getvalue(), "image.png", None, DecodeLimits(pixels=limits.pixels, memory=limits.memory),
        model_side=side, skip_color=False, color_threshold=0.0,
    )  # fmt: skip
    assert isinstance(decoded, Decoded)  # a PNG, and no colour is skipped
    (ab,) = Predictor(loaded.colorizer, device="cpu", batch=None)([decoded.model_L])
    rgb = compose(decoded.L_u16, ab, decoded.alpha, ComposeSettings(chroma)).rgb
    if decoded.alpha is not None:
        rgb = np.dstack([rgb, decoded.alpha])
    return Pictures.fromarray(rgb)
