"""Configuration: frozen models, a YAML file, `--set section.key=value`, and the job digest.

An unknown key or a bad value is a `ConfigError` (exit 2) of one line that names the key, the value and what
is allowed. `effective_yaml` is saved with every run; a dry run prints it on request.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, field_serializer, field_validator, model_validator

from pipeline.color.toning import REAL_COLOUR_SPREAD
from pipeline.config.output import OutputConfig
from pipeline.config.section import Quantity, Section
from pipeline.config.storage import StorageConfig
from pipeline.errors import HIDDEN, without_secrets


def _listed(value: Any) -> Any:
    """Turn a single pattern into a list."""
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"\[.*[*?,].*\]", value):  # invalid as YAML, and as one pattern it matches nothing
        raise ValueError('quote the patterns in a list: ["*.jpg", "*.png"]')
    return (value,)


Globs = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class PlanConfig(Section):
    """Which objects are coloured, and in which shards."""

    shard_images: int = Field(512, ge=1, le=100_000, description="most images in one shard")
    shard_bytes: Quantity = Field(64 * 2**20, ge=1, description="most source bytes in one shard")
    include: Globs = Field((), description="keys to keep, as glob patterns; empty: all")
    exclude: Globs = Field((), description="keys to leave out, as glob patterns")
    strict: bool = Field(
        False, description="stop with an error, not a warning, if a pattern or key matches nothing"
    )
    keys: str | tuple[str, ...] | None = Field(
        None, description="colour only these keys: a file (path or URI), one key per line; null: all"
    )
    inventory: str | None = Field(
        None,
        description="manifest.json of an S3 Inventory of the input's bucket, instead of listing it",
    )
    limit: int | None = Field(None, ge=1, description="work on the first N files that are not done")
    retry_failed: bool = Field(False, description="also retry images whose ledger row says failed")
    recolor: Literal["changed-model", "changed-settings", "accepted"] | None = Field(
        None,
        description="colour again what another model has coloured, or only what other settings have; "
        "accepted: like changed-model, and also what people accepted; null: changed-settings with registry: "
        "weights, else changed-model",
    )
    drop_guides: bool = Field(False, description="colour images whose guide is gone without a guide")
    replace_input: bool = Field(
        False,
        description="overwrite results of another input with the same names, which this input replaces",
    )


DEFAULT_METHOD = "unet"
"""The method that colours, and that is trained, by default."""


class ModelConfig(Section):
    """Which network predicts the chroma, and how."""

    method: str = Field(
        DEFAULT_METHOD, description="a method, see docs/methods.md; left out: the method of the weights"
    )
    weights: str | None = Field(
        None, description="shipped name, path or URI, optional #sha256=..., registry:URI/NAME; null: shipped"
    )
    contract: str | dict[str, Any] | None = Field(
        None, description="of ONNX weights: path or URI of a contract, or the contract; null: search for it"
    )
    side: int = Field(384, ge=64, le=4096, multiple_of=8, description="longest side the network sees, pixels")
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    batch: int | None = Field(None, ge=1, le=1024, description="images per step; null: 1 on CPU, 16 on GPU")
    chroma: float = Field(1.0, ge=0.0, le=3.0, description="factor on the predicted chroma")
    skip_color: bool = Field(True, description="leave images alone that already have real colour")
    keep_color: bool = Field(
        True, description="keep real colour in a black-and-white scan: colour targets, stamps, mounts"
    )
    color_threshold: float = Field(
        REAL_COLOUR_SPREAD, ge=0.0, description="colour spread (ab units) of real colour"
    )
    style: str | None = Field(
        None, description="path or URI of a picture whose style all images take; null: none; only iizuka"
    )
    reference: str | None = Field(
        None, description="colour picture that all images are coloured after, path or URI; null: none"
    )
    pictures: str | None = Field(
        None,
        description="folder or bucket of other tools' colour pictures whose chroma to use; null: none",
    )
    neutral_borders: bool = Field(False, description="no chroma in uniform paper margins and film rebates")


PICTURES = ("style", "reference")  # of ModelConfig: guides that all images share


class GuidesConfig(Section):
    """Where the guides of single images are: scribbles, points, references, styles, methods."""

    file: str | None = Field(None, description="Parquet, CSV or JSON Lines, one row per image; null: none")
    sidecars: bool = Field(True, description="also use NAME.scribbles.png and the like next to a source")
    side: int = Field(512, ge=64, le=8192, description="longest side on which scribbles are spread, pixels")


class LimitsConfig(Section):
    """Limits on one image, one worker and one shard."""

    pixels: Quantity = Field(100_000_000, ge=1, description="most pixels of one image")
    memory: Quantity = Field(2 * 2**30, ge=256 * 2**20, description="address space of a decoder process")
    seconds: float = Field(60.0, gt=0, description="most seconds to decode one image")
    stream_bytes: Quantity = Field(
        256 * 2**20,
        ge=1,
        description="TIFFs of at least this size are read and written in strips (TIFF output)",
    )
    attempts: int = Field(2, ge=1, le=10, description="attempts at a shard before its images run one by one")
    stall_seconds: int = Field(1800, ge=30, description="stop the run after this long without progress")


class RunConfig(Section):
    """Where and on how many workers the job runs."""

    engine: Literal["auto", "ray", "processes"] = Field(
        "auto", description="ray, or processes on the job's machine; auto: processes for small plans"
    )
    topology: Literal["auto", "fused", "staged"] = "auto"
    workers: int | None = Field(None, ge=1, description="colouring workers; null: one per core or GPU")
    gpus: int | None = Field(None, ge=0, description="GPUs to request; null: those that the cluster has now")
    compose: Literal["cpu", "gpu"] = Field(
        "cpu", description="gpu: fused workers, one per core, share the GPUs and compose there"
    )
    threads: int = Field(4, ge=1, le=256, description="parallel downloads per worker")
    address: str | None = Field(None, description="Ray cluster; null: the job's own, else a local one")
    wait_minutes: float = Field(
        0.0,
        ge=0.0,
        le=10080.0,
        description="longest wait for another run on this output; 0: exit immediately",
    )
    max_failed: float = Field(
        1.0, ge=0.0, le=1.0, description="a run with a larger share of failures exits with 4; 1: never"
    )

    @model_validator(mode="after")
    def _composable(self) -> RunConfig:
        if self.compose == "gpu" and self.topology == "staged":
            raise ValueError(
                "compose=gpu does not work with topology=staged, where CPUs handle the pixels: leave one "
                "of them out"
            )
        return self

    @model_validator(mode="after")
    def _possible_without_ray(self) -> RunConfig:
        if self.engine == "processes" and (self.address or self.gpus or self.needs_ray):
            raise ValueError(
                "engine=processes colours on the CPUs of this machine: leave out address, gpus, "
                "compose=gpu and topology=staged, or engine"
            )
        return self

    @property
    def needs_ray(self) -> bool:
        """Whether these settings need Ray."""
        return self.compose == "gpu" or self.topology == "staged"


class ReportConfig(Section):
    """The pictures and prices at the end of a run, and how many runs stay."""

    sample: int = Field(24, ge=0, le=500, description="images on the contact sheet")
    thumbnail: int = Field(360, ge=32, le=2048, description="longest side of a thumbnail, pixels")
    gallery: bool | None = Field(
        None,
        description="write thumbnails, and renew OUT/gallery at the end of each run (docs/review.md); null: "
        "where at most 10,000 files are under the input",
    )
    keep: int | None = Field(None, ge=1, description="finished runs whose OUT/runs folder to keep; null: all")
    chroma_mean: float | None = Field(
        None, gt=0.0, description="mean_chroma that images usually have; null: of the shipped weights"
    )
    chroma_spread: float | None = Field(None, gt=0.0, description="its standard deviation over images")
    doubt: bool = Field(
        True, description="record in the ledger how doubtful each result is, if the weights support it"
    )
    price_core_hour: float | None = Field(None, ge=0.0, description="money per core and hour; null: unknown")
    price_gpu_hour: float | None = Field(None, ge=0.0, description="money per GPU and hour; null: unknown")

    @model_validator(mode="after")
    def _both_or_none(self) -> ReportConfig:
        if (self.chroma_mean is None) != (self.chroma_spread is None):
            raise ValueError("chroma_mean and chroma_spread go together; set both or neither")
        return self


class NotifyConfig(Section):
    """Who is notified at the end of a run."""

    webhook: str | None = Field(
        None, pattern=r"^https?://[^/\s]+\S*$", description="URL that gets a JSON POST; null: none"
    )
    seconds: float = Field(
        10.0, gt=0, le=300, description="longest wait for an answer, for each of up to 4 tries"
    )

    @field_validator("webhook")
    @classmethod
    def _whole(cls, webhook: str | None) -> str | None:
        if webhook is not None and webhook.endswith(f"/{HIDDEN}"):
            raise ValueError(
                "this is only the host: a run does not save the rest of the URL; give the full URL"
            )
        return webhook

    @field_serializer("webhook", when_used="json")
    def _host_alone(self, webhook: str | None) -> str | None:
        """What to print and save: only the host, because for many receivers the path is the secret."""
        if webhook is None:
            return None
        url = urlsplit(without_secrets(webhook))
        rest = f"/{HIDDEN}" if url.path.strip("/") or url.query or url.fragment else url.path
        return f"{url.scheme}://{url.netloc}{rest}"


class JobConfig(Section):
    """The whole configuration of `jobs/colorize_bucket.py`."""

    plan: PlanConfig = PlanConfig()
    model: ModelConfig = ModelConfig()
    guides: GuidesConfig = GuidesConfig()
    output: OutputConfig = OutputConfig()
    limits: LimitsConfig = LimitsConfig()
    storage: StorageConfig = StorageConfig()
    run: RunConfig = RunConfig()
    report: ReportConfig = ReportConfig()
    notify: NotifyConfig = NotifyConfig()


def _other_pages(output: OutputConfig) -> dict[str, object]:
    """`output.pages` if it differs from what auto means, so that older ledgers stay valid."""
    auto = output.model_copy(update={"pages": "auto"})
    same = auto.has_separate_pages == output.has_separate_pages
    return {} if same else {"pages": output.pages}


def job_digest(config: JobConfig, weights_digest: str) -> str:
    """16 hex digits over the weights and every setting that changes pixels or which images fail.

    An image is done when the ledger has its key and etag under this digest. So settings that only distribute
    work (shards, workers, storage) must not be included, and settings that change an output must be.
    """
    apart = {"weights", "contract", "batch", "keep_color", "pictures", *PICTURES}
    relevant = {
        "weights": weights_digest,
        # pictures count by content, and only if there are some, so that older ledgers stay valid
        "model": config.model.model_dump(mode="json", exclude=apart)
        | {kind: uri.rpartition("#sha256=")[2] for kind in PICTURES if (uri := getattr(config.model, kind))},
        # the key's location does not change a signature
        "output": config.output.model_dump(
            mode="json", exclude={"c2pa": {"key", "timestamp_url"}, "pages": True}
        )
        | _other_pages(config.output),
        # only if it differs from the default: few images have real colour, and older ledgers stay valid
        **({} if config.model.keep_color else {"keep_color": False}),
        "pixels": config.limits.pixels,
        "stream_bytes": config.limits.stream_bytes,
    }
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]
