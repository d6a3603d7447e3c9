"""A run's values for the series of `pipeline.run.series`, set by the driver, a few hundred times a shard."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from ray.util import metrics

from pipeline.records import Status
from pipeline.report.drift import reference_for
from pipeline.report.summary import StageSeconds
from pipeline.report.tally import RunTally
from pipeline.run import series
from pipeline.run.layout import Layout
from pipeline.run.series import Series
from pipeline.shard.job import Job
from pipeline.shard.result import ShardResult


class Telemetry:
    """Sets the metrics; Ray must be running. Ray sends them to its agent every ten seconds and at the end."""

    def __init__(self, job: Job, layout: Layout, shards: int) -> None:
        self._run = {"run": job.run_id}
        self._method, self._shards = job.config.model.method, shards
        self._reference = reference_for(job.config, job.weights_digest)
        self._of: dict[Series, Any] = {one: _metric(one) for one in series.ALL}
        self.info = self._run | {"method": self._method, "topology": layout.topology}

    def committed(self, result: ShardResult, tally: RunTally) -> None:
        """Count one shard, which the tally has already."""
        rows = result.rows
        self._count_images(rows)
        self._count(series.BYTES, pc.sum(rows["bytes"]).as_py() or 0, direction="read")
        self._count(series.BYTES, result.written, direction="written")
        colorized = rows.filter(pc.field("status") == str(Status.COLORIZED))
        pixels = pc.sum(pc.multiply(colorized["width"].cast(pa.int64()), colorized["height"])).as_py() or 0
        self._count(series.MEGAPIXELS, pixels / 1e6)
        for stage in StageSeconds.model_fields:
            seconds = rows[f"seconds_{stage}"].drop_null().to_pylist()
            self._count(series.STAGE_SECONDS, sum(seconds), stage=stage)
            for value in seconds:
                self._of[series.IMAGE_SECONDS].observe(value, {"stage": stage})
        self._set(series.FAILED_SHARE, tally.counts[Status.FAILED] / tally.rows)
        self._set_chroma(tally)

    def retried(self, times: int) -> None:
        """Count further attempts at a shard."""
        self._count(series.RETRIES, times)

    def watched(self, done: int, working: int, oldest: float, since_commit: float) -> None:
        """Set the metrics that change between commits: shard counts and seconds."""
        self._of[series.RUN_INFO].set(1, self.info)
        queued = max(self._shards - done - working, 0)
        for state, count in {"queued": queued, "working": working, "done": done}.items():
            self._set(series.SHARDS, count, state=state)
        self._set(series.OLDEST_SHARD, oldest)
        self._set(series.SINCE_COMMIT, since_commit)

    def ended(self, outcome: str) -> None:
        """Count the run under the outcome of its work."""
        self._count(series.RUNS, 1, outcome=outcome)

    def _count_images(self, rows: pa.Table) -> None:
        grouped = rows.select(["status", "failure_code"]).group_by(["status", "failure_code"])
        for row in grouped.aggregate([([], "count_all")]).to_pylist():
            labels = {"method": self._method, "status": row["status"], "code": row["failure_code"] or ""}
            self._count(series.IMAGES, row["count_all"], **labels)

    def _set_chroma(self, tally: RunTally) -> None:
        if tally.chroma is None:
            return
        chroma = tally.chroma.against(self._reference)
        self._set(series.CHROMA, chroma.mean)
        self._set(series.COLORFULNESS, chroma.colorfulness)
        self._set(series.CHROMA_DRIFT, chroma.drift)

    def _count(self, one: Series, value: float, **labels: str) -> None:
        if value > 0:  # Ray refuses to add nothing
            self._of[one].inc(value, labels)

    def _set(self, one: Series, value: float | None, **labels: str) -> None:
        self._of[one].set(value, self._run | labels)


def _metric(one: Series) -> Any:
    match one.kind:
        case "counter":
            return metrics.Counter(one.name, one.meaning, one.labels)
        case "gauge":
            return metrics.Gauge(one.name, one.meaning, one.labels)
    return metrics.Histogram(one.name, one.meaning, list(one.boundaries), one.labels)
