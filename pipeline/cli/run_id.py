"""Run ids, used in the log and for the folders `OUT/runs/<run id>`, and the date of a run."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

from pipeline.errors import ConfigError

#: The run id of a colouring run; other jobs append their name.
COLORING_RUN_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{4}")


def make_run_id(job: str = "") -> str:
    """The time in UTC to 1/65,536 of a second: run ids sort by it, and a small run takes less than a second.

    The fraction of the second is the four hexadecimal digits at the end.

    Args:
        job: name of a job that is not a colouring run; it is appended.
    """
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond * 65_536 // 1_000_000:04x}"
    return f"{name}-{job}" if job else name


def run_date() -> str:
    """Today's date in UTC, or the date of SOURCE_DATE_EPOCH (seconds since 1970, see
    reproducible-builds.org), which makes outputs byte-identical on any day.

    Raises:
        ConfigError: SOURCE_DATE_EPOCH is not such a number.
    """
    stated = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        day = datetime.now(UTC) if stated is None else datetime.fromtimestamp(int(stated), UTC)
    except (ValueError, OverflowError, OSError):
        raise ConfigError(f"SOURCE_DATE_EPOCH is {stated!r}: give seconds since 1970, or unset it") from None
    return f"{day:%Y-%m-%d}"
