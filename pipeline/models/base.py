"""The common interface of all methods: physical units in and out. Each method normalises internally."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_type_hints

import torch
import torch.nn.functional as F
from pydantic import Field, ValidationError, create_model
from torch import Tensor, nn

from pipeline.config.section import Section
from pipeline.models.ab_bins import BinHead
from pipeline.models.signals import Signals

PRECISIONS = ("auto", "fp32", "bf16")

Width = Annotated[float, Field(gt=0, le=2, description="factor on the channels that the source gives")]
"""An option of most networks."""

Temperature = Annotated[float, Field(gt=0, le=1, description="of the annealed mean over ab bins")]


class Colorizer(nn.Module, ABC):
    """A network that guesses chroma from luminance.

    `method`: its name in the registry. `guides`: what it takes besides luminance. `needs`: guides without
    which it cannot colour. `trainable`: whether it is a `TrainableColorizer`. `revision` identifies the
    results of a method without weights; raise it with every change of them. `precision` ("fp32" or "bf16") is
    set by the code that loads it.
    """

    method: ClassVar[str]
    guides: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[frozenset[str]] = frozenset()
    trainable: ClassVar[bool] = False
    revision: ClassVar[int] = 1
    precision: str = "fp32"

    @classmethod
    def guides_of(cls, architecture: Mapping[str, Any]) -> frozenset[str]:
        """The guides that a network of this architecture takes, without building it."""
        return cls.guides

    @abstractmethod
    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """CIELAB D65 chroma for luminance.

        `L_B1HW`: float32, L* in [0, 100], H and W multiples of 8, on the colorizer's device. Returns
        `ab_B2hw`: float32 in Lab units, h and w may be H/2 and W/2. Calls keep no state, and images of a
        batch do not affect each other. Raises ValueError for another shape or unknown guides.
        """

    def predict_with_signals(
        self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Signals]:
        """The same chroma as `predict_ab`, bit for bit, and signals about its quality; by default none."""
        return self.predict_ab(L_B1HW, guides), Signals()

    def check_input(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None) -> None:
        """Raises ValueError if the arguments of `predict_ab` are invalid."""
        shape = tuple(L_B1HW.shape)
        if len(shape) != 4 or shape[1] != 1 or shape[2] % 8 or shape[3] % 8 or not all(shape):
            raise ValueError(f"{self.method} needs L as B x 1 x H x W, H and W multiples of 8; got {shape}")
        unknown = set(guides or {}) - self.guides
        if unknown:
            raise ValueError(f"{self.method} takes no guide {', '.join(sorted(unknown))}")
        missing = self.needs - set(guides or {})
        if missing:
            raise ValueError(f"{self.method} needs the guide {', '.join(sorted(missing))}")

    def picture_guide(
        self, guides: Mapping[str, Tensor] | None, name: str, channels: int, batch: int
    ) -> Tensor | None:
        """A guide with one picture per image, B x `channels` x h x w; None if not given.

        h and w are multiples of 8 and need not be the image's. Raises ValueError for another shape.
        """
        guide = (guides or {}).get(name)
        if guide is None:
            return None
        shape = tuple(guide.shape)
        if (
            len(shape) != 4
            or shape[:2] != (batch, channels)
            or shape[2] % 8
            or shape[3] % 8
            or not all(shape)
        ):
            raise ValueError(
                f"{self.method} needs the guide {name} as {batch} x {channels} x h x w, h and w multiples "
                f"of 8; got {shape}"
            )
        return guide


@dataclass(frozen=True)
class Objective:
    """What a training run minimises; each method reads the fields that it uses.

    `alpha`: weight of the photographs' class label against the colour term (Iizuka et al., equation 3);
    `reduction`: "sum" or "mean" of an image's squared errors; `regression`: "l2" or "smooth_l1" of ab, or
    "psnr" of the colours, or "delta_e", what people see of it;
    `uniform`: None, or the lambda of class rebalancing (Zhang et al., equation 4); `bins`: weight of the
    cross-entropy over ab bins beside a regression loss, for networks with both heads; `perceptual`,
    `semantic`: weights of the losses of `models.classifier_loss` beside a regression; `shown`: whether to
    return also what a discriminator sees.
    """

    alpha: float = 0.0
    reduction: Literal["sum", "mean"] = "mean"
    regression: Literal["l2", "smooth_l1", "psnr", "delta_e"] = "l2"
    uniform: float | None = None
    bins: float = 0.05
    perceptual: float = 0.0
    semantic: float = 0.0
    shown: bool = False


class TrainableColorizer(Colorizer):
    """A colorizer that can be trained. Calling the module computes its losses, so `DistributedDataParallel`
    can wrap it directly.

    `options`: constructor arguments that a training configuration may set; their annotations say which values
    are allowed. `learning`: those of them that control what is trained but do not change the computation.
    `decoding`: those that may still be chosen after training; they control how predictions become colour.
    `ab_range` and `normalisation` say, for the weights file, how ab becomes the network's numbers.
    `exportable`: whether `predict_ab` uses only torch operators, so that it can be traced.
    """

    trainable: ClassVar[bool] = True
    exportable: ClassVar[bool] = True
    options: ClassVar[tuple[str, ...]] = ()
    learning: ClassVar[tuple[str, ...]] = ()
    decoding: ClassVar[tuple[str, ...]] = ()
    ab_range: ClassVar[tuple[float, float]] = (-110.0, 110.0)
    normalisation: str = ""

    @classmethod
    def checked_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        """`options` with the types of the constructor's annotations; None stands for the default.

        Raises ValueError, in one line, for a name that `cls.options` has not and for a value that its
        annotation does not allow.
        """
        unknown = [name for name in options if name not in cls.options]
        if unknown:
            raise ValueError(
                f"{unknown[0]} is not an option of the method {cls.method}; allowed: {', '.join(cls.options)}"
            )
        hints = get_type_hints(cls.__init__, include_extras=True)
        fields: Any = {name: (hints[name] | None, None) for name in cls.options}
        try:
            checked = create_model(f"{cls.__name__}Options", __base__=Section, **fields)(**options)
        except ValidationError as error:
            first = error.errors()[0]
            reason = first["msg"][0].lower() + first["msg"][1:]
            raise ValueError(f"{first['loc'][0]} has the value {first['input']!r}: {reason}") from None
        return checked.model_dump(exclude_unset=True)

    @classmethod
    def takes_classifier_loss(cls, options: Mapping[str, Any]) -> bool:
        """Whether the network with these options uses `Objective.perceptual` and `Objective.semantic`."""
        return False

    @classmethod
    def takes_discriminator(cls, options: Mapping[str, Any]) -> bool:
        """Whether the network with these options knows `Objective.shown`. Its decoding then has a `blend` and
        a `gain`, and `context_channels` says how many features it gives a discriminator."""
        return False

    @property
    def context_channels(self) -> int:
        """Channels of the "context" that `forward` returns with `Objective.shown`."""
        return 0

    @classmethod
    def start(cls, options: Mapping[str, Any], classes: int) -> TrainableColorizer:
        """A network to train from the beginning: random, or pretrained, by the options.

        `classes`: labels of the photographs, for methods that learn to classify; others ignore it.
        """
        return cls(**options)

    @property
    def classes(self) -> int:
        """Labels that this network learns to tell apart; 0 where it learns colour only."""
        return 0

    @property
    def bin_head(self) -> BinHead | None:
        """Where the prior over ab bins belongs that is measured on the training photographs, if anywhere."""
        return None

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Parameters that start pretrained, and may have their own learning rate."""
        return []

    @abstractmethod
    def forward(
        self, L_B1HW: Tensor, ab_B2HW: Tensor, label_B: Tensor, objective: Objective
    ) -> dict[str, Tensor]:
        """Losses of one batch as scalars; "loss" is the one to minimise. `label_B` is -1 where unknown.

        With `objective.shown` also "shown", the chroma that `predict_ab` shows, B x 2 x h x w, Lab units, h
        and w whole divisors of H and W; and "context", features of the picture at 1/16 of its padded size,
        B x `context_channels` x h x w. The first has a gradient, the second has none.
        """

    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """Keyword arguments that build this network again, JSON values only."""

    def variants(self) -> tuple[str, ...]:
        """Names that `variant` accepts to extract a separate network; usually none."""
        return ()

    def variant(self, name: str) -> TrainableColorizer:
        """One of `variants`, sharing this network's tensors. Raises ValueError for another name."""
        raise ValueError(f"{self.method} as it was trained has no variant {name!r}")


def label_loss(logits_BK: Tensor, label_B: Tensor) -> Tensor:
    """Mean cross-entropy over the images whose label is known (not -1); 0 where none is."""
    # ignore_index leaves unlabelled images out; the sum over none of them must be 0, not NaN.
    known = (label_B >= 0).sum().clamp(min=1)
    return F.cross_entropy(logits_BK.float(), label_B, ignore_index=-1, reduction="sum") / known


@dataclass(frozen=True)
class LoadedColorizer:
    """A colorizer ready for prediction: `precision` is what it runs at, never "auto"."""

    colorizer: Colorizer
    method: str
    weights_digest: str
    precision: str


def resolve_precision(precision: str, device: str) -> str:
    """ "auto" becomes "bf16" where the hardware multiplies bfloat16 faster than float32, else "fp32".

    Raises ValueError for a name that is none of PRECISIONS.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not one of {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision
    if torch.device(device).type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    # Measured: 3 times the images per second of float32 with AMX; without these instructions it is emulated.
    capable = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if capable else "fp32"
