"""Names of runs: in the log, and of the folders `OUT/runs/<run id>`."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

#: The run id of a colouring run; other jobs' have their name behind it.
COLORING_RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")


def make_run_id(job: str = "") -> str:
    """The time in UTC, by which run ids sort, and four random hex digits, since two runs may begin together.

    Args:
        job: name of a job that is not a colouring run; it goes behind.
    """
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return f"{name}-{job}" if job else name
