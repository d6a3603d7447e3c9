"""The U-Nets with the common model interface, their losses and their two heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn import Parameter

from pipeline.color.spaces_torch import gray_level_t
from pipeline.models.ab_bins import BINS, TEMPERATURE, BinHead, annealed_mean, target_at
from pipeline.models.base import Objective, Temperature, TrainableColorizer, Width, label_loss
from pipeline.models.blocks import OutputConv, scaled
from pipeline.models.classifier_loss import classifier_losses
from pipeline.models.methods.unet.losses import AB_SCALE, regression_loss
from pipeline.models.methods.unet.network import (
    BLOCKS,
    VECTOR,
    Decoder,
    GlobalFeatures,
    PlainEncoder,
    PretrainedEncoder,
    padded,
)
from pipeline.models.signals import EVERY, Signals, bin_spread

PLAIN_DECODER = (512, 256, 128, 64)
PRETRAINED_DECODER = (96, 48, 32, 24)
BAND_PIXELS = 2048


class UnetColorizer(TrainableColorizer):
    """A U-Net that regresses chroma at 1/2 of the size, or predicts 313 ab bins at 1/4 (Zhang et al. 2016).

    `encoder` "plain" (at `width` of U-Net's channels) or "efficientnet_lite0" (pretrained; `width` is the
    decoder's; `frozen` of its 16 blocks do not learn, and where none does, weights hold the rest alone).
    `global_branch` adds a vector of the whole picture (Iizuka et al. 2016), from which with `classify` it
    learns to tell the photographs' `classes` labels apart too, as in the paper. `head`: "regression",
    "classification", or "both", which learns both on one trunk and colours with the share `blend` in [0, 1]
    of the second and the rest of the first (0: the regression alone); `variant` makes a network of either. A
    predicted distribution is first freed of the share `correction` in [0, 1] of its class rebalancing (for
    networks trained with lambda 0.5), then sharpened by `temperature` in (0, 1]; `gain` >= 0 multiplies the
    chroma. Raises ValueError outside these ranges, ConfigError without the pretrained encoder's package.
    """

    method: ClassVar[str] = "unet"
    options: ClassVar[tuple[str, ...]] = (
        "width", "encoder", "head", "frozen", "global_branch", "classify", "temperature",
    )  # fmt: skip
    learning: ClassVar[tuple[str, ...]] = ("frozen",)
    decoding: ClassVar[tuple[str, ...]] = ("temperature", "correction", "gain", "blend")
    normalisation = "plain: L/100, efficientnet_lite0: sRGB gray - 127/255 over 128/255; ab/110"

    def __init__(
        self,
        width: Width = 1.0,
        encoder: Literal["plain", "efficientnet_lite0"] = "plain",
        head: Literal["regression", "classification", "both"] = "regression",
        frozen: Annotated[int, Field(ge=0, le=BLOCKS)] = 0,
        global_branch: bool = False,
        classify: bool = False,
        temperature: Temperature = TEMPERATURE,
        gain: float = 1.0,
        correction: float = 0.0,
        blend: float = 0.0,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if not (0 < temperature <= 1 and 0 <= correction <= 1 and gain >= 0 and 0 <= blend <= 1):
            raise ValueError(
                f"temperature {temperature:g} must be in (0, 1], correction {correction:g} and "
                f"blend {blend:g} in [0, 1], gain {gain:g} not negative"
            )
        self._architecture: dict[str, Any] = {
            "width": width, "encoder": encoder, "head": head, "frozen": frozen,
            "temperature": temperature, "gain": gain, "correction": correction, "blend": blend,
        } | ({"global_branch": True} if global_branch else {})  # fmt: skip
        self._architecture |= {"classify": True, "classes": classes} if classify else {}
        self.pretrained = encoder == "efficientnet_lite0"
        self.temperature, self.correction, self.gain, self.blend = temperature, correction, gain, blend
        self.head = head
        if self.pretrained:
            self.encoder: PretrainedEncoder | PlainEncoder = PretrainedEncoder(frozen, top=global_branch)
            channels = tuple(max(8, round(n * width / 8) * 8) for n in PRETRAINED_DECODER)
        else:
            self.encoder = PlainEncoder(width)
            channels = tuple(scaled(n, width) for n in PLAIN_DECODER)
        deepest = self.encoder.channels[-1]
        self.global_features = (
            GlobalFeatures(self.encoder.feature_channels, deepest) if global_branch else None
        )
        self.classifier = nn.Linear(VECTOR, classes) if classify and classes else None
        self.decoder = Decoder(self.encoder.channels, channels)
        self.regression = OutputConv(channels[3], 2, 3, padding=1) if head != "classification" else None
        self.classification = OutputConv(channels[2], BINS, 1) if head != "regression" else None
        self.bins = BinHead() if head != "regression" else None

    @classmethod
    def checked_options(cls, options: Mapping[str, Any]) -> dict[str, Any]:
        checked = super().checked_options(options)
        if checked.get("classify") and not checked.get("global_branch"):
            raise ValueError("classify needs global_branch: true, whose vector it classifies")
        return checked

    @classmethod
    def takes_classifier_loss(cls, options: Mapping[str, Any]) -> bool:
        return options.get("head") != "classification"

    @classmethod
    def takes_discriminator(cls, options: Mapping[str, Any]) -> bool:
        return True

    @property
    def context_channels(self) -> int:
        return self.encoder.channels[-2]

    @classmethod
    def start(cls, options: Mapping[str, Any], classes: int) -> TrainableColorizer:
        network = cls(**options, classes=classes if options.get("classify") else 0)
        if isinstance(network.encoder, PretrainedEncoder):
            network.encoder.fill()
        return network

    def architecture(self) -> dict[str, Any]:
        return dict(self._architecture)

    @property
    def classes(self) -> int:
        return self.classifier.out_features if self.classifier is not None else 0

    @property
    def bin_head(self) -> BinHead | None:
        return self.bins

    def pretrained_parameters(self) -> list[Parameter]:
        return list(self.encoder.parameters()) if self.pretrained else []

    def variants(self) -> tuple[str, ...]:
        return ("regression", "classification") if self.head == "both" else ()

    def variant(self, name: str) -> UnetColorizer:
        if name not in self.variants():
            raise ValueError(f"a U-Net with head {self.head!r} has no variant {name!r}")
        network = UnetColorizer(**(self._architecture | {"head": name, "blend": 0.0}))
        kept = set(network.state_dict())
        network.load_state_dict({key: value for key, value in self.state_dict().items() if key in kept})
        return network

    def _features(self, L_B1HW: Tensor) -> _Features:
        x = L_B1HW / 100.0
        if self.pretrained:
            x = (gray_level_t(L_B1HW) - 127 / 255) * (255 / 128)
        maps = self.encoder(padded(x).contiguous(memory_format=torch.channels_last))
        vector, pooled = None, None
        if self.global_features is not None:
            pooled = self.encoder.features(maps[-1])
            maps[-1], vector = self.global_features(pooled, maps[-1])
        at_quarter, at_half = self.decoder(maps)
        return _Features(at_quarter, at_half, vector, pooled, maps[-2])

    def _classified(self, features_BChw: Tensor) -> Tensor:
        """Chroma of the distributions at these features, on a CPU in bands of rows, whose 313 numbers a pixel
        stay in the cache."""
        assert self.classification is not None
        height, width = features_BChw.shape[-2:]
        # a graph that is exported is for any height: it cannot count its bands
        if torch.jit.is_tracing():  # type: ignore[no-untyped-call, attr-defined]
            return self._decoded(self.classification(features_BChw))
        rows = height if features_BChw.is_cuda else max(1, BAND_PIXELS // width)
        bands = torch.split(features_BChw, rows, 2)
        return torch.cat([self._decoded(self.classification(band), overwrite=True) for band in bands], 2)

    def _decoded(self, logits_BQhw: Tensor, *, overwrite: bool = False) -> Tensor:
        """The chroma of a predicted distribution, Lab units, B x 2 x h x w; see `annealed_mean`."""
        assert self.bins is not None
        if self.correction:
            logits_BQhw = self.bins.without_rebalancing(logits_BQhw, self.correction)
        return annealed_mean(logits_BQhw, self.temperature, overwrite=overwrite)

    @torch.inference_mode()
    def predict_ab(self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None) -> Tensor:
        """As `Colorizer.predict_ab`; h, w = H/2, W/2 by regression, H/4, W/4 by classification alone."""
        return self._predict(L_B1HW, guides)[0]

    @torch.inference_mode()
    def predict_with_signals(
        self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Signals]:
        """As `Colorizer.predict_with_signals`: the encoder's features where there is a global branch, the
        spread where there are bins."""
        ab_B2hw, at_quarter, pooled, regressed = self._predict(L_B1HW, guides)
        signals, start = Signals(None if pooled is None else pooled.float()), EVERY // 2
        if self.classification is not None:
            with torch.autocast(L_B1HW.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                some = at_quarter[..., start::EVERY, start::EVERY]
                logits = self.classification(some.contiguous(memory_format=torch.channels_last))
            other = (
                None if regressed is None else regressed[..., 2 * start :: 2 * EVERY, 2 * start :: 2 * EVERY]
            )
            signals = Signals(signals.features_BF, *bin_spread(logits, other))
        return ab_B2hw, signals

    def _predict(
        self, L_B1HW: Tensor, guides: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """The chroma, the features at 1/4 of the size that the bins are read from, the encoder's, and what
        the regression alone guesses."""
        self.check_input(L_B1HW, guides)
        height, width = L_B1HW.shape[-2:]
        with torch.autocast(L_B1HW.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            features = self._features(L_B1HW)
            at_quarter = features.at_quarter[..., : height // 4, : width // 4]
            regressed, classified = None, None
            if self.regression is not None and (self.blend < 1 or self.classification is None):
                unit = self.regression(features.at_half)[..., : height // 2, : width // 2]
                regressed = unit.float() * AB_SCALE
            if self.classification is not None and (self.blend or regressed is None):
                classified = self._classified(at_quarter)
        return self._mixed(regressed, classified), at_quarter, features.pooled, regressed

    def _mixed(self, regressed_B2hw: Tensor | None, classified_B2hw: Tensor | None) -> Tensor:
        """The chroma that the network shows, Lab units: `blend` of what the heads guess, times `gain`."""
        ab = classified_B2hw if regressed_B2hw is None else regressed_B2hw
        assert ab is not None
        if regressed_B2hw is not None and classified_B2hw is not None:
            finer = F.interpolate(classified_B2hw, ab.shape[-2:], mode="bilinear", align_corners=False)
            ab = (1 - self.blend) * ab + self.blend * finer
        return (ab * self.gain).contiguous()

    def forward(
        self, L_B1HW: Tensor, ab_B2HW: Tensor, label_B: Tensor, objective: Objective
    ) -> dict[str, Tensor]:
        """Error of ab/110 at 1/2, cross-entropy over bins at 1/4, or the first + `bins` x the second; to the
        first the `classifier_losses` may be added, to all `alpha` x the `label_loss` of what it `classify`s.

        The errors of ab: `losses.regression_loss`.

        With `objective.shown` also the chroma as `predict_ab` shows it ("shown", with its gradient), and the
        encoder's features at 1/16 ("context", without).
        """
        height, width = L_B1HW.shape[-2:]
        at_quarter, at_half, vector, _, middle = self._features(L_B1HW)
        unit, logits = None, None
        losses: dict[str, Tensor] = {}
        loss = L_B1HW.new_zeros(())
        if self.regression is not None:
            unit = self.regression(at_half)[..., : height // 2, : width // 2].float()
            target = target_at(ab_B2HW, (height // 2, width // 2)) / AB_SCALE
            loss = regression_loss(objective.regression, L_B1HW, unit, target)
            losses["color"] = loss.detach()
        if self.classification is not None:
            assert self.bins is not None
            logits = self.classification(at_quarter)[..., : height // 4, : width // 4]
            cross = self.bins.loss(logits, target_at(ab_B2HW, (height // 4, width // 4)), objective.uniform)
            losses["bins"] = cross.detach()
            loss = cross if self.regression is None else loss + objective.bins * cross
        if unit is not None and (objective.perceptual or objective.semantic):
            distance, divergence = classifier_losses(L_B1HW, unit * AB_SCALE, ab_B2HW)
            losses |= {"perceptual": distance.detach(), "semantic": divergence.detach()}
            loss = loss + objective.perceptual * distance + objective.semantic * divergence
        if self.classifier is not None and vector is not None:
            cross = label_loss(self.classifier(vector), label_B)
            losses["class"] = cross.detach()
            loss = loss + objective.alpha * cross
        if objective.shown:
            regressed = None if unit is None else unit * AB_SCALE
            losses["shown"] = self._mixed(regressed, None if logits is None else self._decoded(logits))
            losses["context"] = middle.detach().float()
        return {"loss": loss, **losses}


class _Features(NamedTuple):
    """Features at 1/4 and at 1/2 of the (padded) size, the global branch's vector, the encoder's features
    that it is made of, and its map at 1/16."""

    at_quarter: Tensor
    at_half: Tensor
    vector: Tensor | None
    pooled: Tensor | None
    middle: Tensor
