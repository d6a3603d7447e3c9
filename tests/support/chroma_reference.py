"""`python -m tests.support.chroma_reference` measures how colourful each of the shipped weights makes
the sample photographs, and writes pipeline/weights/chroma.json. Runs are compared with this file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.models.method_list import weights_digest, weights_info
from pipeline.models.weights_location import shipped_names
from pipeline.plan.plan import make_plan
from pipeline.report.drift import Chroma
from pipeline.report.tally import RunTally
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from pipeline.storage import open_store
from tests.support.paths import REPO
from tests.support.paths import SAMPLES as PHOTOS

TABLE = REPO / "pipeline" / "weights" / "chroma.json"


def digest_of(name: str) -> str:
    """SHA-256 of shipped weights."""
    return weights_digest(weights_info(None, name).method, name)


def measured(name: str, folder: Path) -> Chroma:
    """The sample photographs' chroma with these weights, coloured into the folder."""
    settings = [f"model.method={weights_info(None, name).method}", f"model.weights={name}"]
    config = load(JobConfig, None, [*settings, "plan.exclude=[before-after.jpg,manifest.csv]"])
    source, out = open_store(str(PHOTOS), config.storage), open_store(str(folder), config.storage)
    worker = FusedWorker(Job(config, source.uri, out.uri, "run", "d", digest_of(name)), AttemptRegistry())
    tally = RunTally()
    try:
        for shard in make_plan(source, out, config, "d", workers=1).shards:
            tally.add(worker.run(shard.shard_id, list(shard.items)).rows)
    finally:
        worker.shard_worker.close()
    assert tally.chroma is not None
    return tally.chroma


def main() -> None:
    """Measure all shipped weights, and write the table."""
    table = {}
    for name in sorted(shipped_names()):
        with tempfile.TemporaryDirectory() as folder:
            chroma = measured(name, Path(folder))
        row = {"sha256": digest_of(name), "images": chroma.images}
        table[name] = row | {"mean": round(chroma.mean, 2), "spread": round(chroma.spread, 2)}
        print(name, table[name], flush=True)
    TABLE.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
