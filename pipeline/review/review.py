"""A whole review: import decisions, write the gallery, serve it. `commands/review.py` calls it."""

from __future__ import annotations

import getpass
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from pipeline.cli import log
from pipeline.cli.counts import counted
from pipeline.cli.progress import Reporter
from pipeline.cli.run_id import make_run_id
from pipeline.config.job import JobConfig
from pipeline.errors import EXIT_DONE, ConfigError, FiatColorError, StorageError
from pipeline.ledger.doubt_maps import read_doubt_maps
from pipeline.ledger.keys import DECISIONS, GALLERY, LEASE
from pipeline.review.cards import read_cards
from pipeline.review.decisions import (
    Decision,
    compact_decisions,
    current_decisions,
    read_decisions,
    read_file,
    refuse_unknown,
    write_decision,
)
from pipeline.review.gallery import write_gallery
from pipeline.review.last_run import LastRun, last_run, settings_of
from pipeline.review.page_requests import Cards, Preview
from pipeline.review.rejecting import reject
from pipeline.review.server import ReviewServer
from pipeline.review.thumbnails import make_thumbnails
from pipeline.storage import Store, open_store, refuse_overlap
from pipeline.storage.lease import hold_lease

_CARRIED_OUT = ("reject", "correct", "gray")  # an acceptance needs no action


@dataclass(frozen=True)
class ReviewRequest:
    """The command line of a review.

    `input`: where the sources are; None: where the last run read them from. `decisions`: a file that the page
    saved. `apply`: whether to apply the decisions. `who`: the name recorded with served decisions; None: the
    account's name. `port`: 0 for any. `redo`: colours corrected images again; returns an exit status and one
    line, which is empty if there was nothing to colour. `open_preview`: gives what colours previews, from
    sources, output and settings of its last run; None: a served page has no previews.
    """

    output: str
    config: JobConfig
    input: str | None = None
    decisions: str | None = None
    apply: bool = False
    serve: bool = False
    who: str | None = None
    port: int = 0
    redo: Callable[[], tuple[int, str]] | None = None
    open_preview: Callable[[Store, Store, JobConfig], Preview] | None = None


def run_review(request: ReviewRequest) -> int:
    """Import decisions, apply them if asked to, write OUT/gallery/, and serve it if asked to.

    Returns:
        0, or what `redo` returned.

    Raises:
        FiatColorError: with the exit status of its class.
    """
    try:
        return _review(request)
    except KeyboardInterrupt:
        raise FiatColorError(
            "interrupted; the gallery is unchanged or partly updated: run it again"
        ) from None


def _review(request: ReviewRequest) -> int:
    _who(request.who)
    taken = read_file(request.decisions) if request.decisions is not None else ()
    out = open_store(request.output, request.config.storage)
    out.check_readable()
    cards, last = read_cards(out), _last_run(out)
    source = _source(request, last)
    refuse_unknown(taken, cards["key"].to_pylist())
    kept = sum(write_decision(out, decision) for decision in taken)
    if request.decisions is not None:
        log.say("decisions", _taken_in(kept, len(taken)))
    status = EXIT_DONE
    if request.apply:
        status, _ = _apply(request, out)
        cards = read_cards(out)
    refresh_gallery(request.config, source, out, cards)
    if request.serve:
        _serve(request, source, out, cards, last)
    return status


def _taken_in(kept: int, given: int) -> str:
    """A message about the imported decisions of a file."""
    if not given:
        return "the file holds no decisions"
    there = given - kept
    already = f"; {there:,} {'was' if there == 1 else 'were'} stored already" if there else ""
    return (f"imported {counted(kept, 'decision')}" if kept else "imported 0") + already


def refresh_gallery(
    config: JobConfig, source: Store | None, out: Store, cards: pa.Table, of_run: str | None = None
) -> None:
    """Write OUT/gallery/ and its missing thumbnails, and report it.

    Args:
        source: where the sources are; None: unknown, only results are shown.
        cards: from `read_cards`.
        of_run: the run that is ending, as in `make_thumbnails`.

    Raises:
        StorageError: decisions cannot be read, or something not be written.
    """
    started = time.monotonic()
    compact_decisions(out)
    side, threads = config.report.thumbnail, config.run.threads
    if of_run is None:
        with Reporter(cards.num_rows, words=("looking at", "images", "without picture")) as reporter:
            pictures = make_thumbnails(source, out, cards, side=side, threads=threads, progress=reporter.show)
    else:  # during a run, only its work reports progress
        pictures = make_thumbnails(source, out, cards, side=side, threads=threads, of_run=of_run)
    maps = read_doubt_maps(out)
    index = write_gallery(out, cards, pictures, read_decisions(out), side=side, doubt_maps=maps)
    words = [counted(cards.num_rows, "image")]
    if of_run is None:
        words.append(f"{counted(pictures.made, 'thumbnail')} written")
    if pictures.unreadable or of_run is None:
        words.append(f"{counted(pictures.unreadable, 'picture')} cannot be shown")
    if pictures.left:
        advice = f"fiat-color review {shlex.quote(out.uri)} writes them"
        words.append(f"{counted(pictures.left, 'image')} without thumbnails: {advice}")
    log.say("gallery", f"{out.uri}/{index}: {', '.join(words)}, {time.monotonic() - started:.1f} s")


def _apply(request: ReviewRequest, out: Store) -> tuple[int, str]:
    """Apply the current decisions; return an exit status and one line about what was done."""
    run_id = make_run_id("review")
    out.check_writable()
    with hold_lease(out, LEASE, what=f"review {run_id}") as lease:
        decided = current_decisions(read_decisions(out))
        count = reject(out, decided, run_id, lease)
    message = f"removed the results of {counted(count, 'rejected image')}" if count else ""
    if count:
        log.say("rejected", message, images=count)
    status, outcome = (EXIT_DONE, "") if request.redo is None else request.redo()
    if not message and not outcome:
        outcome = _nothing_to_apply(decided)
        log.say("nothing_to_apply", outcome)
    return status, "; ".join(filter(None, [message, outcome]))


def _nothing_to_apply(decisions: Mapping[str, Decision]) -> str:
    """A message that says why there is nothing to apply."""
    if any(decision.verdict in _CARRIED_OUT for decision in decisions.values()):
        return "nothing to apply: all decisions are applied already"
    return "nothing to apply: no image is rejected, corrected or kept gray"


def _serve(
    request: ReviewRequest, source: Store | None, out: Store, cards: pa.Table, last: LastRun | None
) -> None:
    """Until Ctrl-C."""

    def apply() -> tuple[str, Cards]:
        _, message = _apply(request, out)
        now = read_cards(out)
        refresh_gallery(request.config, source, out, now)
        return message, _by_key(now)

    preview = _preview(request, source, out, last)
    who, port = _who(request.who), request.port
    try:
        server = ReviewServer(source, out, _by_key(cards), who, port, preview=preview, apply=apply)
    except OSError as error:
        raise ConfigError(f"cannot serve on port {port}: {error.strerror}; give another --port") from None
    with server:
        log.say("serving", f"open {server.address} (works once; Ctrl-C to stop)", address=server.address)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            log.say("served", "stopped; the decisions are in " + f"{out.uri}/decisions/")


def _by_key(cards: pa.Table) -> Cards:
    names = ["key", "etag", "bytes", "output_key", "output_sha256", "earlier"]
    return {card["key"]: card for card in cards.select(names).to_pylist()}


def _preview(
    request: ReviewRequest, source: Store | None, out: Store, last: LastRun | None
) -> Preview | None:
    """A function that colours previews as the last run did; None if that is not possible."""
    if request.open_preview is None or source is None:
        return None
    try:
        config = request.config if last is None else settings_of(out, last.run_id, request.config)
    except (ConfigError, StorageError) as error:
        log.say("no_preview", f"{error}; there will be no previews of corrections", level="warning")
        return None
    return request.open_preview(source, out, config)


def _who(name: str | None) -> str:
    if name is None:
        try:
            name = getpass.getuser()
        except (OSError, KeyError):  # a container without accounts
            raise ConfigError("this account has no name; give one with --who NAME") from None
    if not name or len(name) > 200 or not name.isprintable() or name != name.strip():
        raise ConfigError(f"--who {name!r} is not a valid name: give one line of at most 200 characters")
    return name


def _last_run(out: Store) -> LastRun | None:
    """The last run; None, with a warning, if its files are damaged; the gallery then works without it."""
    try:
        return last_run(out)
    except ConfigError as error:
        log.say("no_last_run", str(error), level="warning")
        return None


def _source(request: ReviewRequest, last: LastRun | None) -> Store | None:
    """The source store; None if it is unknown, or if the last run's input cannot be read."""
    uri = request.input or (None if last is None else last.input)
    if uri is None:
        log.say("no_input", "the place of the sources is unknown; give --input to see them", level="warning")
        return None
    refuse_overlap(uri, request.output, own=(GALLERY, DECISIONS))
    source = open_store(uri, request.config.storage)
    try:
        source.check_readable()
    except (StorageError, ConfigError) as error:
        if request.input:
            raise
        log.say("no_input", f"{error}; give --input to see the sources", level="warning")
        return None
    return source
