"""Iizuka's network with the common model interface (normalised to [0, 1] inside), and its training loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pipeline.models.base import Objective, TrainableColorizer, Width, label_loss
from pipeline.models.methods.iizuka.network import GLOBAL_SIDE, IizukaNetwork
from pipeline.models.methods.iizuka.spaces import AB_RANGE, CHANNELS, NORMALISATION, chroma_of, target_unit


class IizukaColorizer(TrainableColorizer):
    """Global and local image priors, fused (Iizuka et al., SIGGRAPH 2016); the layers are in `network.py`.

    `width` scales the paper's channels; `classes` is the number of training labels (0: no classification
    loss); without `global_branch` it is the paper's baseline; `global_side`, a multiple of 32, is the square
    that the global branch sees; `space` ("lab", "yuv", "rgb") is where the network predicts and its loss is.

    The guide "style", B x 1 x h x w, is the L* of another picture whose global features take the place of the
    image's own (the paper calls it style transfer); the baseline has none and takes none.
    """

    method: ClassVar[str] = "iizuka"
    guides: ClassVar[frozenset[str]] = frozenset({"style"})
    options: ClassVar[tuple[str, ...]] = ("width", "global_branch", "global_side", "space")
    ab_range: ClassVar[tuple[float, float]] = AB_RANGE
    normalisation = NORMALISATION["lab"]

    def __init__(
        self,
        width: Width = 1.0,
        classes: int = 0,
        global_branch: bool = True,
        global_side: Annotated[int, Field(ge=32, le=512, multiple_of=32)] = GLOBAL_SIDE,
        space: Literal["lab", "yuv", "rgb"] = "lab",
    ) -> None:
        super().__init__()
        built: dict[str, Any] = {"width": width, "classes": classes, "global_branch": global_branch}
        # The defaults are left out, as in older weights, from before there were these options.
        built |= {"global_side": global_side} if global_side != GLOBAL_SIDE else {}
        built |= {"space": space} if space != "lab" else {}
        self._architecture = built
        self.space, self.global_side = space, global_side
        self.normalisation = NORMALISATION[space]
        self.guides = self.guides_of(built)  # type: ignore[misc]  # of this network alone
        self.network = IizukaNetwork(width, classes, global_branch, global_side, CHANNELS[space])

    @classmethod
    def guides_of(cls, architecture: Mapping[str, Any]) -> frozenset[str]:
        """None without a global branch: there are no features to replace."""
        return cls.guides if architecture.get("global_branch", True) else frozenset()

    @classmethod
    def start(cls, options: Mapping[str, Any], classes: int) -> TrainableColorizer:
        has_classifier = options.get("global_branch", True)
        return cls(**options, classes=classes if has_classifier else 0)

    @property
    def classes(self) -> int:
        return int(self._architecture["classes"])

    def architecture(self) -> dict[str, Any]:
        return dict(self._architecture)

    def _run(self, L_B1HW: Tensor, style_B1hw: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The network's numbers and class logits (of the style, where there is one)."""
        x = (L_B1HW / 100.0).contiguous(memory_format=torch.channels_last)
        square = (self.global_side, self.global_side)
        whole = x if style_B1hw is None else style_B1hw / 100.0
        if self.network.global_features is None or (whole is x and x.shape[-2:] == square):
            unit, logits = self.network(x)
        else:
            resized = F.interpolate(whole, square, mode="bilinear", antialias=True, align_corners=False)
            resized = resized.contiguous(memory_format=torch.channels_last)
            unit, logits = self.network(x, resized)
        return unit, logits

    @torch.inference_mode()
    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """As `Colorizer.predict_ab`; h, w = H/2, W/2, and every value lies in AB_RANGE."""
        self.check_input(L_B1HW, guides)
        style_B1hw = self.picture_guide(guides, "style", 1, L_B1HW.shape[0])
        with torch.autocast(L_B1HW.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            unit, _ = self._run(L_B1HW, style_B1hw)
        return chroma_of(self.space, unit.float(), F.avg_pool2d(L_B1HW, 2)).contiguous()

    def forward(
        self, L_B1HW: Tensor, ab_B2HW: Tensor, label_B: Tensor, objective: Objective
    ) -> dict[str, Tensor]:
        """The paper's loss (equation 3): squared error in [0, 1] of the network's colour space, plus alpha x
        cross-entropy of the label.

        The target is brought to the output's half size by averaging, as in the paper. `reduction` "sum" adds
        the squared errors of an image (then averages over images): the paper's Frobenius norm, to which its
        alpha = 1/300 belongs; "mean" averages over an image's values, 25,088 of them at 224x224.
        """
        unit, logits = self._run(L_B1HW)
        target = target_unit(self.space, F.avg_pool2d(L_B1HW, 2), F.avg_pool2d(ab_B2HW, 2))
        squared = (unit.float() - target).square()
        color = squared.flatten(1).sum(1).mean() if objective.reduction == "sum" else squared.mean()
        losses = {"loss": color, "color": color.detach()}
        if logits is not None:
            cross = label_loss(logits, label_B)
            losses |= {"loss": color + objective.alpha * cross, "class": cross.detach()}
        return losses
