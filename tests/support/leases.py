"""Leases of other holders, written as their processes would write them."""

from __future__ import annotations

import time

import psutil

from pipeline.storage import Store
from pipeline.storage.lease import LeaseRecord, lease_key
from pipeline.storage.machine import this_machine

#: A holder on another machine, silent for longer than any holder may be.
ELSEWHERE = LeaseRecord(
    token="another", what="run 1", host="elsewhere", machine="elsewhere", process=1, process_started=0,
    since=1767225600, at=0,
)  # fmt: skip


def sign_of(process: int) -> LeaseRecord:
    """The sign of a running process of this machine, renewed now."""
    started = psutil.Process(process).create_time()
    mine = {"machine": this_machine(), "process": process, "process_started": started, "at": time.time()}
    return ELSEWHERE.model_copy(update=mine)


def hold(store: Store, sign: LeaseRecord, number: int = 1, folder: str = "") -> None:
    """Write the sign as the lease of this number."""
    store.put(lease_key(folder, number), sign.model_dump_json().encode())
