"""What every Ray worker process runs first. Apart, for `run` would bring torch into each of them."""

from __future__ import annotations

import logging


def quieten() -> None:
    """A part of Ray Train warns every second that there is no dashboard, and we start none (it serves an API
    without authentication)."""
    logging.getLogger("ray.train.v2._internal.execution.controller.placement_group_cleaner").setLevel("ERROR")
