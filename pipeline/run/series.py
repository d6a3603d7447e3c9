"""The metrics of a run at Ray's Prometheus endpoint. Dashboard and alerts use no others.

Counters stay at the endpoint until the Ray head stops, so they have no label for the run. Gauges describe one
run and disappear with it. No label ever holds a key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Series:
    """One metric as `ray.util.metrics` takes it; `boundaries`: upper bounds of a histogram's buckets."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    boundaries: tuple[float, ...] = ()

    @property
    def exported(self) -> tuple[str, ...]:
        """Its names at the endpoint: Ray adds the prefix `ray_` and suffixes that depend on the kind."""
        ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
        return tuple(f"ray_{self.name}{end}" for end in ends[self.kind])


_SECONDS = (0.01, 0.03, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30.0, 60.0)

IMAGES = Series(
    "counter",
    "fiat_color_images",
    "Source objects with a ledger row, by status; code is the failure code, empty where none",
    ("method", "status", "code"),
)
BYTES = Series(
    "counter",
    "fiat_color_bytes",
    "Bytes of the sources that were read and of the images written",
    ("direction",),
)
MEGAPIXELS = Series("counter", "fiat_color_megapixels", "Millions of pixels of the colour images")
STAGE_SECONDS = Series(
    "counter", "fiat_color_stage_seconds", "Worker seconds in a stage: decode, predict, compose", ("stage",)
)
IMAGE_SECONDS = Series(
    "histogram", "fiat_color_image_seconds", "Seconds of one image in a stage", ("stage",), _SECONDS
)
RETRIES = Series("counter", "fiat_color_shard_retries", "Retries of a shard after a lost worker")
RUNS = Series("counter", "fiat_color_runs", "Runs whose work has ended, by outcome", ("outcome",))
RUN_INFO = Series("gauge", "fiat_color_run_info", "1 while the run works", ("run", "method", "topology"))
SHARDS = Series("gauge", "fiat_color_shards", "Shards of the run: queued, working, done", ("run", "state"))
OLDEST_SHARD = Series(
    "gauge",
    "fiat_color_oldest_shard_seconds",
    "Seconds since the first attempt at the oldest shard in progress",
    ("run",),
)
SINCE_COMMIT = Series(
    "gauge", "fiat_color_seconds_since_commit", "Seconds since the last commit or the start of work", ("run",)
)
FAILED_SHARE = Series("gauge", "fiat_color_failed_share", "Failed images by all of the run so far", ("run",))
CHROMA = Series("gauge", "fiat_color_chroma_mean", "Mean CIELAB chroma of the run's images so far", ("run",))
COLORFULNESS = Series(
    "gauge", "fiat_color_colorfulness_mean", "Mean colourfulness M3 of the run's images so far", ("run",)
)
CHROMA_DRIFT = Series(
    "gauge",
    "fiat_color_chroma_drift",
    "(mean chroma of the run - that of the reference) / standard deviation of the reference's images",
    ("run",),
)

ALL = (
    IMAGES,
    BYTES,
    MEGAPIXELS,
    STAGE_SECONDS,
    IMAGE_SECONDS,
    RETRIES,
    RUNS,
    RUN_INFO,
    SHARDS,
    OLDEST_SHARD,
    SINCE_COMMIT,
    FAILED_SHARE,
    CHROMA,
    COLORFULNESS,
    CHROMA_DRIFT,
)
EXPORTED = frozenset(name for series in ALL for name in series.exported)
