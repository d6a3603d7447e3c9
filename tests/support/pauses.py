"""Pauses before a request is tried again take a fiftieth of their time: that it is tried is under test."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from botocore.retries.bucket import TokenBucket

#: They use nothing of `time` but `sleep`, and sleep only before they try again.
_MODULES = (
    "botocore.endpoint",
    "pipeline.ledger.read",
    "pipeline.storage.bucket_store",
    "pipeline.storage.s3",
)


def shorten(patch: pytest.MonkeyPatch) -> None:
    """In this process, until the patch is undone. Clients no longer wait for the rate that botocore allows
    after a server was busy, either."""
    sleep = time.sleep
    for module in _MODULES:
        patch.setattr(f"{module}.time", SimpleNamespace(sleep=lambda seconds: sleep(seconds / 50)))
    patch.setattr(TokenBucket, "acquire", lambda bucket, amount=1, block=True: True)
