"""Archived sources in a job: counted in the plan, a row in the ledger, and coloured after their restore."""

from __future__ import annotations

import pytest

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.plan.plan import make_plan
from pipeline.run.attempts import AttemptRegistry
from pipeline.run.plan_text import plan_fields, plan_text
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from tests.support.job_runner import encoded, ledger, photograph


@pytest.mark.parametrize("stream_bytes", [1, 2**30], ids=["in strips", "in memory"])
def test_an_archived_source_waits_for_its_restore(s3_moto, tmp_path, stream_bytes):
    bucket, client, out = s3_moto.bucket(), s3_moto.client, str(tmp_path / "out")
    data = encoded(photograph(1, 80, 60), "TIFF")
    client.put_object(Bucket=bucket, Key="cold.tif", Body=data, StorageClass="DEEP_ARCHIVE")
    client.put_object(Bucket=bucket, Key="warm.tif", Body=data)
    settings = [*s3_moto.settings[1::2], "model.side=64", "output.format=tiff"]
    config = load(JobConfig, None, [*settings, f"limits.stream_bytes={stream_bytes}"])

    def night(run_id: str):
        worker = FusedWorker(Job(config, f"s3://{bucket}", out, run_id, "d", "w"), AttemptRegistry())
        source, target = worker.shard_worker.reader.source, worker.shard_worker.out
        plan = make_plan(source, target, config, "d", workers=1)
        for shard in plan.shards:
            worker.run(shard.shard_id, shard.items)
        worker.shard_worker.close()
        return plan, [(row["key"], row["status"], row["attempts"]) for row in ledger(out)]

    first, rows = night("1")
    assert (first.archived_items, first.archived_bytes, first.todo_items) == (1, len(data), 2)
    assert rows == [("cold.tif", "archived", 1), ("warm.tif", "colorized", 1)]
    text = plan_text("in", "out", config, first, "d")
    assert "archived 1 file of these, " in text
    assert "restore them, and the next run will colour them" in text
    assert plan_fields("in", "out", first, "d", "w")["archived_bytes"] == len(data)
    (message,) = [row["message"] for row in ledger(out) if row["status"] == "archived"]
    assert message.endswith("cannot be read; restore it; the next run after that colours it")

    second, rows = night("2")
    assert second.todo_items == 1
    assert rows[:2] == [("cold.tif", "archived", 1), ("cold.tif", "archived", 2)]

    client.restore_object(Bucket=bucket, Key="cold.tif", RestoreRequest={"Days": 1})
    third, rows = night("3")
    assert (third.todo_items, third.archived_items) == (1, 0), "asked by HEAD: moto's listing does not tell"
    assert ("cold.tif", "colorized", 3) in rows
    assert night("4")[0].todo_items == 0
