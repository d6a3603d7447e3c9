"""The settings of promotion and retraining, checked as far as possible without torch."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from pipeline.config.section import Section
from pipeline.errors import ConfigError
from pipeline.evaluate.settings import EvaluateConfig, EvaluateSection
from pipeline.photographs.settings import PhotosConfig
from pipeline.retraining.gate import GateSection
from pipeline.retraining.state import FOLDERS
from pipeline.storage import refuse_overlap
from pipeline.training.sections import TrainSettings


class PromoteConfig(EvaluateConfig):
    """The whole configuration of `jobs/promote.py`."""

    gate: GateSection = GateSection()


class RetrainSection(Section):
    """When a cycle begins."""

    least_new: int = Field(1, ge=1, description="photographs without which no cycle begins")
    decisions: tuple[str, ...] = Field(
        (), description="outputs of colouring runs: results in them that people accepted are photographs, too"
    )


class RetrainSettings(TrainSettings):
    """As `champion.RetrainConfig`, with a network that nobody has checked."""

    retrain: RetrainSection = RetrainSection()
    photos: PhotosConfig = PhotosConfig()
    evaluate: EvaluateSection = EvaluateSection()
    gate: GateSection = GateSection()


@dataclass(frozen=True)
class RetrainRequest:
    """REGISTRY/NAME, the collections to train on, the held-out photographs and the output, as URIs."""

    registry: str
    photos: tuple[str, ...]
    held_out: str
    output: str
    dry_run: bool = False


def refuse_request(request: RetrainRequest, config: RetrainSettings) -> None:
    """Raises ConfigError where there is nothing to train on, for places that overlap, and for settings that
    the cycle makes itself."""
    if not request.photos and not config.retrain.decisions:
        raise ConfigError("give photographs with --photos, or accepted results with --decisions")
    for uri in (*request.photos, *config.retrain.decisions, request.held_out, request.registry):
        refuse_overlap(uri, request.output, own=FOLDERS)
    given = {"data": config.data.model_fields_set, "train": config.train.model_fields_set}
    given["model"] = set(config.model) if isinstance(config.model, dict) else config.model.model_fields_set
    own = (("model", "weights"), ("data", "photos"), ("train", "name"), ("train", "storage"))
    for section, key in own:
        if key in given[section]:
            raise ConfigError(f"{section}.{key} is set by the cycle itself: leave it out")
