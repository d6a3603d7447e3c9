"""Runs the stages of a shard one by one, with pickled data between them, as in the staged topology."""

from __future__ import annotations

import pickle
from concurrent.futures import Future

from pipeline.ledger.schema import LedgerRow
from pipeline.records import Item
from pipeline.shard.fused import FusedWorker
from pipeline.shard.stages import without_pixels


def colour_apart(fused: FusedWorker, items: list[Item]) -> list[LedgerRow | Future[LedgerRow]]:
    """The rows of a shard whose images were coloured in this way; not committed."""
    reader, travelled = fused.shard_worker.reader, []
    for item in items:
        image = fused.job.source_image(item)
        prepared = reader.decode(image, reader.fetch(image), model_only=True)
        if isinstance(prepared, LedgerRow):
            travelled.append(prepared)
            continue
        arrived = pickle.loads(pickle.dumps(without_pixels(prepared)))
        (predicted,) = fused.predictors.color([arrived])
        travelled.append(pickle.loads(pickle.dumps(predicted)))
    return [fused.shard_worker.finish(one) for one in reader.reopened(travelled)]
