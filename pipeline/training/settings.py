"""The configuration of `jobs/train.py`."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, model_validator

from pipeline.config.job import DEFAULT_METHOD
from pipeline.config.section import Section
from pipeline.models.method_list import NETWORKS
from pipeline.training.sections import TrainSettings


class NetworkConfig(Section):
    """The network to train: method, weights, and the method's own options, as declared by its class
    (`TrainableColorizer.options`). An option that is left out or null has the method's default."""

    model_config = ConfigDict(frozen=True, extra="allow")  # the options; `_options_fit` refuses all others

    method: str = DEFAULT_METHOD
    weights: str | None = Field(
        None, description="trained weights to begin with: shipped name, path, URI or registry:URI/NAME"
    )

    def chosen(self) -> dict[str, Any]:
        """What is set and not null: method, weights and options."""
        return self.model_dump(exclude_unset=True, exclude_none=True)

    def options(self) -> dict[str, Any]:
        """The options that are set and not null, for the method's constructor."""
        return self.model_dump(exclude={"method", "weights"}, exclude_none=True)

    @model_validator(mode="before")
    @classmethod
    def _options_fit(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        method = data.get("method", DEFAULT_METHOD)
        if not isinstance(method, str) or method not in NETWORKS:
            raise ValueError(f"the method {method!r} cannot be trained; allowed: {', '.join(NETWORKS)}")
        options = {name: value for name, value in data.items() if name not in cls.model_fields}
        return data | NETWORKS[method].checked_options(options)


class TrainConfig(TrainSettings):
    """The whole configuration of `jobs/train.py`."""

    model: NetworkConfig = NetworkConfig()

    @model_validator(mode="after")
    def _loss_fits(self) -> TrainConfig:
        network = NETWORKS[self.model.method]
        if (self.loss.perceptual or self.loss.semantic) and not network.takes_classifier_loss(
            self.model.options()
        ):
            raise ValueError(
                f"loss.perceptual and loss.semantic have no effect on model.method={self.model.method} with "
                "these options: leave them out, or choose a network that regresses colours (unet)"
            )
        if self.loss.adversarial.weight and not network.takes_discriminator(self.model.options()):
            raise ValueError(
                f"loss.adversarial.weight has no effect on model.method={self.model.method}: leave it "
                "out, or choose unet"
            )
        return self
