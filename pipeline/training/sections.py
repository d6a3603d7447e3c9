"""The sections of `jobs/train.py`'s configuration, except the network's, which only torch can check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, field_validator

from pipeline.config.job import DEFAULT_METHOD
from pipeline.config.section import Quantity, Section
from pipeline.config.storage import StorageConfig

if TYPE_CHECKING:
    from pipeline.models.base import Objective


class AugmentConfig(Section):
    """Changes to the input luminance only, so that training covers what old photographs look like."""

    gamma: float = Field(1.3, ge=1, le=3, description="L* to a power between 1/gamma and gamma")
    contrast: float = Field(0.2, ge=0, lt=1, description="factor between 1 - contrast and 1 + contrast")
    brightness: float = Field(6.0, ge=0, le=50, description="shift up to this, L* units")
    blur: float = Field(1.5, ge=0, le=8, description="Gaussian sigma up to this, pixels")
    grain: float = Field(4.0, ge=0, le=30, description="Gaussian noise of a deviation up to this, L* units")
    probability: float = Field(0.4, ge=0, le=1, description="of blur, and of grain, apart")
    spectral: float = Field(0.15, ge=0, le=1, description="share lit as on blue-sensitive or other film")
    old_light: float = Field(
        0.0, ge=0, le=1, description="share turned into old prints, by plate, curve, grain, damage"
    )
    damage: float = Field(0.3, ge=0, le=1, description="of the old prints, the share that is damaged")


class DataConfig(Section):
    """Which photographs, and how crops are drawn from them."""

    photos: str = Field("train-photos", description="folder or bucket that prepare_photos.py wrote")
    crop: int = Field(
        224, ge=64, le=1024, multiple_of=8, description="side of the crops and in validation, pixels"
    )
    crops: tuple[Annotated[int, Field(ge=64, le=1024, multiple_of=8)], ...] = Field(
        (), description="crop sides, one per step in turn, from photographs at least as large; none: `crop`"
    )
    scale: tuple[float, float] = Field((0.4, 1.0), description="area of a crop over the largest square")
    source_exponent: float = Field(0.7, ge=0, le=1, description="a source of n photographs weighs n**this")
    source_weights: dict[str, float] = Field({}, description="further factors by the source's name")
    hold_out: tuple[str, ...] = Field(
        (), description="sources to validate on and never train on; none: the rows prepared for validation"
    )
    label_images: int = Field(8, ge=1, description="labels with fewer photographs count as unlabelled")
    ignore_labels: tuple[str, ...] = Field((), description="labels without meaning, such as 'diverse'")
    max_unreadable: float = Field(0.01, ge=0, le=1, description="a larger share of the rows stops the run")
    stream: bool | None = Field(None, description="through Ray Data; null: where rows exceed `memory`")
    memory: Quantity = Field(2**30, ge=0, description="encoded photographs each worker may hold, bytes")
    cache: Quantity = Field(4 * 2**30, ge=0, description="decoded photographs kept where not streamed, bytes")
    threads: int = Field(1, ge=1, le=64, description="threads that prepare batches where not streamed")
    tasks: int = Field(2, ge=1, description="decoding tasks at a time for each worker where streamed")
    ahead: int = Field(8, ge=1, description="batches that wait for the step where streamed")
    window: int = Field(
        2000, ge=1, description="streamed crops shuffled among each other, of row groups at random"
    )
    augment: AugmentConfig = AugmentConfig()

    @field_validator("scale")
    @classmethod
    def _ordered(cls, scale: tuple[float, float]) -> tuple[float, float]:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError("must be two numbers, 0 < smallest <= largest <= 1")
        return scale

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides of the crops of one step after the other, by turns."""
        return self.crops or (self.crop,)


class AdversarialConfig(Section):
    """A discriminator that judges the colours (`training/adversary.py`), for the end of a training: it begins
    with `model.weights` that an error has trained."""

    weight: float = Field(0.0, ge=0, description="unet; of the discriminator's verdict; 0: no discriminator")
    matching: float = Field(0.0, ge=0, description="weight of feature matching, relative to the verdict's 1")
    warmup: int = Field(
        300,
        ge=0,
        description="steps in which the discriminator learns alone; in as many more, `weight` grows",
    )
    rate: float = Field(4e-4, gt=0, description="learning rate of the discriminator")
    width: int = Field(
        32, ge=8, le=256, multiple_of=8, description="its channels; the deeper layers have twice"
    )
    context: bool = Field(
        True, description="it sees the encoder's features too, to know what is in a picture"
    )
    blend: float = Field(0.5, ge=0, le=1, description="with both heads: decoding for judging and export")
    gain: float = Field(1.15, ge=0, le=4, description="likewise")

    def decoding(self) -> dict[str, float]:
        """How the network that is trained decodes; by its own defaults where nothing judges that."""
        return {"blend": self.blend, "gain": self.gain} if self.weight else {}


class LossConfig(Section):
    """What is minimised; see `pipeline.models.base.Objective`."""

    reduction: Literal["sum", "mean"] = Field("mean", description="sum over an image (paper) or mean")
    alpha: float = Field(0.0005, ge=0, description="weight of the labels' cross-entropy; 1/300 goes with sum")
    regression: Literal["l2", "smooth_l1", "psnr", "delta_e"] = Field(
        "l2", description="unet; error of ab, or psnr: each image's in RGB, as a logarithm, or delta_e"
    )
    rebalance: float | None = Field(
        None, ge=0, le=1, description="lambda of class rebalancing (paper: 0.5); null: none"
    )
    bins: float = Field(0.05, ge=0, description="unet with both heads: weight of the bins' cross-entropy")
    perceptual: float = Field(
        0.0, ge=0, description="unet; weight of the distance to the truth in a classifier's features"
    )
    semantic: float = Field(0.0, ge=0, description="unet; weight of the divergence of what it recognises")
    adversarial: AdversarialConfig = AdversarialConfig()

    def objective(self) -> Objective:
        """These settings for the models."""
        from pipeline.models.base import Objective  # torch

        return Objective(
            self.alpha,
            self.reduction,
            self.regression,
            self.rebalance,
            self.bins,
            self.perceptual,
            self.semantic,
            self.adversarial.weight > 0,
        )


class OptimConfig(Section):
    """AdamW, linear warm-up, cosine to zero, gradient clipping, averaged weights."""

    rate: float = Field(1.5e-3, gt=0, description="peak learning rate")
    encoder_factor: float = Field(
        1.0, gt=0, le=1, description="on the rate, of a pretrained encoder that learns"
    )
    weight_decay: float = Field(0.05, ge=0, description="on matrices and kernels only")
    warmup: int = Field(200, ge=0, description="steps")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights, which are what ships")


class TrainSection(Section):
    """How long, on what, and what is kept."""

    name: str = Field(
        DEFAULT_METHOD, pattern=r"^[A-Za-z0-9._-]+$", description="the same name and storage resume"
    )
    storage: str = Field("train-runs", description="folder or bucket for checkpoints")
    steps: int | None = Field(None, ge=1, description="12,000 where neither these nor epochs are given")
    epochs: float | None = Field(None, gt=0, description="of as many crops as there are photographs")
    minutes: float | None = Field(None, gt=0, description="of training; the first of the three to end counts")
    batch: int = Field(24, ge=2, description="crops per step and worker")
    workers: int = Field(1, ge=1)
    gpu: bool = Field(False, description="one GPU per worker")
    threads: int = Field(2, ge=1, description="torch threads per worker")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(0, ge=0)
    checkpoint_steps: int = Field(500, ge=1)
    keep: int = Field(3, ge=1, description="newest checkpoints kept")
    log_steps: int = Field(50, ge=1)
    retries: int = Field(1, ge=0, description="restarts from the last checkpoint after a lost worker")
    pictures: int = Field(6, ge=0, le=64, description="validation photographs shown at each checkpoint")

    def last_step(self, epoch_steps: int) -> int:
        """Where the run ends at the latest, with `epoch_steps` steps in an epoch."""
        ends = [self.steps] if self.steps is not None else []
        if self.epochs is not None:
            ends.append(max(1, round(self.epochs * epoch_steps)))
        return min(ends, default=12_000)


class TrainSettings(Section):
    """The configuration of `jobs/train.py` with an unchecked network (`settings.TrainConfig` checks it), to
    report all other mistakes before importing torch."""

    model: Any = Field(default_factory=dict)
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainSection = TrainSection()
    storage: StorageConfig = StorageConfig()
