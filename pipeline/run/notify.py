"""The webhook: a POST that reports the end of a run. It never changes the outcome of a run."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from pipeline.cli import log
from pipeline.config.job import NotifyConfig
from pipeline.errors import (
    EXIT_DONE,
    EXIT_FAILED_IMAGES,
    EXIT_TOO_MANY_FAILED,
    EXIT_UNFINISHED,
    EXIT_USAGE,
    without_secrets,
)
from pipeline.report.summary import Summary

TOKEN_VARIABLE = "FIAT_COLOR_WEBHOOK_TOKEN"
_RETRIES = 3
_BACKOFF_SECONDS = 0.5  # half the pause before the third try; each further pause doubles
_LONGEST_PAUSE = 30  # seconds, whatever Retry-After a receiver asks for
STATUS = {
    EXIT_DONE: "done",
    EXIT_UNFINISHED: "unfinished",
    EXIT_USAGE: "refused",
    EXIT_FAILED_IMAGES: "failed_images",
    EXIT_TOO_MANY_FAILED: "too_many_failed",
}


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `summary` is None if it had nothing to do or stopped earlier."""

    exit_status: int
    message: str
    summary: Summary | None = None


def notice(run_id: str, source: str, output: str, outcome: Outcome) -> dict[str, Any]:
    """The message for the webhook; it has the same keys for every outcome."""
    summary = None if outcome.summary is None else outcome.summary.model_dump(mode="json")
    return {
        "job": "colorize_bucket",
        "run": run_id,
        "input": without_secrets(source),
        "output": without_secrets(output),
        "status": STATUS[outcome.exit_status],
        "exit_status": outcome.exit_status,
        "message": outcome.message,
        "summary": summary,
    }


def deliver(config: NotifyConfig, message: dict[str, Any]) -> bool:
    """POST the message, with `Authorization: Bearer` where FIAT_COLOR_WEBHOOK_TOKEN is set.

    Failed connections and the answers 429, 500, 502, 503 and 504 are retried up to three times, after 0, 1
    and 2 seconds. Redirects are not followed, because the token is only for the configured host.

    Returns:
        True if the receiver accepted it, or if there is none. Otherwise the job printed one line on stderr.
    """
    if config.webhook is None:
        return True
    try:
        with _unlogged(), requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=_retry()))
            answer = session.post(
                config.webhook,
                data=json.dumps(message).encode(),
                headers={"Content-Type": "application/json"},
                auth=_authorize,
                timeout=config.seconds,
                allow_redirects=False,
            )
        reason = (
            "" if 200 <= answer.status_code < 300 else f"it answered {answer.status_code} {answer.reason}"
        )
    except (requests.RequestException, ValueError) as error:
        reason = type(error).__name__  # its text repeats the URL, which may hold a secret
    if reason:
        host = urlsplit(config.webhook).hostname
        warning = f"the webhook at {host} was not notified of the end of the run: {reason}"
        log.say("warning", warning, level="warning", text=f"warning: {warning}")
    return not reason


@contextmanager
def _unlogged() -> Iterator[None]:
    """Silence urllib3, which logs each retry with the path of the URL; the path may be a secret."""
    logger = logging.getLogger("urllib3.connectionpool")
    logger.addFilter(_is_error)
    try:
        yield
    finally:
        logger.removeFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _retry() -> Retry:
    return Retry(
        total=_RETRIES,
        backoff_factor=_BACKOFF_SECONDS,
        status_forcelist=(429, 500, 502, 503, 504),
        allowed_methods=("POST",),
        raise_on_status=False,
        retry_after_max=_LONGEST_PAUSE,
    )


def _authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add the token. Because this is an explicit authentication, requests ignores a ~/.netrc."""
    if token := os.environ.get(TOKEN_VARIABLE, "").strip():
        request.headers["Authorization"] = f"Bearer {token}"
    return request
