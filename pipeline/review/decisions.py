"""People's decisions about single images: one object per decision, written once and never changed.

    decisions/<time>-<id>.json    {"id", "key", "etag", "output_sha256", "verdict", "correction", "undoes",
                                   "who", "when"}

A later decision overrides an earlier one; `undo` names the decision that it cancels. Two people who decide at
the same time lose nothing: each writes separate objects, and each page shows both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, ValidationError, model_validator

from pipeline.config.section import Section
from pipeline.errors import AlreadyExists, ConfigError, StorageError
from pipeline.ledger.keys import DECISIONS
from pipeline.review.correction import Correction
from pipeline.review.decision_cache import LEAST, cached_texts, write_cache
from pipeline.storage import ObjectInfo, Store
from pipeline.storage.base import MAX_KEY_BYTES

#: Most bytes of a decisions file that `--decisions` imports, and of one stored decision.
MOST_FILE_BYTES = 64 * 2**20
MOST_DECISION_BYTES = 2**20
_THREADS = 16
_JSON = "application/json"
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z-[0-9a-f]{32}\.json")
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
#: A clock that is ahead of ours by more than this would override every later decision.
_AHEAD = timedelta(minutes=10)


def _in_time(when: datetime) -> datetime:
    when = when.astimezone(UTC)
    if when < _EARLIEST or when > datetime.now(UTC) + _AHEAD:
        raise ValueError("is not a possible time of a decision: check the clock")
    return when


def _one_line(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be one line of printable characters")
    return text


Identifier = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Verdict = Literal["accept", "reject", "gray", "correct", "undo"]


class Decision(Section):
    """One decision of one person about one version of a source."""

    id: Identifier = Field(default_factory=lambda: uuid4().hex)
    key: str = Field(min_length=1, max_length=MAX_KEY_BYTES, description="source key, as in the ledger")
    etag: str = Field(min_length=1, max_length=256, description="the version of the source")
    output_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        None, description="the result that was looked at; null: there was none"
    )
    verdict: Verdict
    correction: Correction | None = Field(None, description="of correct: what is wanted")
    undoes: Identifier | None = Field(None, description="of undo: the id of the decision that it cancels")
    who: Annotated[str, AfterValidator(_one_line)] = Field(min_length=1, max_length=200)
    when: Annotated[AwareDatetime, AfterValidator(_in_time)] = Field(description="ISO 8601 with a time zone")

    @model_validator(mode="after")
    def _verdict_has_its_field(self) -> Decision:
        if (self.verdict == "undo") != (self.undoes is not None):
            raise ValueError("only undo names a decision that it cancels, and it must name one")
        if (self.verdict == "correct") != (self.correction is not None):
            raise ValueError("only correct has a correction, and it must have one")
        return self

    @property
    def object_key(self) -> str:
        """Its key below OUT; names sort by time."""
        return f"{DECISIONS}{self.when:%Y%m%dT%H%M%S.%fZ}-{self.id}.json"


class DecisionFile(Section):
    """The file that the page saves when no server accepts its decisions."""

    decisions: tuple[Decision, ...] = Field(max_length=200_000, fail_fast=True)


def write_decision(out: Store, decision: Decision) -> bool:
    """Store the decision. Returns False if it exists already, for example when a file is imported twice.

    Raises:
        StorageError: it cannot be written, or a different decision has its name.
    """
    data = decision.model_dump_json().encode()
    try:
        out.put_if_absent(decision.object_key, data, _JSON)
    except AlreadyExists:
        if _read(out, decision.object_key) != decision:
            raise StorageError(
                f"{out.uri}/{decision.object_key} is not the decision to store; both say who and "
                "when: check them"
            ) from None
        return False
    return True


def read_decisions(out: Store) -> list[Decision]:
    """All decisions below OUT, sorted by time. Ignores files whose name is not that of a decision.

    Raises:
        StorageError: one cannot be read or is not a valid decision; the message names it.
    """
    decisions = read_decision_objects(out, listed_decisions(out))
    return sorted(decisions, key=lambda decision: (decision.when, decision.id))


def listed_decisions(out: Store) -> list[ObjectInfo]:
    """All decisions below OUT as they are listed. Raises StorageError."""
    return [info for info in out.list(DECISIONS) if _NAME.fullmatch(info.key.removeprefix(DECISIONS))]


def read_decision_objects(out: Store, listed: Sequence[ObjectInfo]) -> list[Decision]:
    """These decisions, in their order. Raises as `read_decisions`."""
    return [_parsed(out, key, text) for key, text in _texts(out, listed).items()]


def compact_decisions(out: Store) -> int:
    """Rewrite the cache of decisions below OUT if it lacks many; return how many it lacked.

    Raises:
        StorageError: a decision cannot be read, or the cache not be written.
    """
    listed = listed_decisions(out)
    lacking = len(listed) - len(cached_texts(out, listed))
    if lacking >= LEAST:
        write_cache(out, listed, _texts(out, listed))
    return lacking


def _texts(out: Store, listed: Sequence[ObjectInfo]) -> dict[str, bytes]:
    """The content of the objects by key, in the order of the listing."""
    cached = cached_texts(out, listed)
    others = [info.key for info in listed if info.key not in cached]
    with ThreadPoolExecutor(_THREADS) as pool:
        read = dict(zip(others, pool.map(lambda key: _text(out, key), others), strict=True))
    return {info.key: (read if info.key in read else cached)[info.key] for info in listed}


def _read(out: Store, key: str) -> Decision:
    return _parsed(out, key, _text(out, key))


def _text(out: Store, key: str) -> bytes:
    return out.get(key, max_bytes=MOST_DECISION_BYTES + 1).data


def _parsed(out: Store, key: str, text: bytes) -> Decision:
    try:
        if len(text) > MOST_DECISION_BYTES:
            raise ValueError
        return Decision.model_validate_json(text)
    except ValueError:  # pydantic's errors are among them
        raise StorageError(
            f"{out.uri}/{key} is not a decision: move it away, or restore it from a backup"
        ) from None


def current_decisions(decisions: Iterable[Decision]) -> dict[str, Decision]:
    """The current decision by source key: the newest that was not undone; `undo` itself is never current.

    Args:
        decisions: by time.
    """
    by_time = list(decisions)
    undone = {decision.undoes for decision in by_time}
    return {d.key: d for d in by_time if d.verdict != "undo" and d.id not in undone}


def read_file(path: str) -> Sequence[Decision]:
    """The decisions in a file that the page saved.

    Raises:
        ConfigError: it cannot be read, is too large, or contains something that is not a decision.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot read the decisions {path!r}: {getattr(error, 'strerror', error)}"
        ) from None
    if len(data) > MOST_FILE_BYTES:
        raise ConfigError(f"{path!r} has over {MOST_FILE_BYTES // 2**20} MiB, more than any page saves")
    try:
        return DecisionFile.model_validate_json(data).decisions
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:200]
        raise ConfigError(
            f"{path!r} is not a decisions file: {place or 'JSON'}: {first['msg'][:200]}"
        ) from None


def refuse_unknown(decisions: Iterable[Decision], known: Iterable[str]) -> None:
    """Refuse decisions about images that are not in the ledger.

    Raises:
        ConfigError: one names another image.
    """
    keys = set(known)
    for decision in decisions:
        if decision.key not in keys:
            name = json.dumps(decision.key)[:200]
            raise ConfigError(f"the decisions name {name}, which is not in the ledger: for another output?")
