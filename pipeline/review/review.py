"""A whole review: take decisions in, make the gallery, serve it. `jobs/review.py` calls it."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from pipeline.cli import log
from pipeline.cli.command import stop_on_sigterm
from pipeline.cli.progress import Reporter
from pipeline.cli.run_id import make_run_id
from pipeline.config.job import JobConfig
from pipeline.errors import EXIT_DONE, ConfigError, FiatColorError, StorageError
from pipeline.ledger.keys import DECISIONS, GALLERY, LEASE, RUNS, SUMMARY
from pipeline.review.cards import read_cards
from pipeline.review.decisions import read_decisions, read_file, refuse_unknown, standing, write_decision
from pipeline.review.gallery import write_gallery
from pipeline.review.rejecting import reject
from pipeline.review.server import ReviewServer
from pipeline.review.thumbnails import make_thumbnails
from pipeline.storage import Store, open_store, refuse_overlap
from pipeline.storage.lease import at_work


@dataclass(frozen=True)
class ReviewRequest:
    """The command line of a review.

    `input`: where the sources are; None: where the last run read them. `decisions`: a file that the page
    downloaded. `apply`: remove what is rejected, and call `redo`, which colours again what people corrected
    and returns an exit status. `who`: the name that served decisions carry; None: of the
    account. `port`: 0: any.
    """

    output: str
    config: JobConfig
    input: str | None = None
    decisions: str | None = None
    apply: bool = False
    serve: bool = False
    who: str | None = None
    port: int = 0
    redo: Callable[[], int] | None = None


def run_review(request: ReviewRequest) -> int:
    """Take decisions in, carry them out if asked to, write OUT/gallery/, and serve it if asked to.

    Returns:
        0, or what `redo` returned.

    Raises:
        FiatColorError: with the exit status that its class states.
    """
    stop_on_sigterm()
    try:
        return _review(request)
    except KeyboardInterrupt:
        raise FiatColorError(
            "interrupted; the gallery is as it was, or partly renewed: run it again"
        ) from None


def _review(request: ReviewRequest) -> int:
    started = time.monotonic()
    who = _who(request.who)
    taken = read_file(request.decisions) if request.decisions is not None else ()
    out = open_store(request.output, request.config.storage)
    out.check_readable()
    cards = read_cards(out)
    source = _source(request, out)
    refuse_unknown(taken, cards["key"].to_pylist())
    kept = sum(write_decision(out, decision) for decision in taken)
    if request.decisions is not None:
        log.say("decisions", f"took in {kept:,} of {len(taken):,} decisions; the others are there already")
    status = EXIT_DONE
    if request.apply:
        cards = _apply(out)
        if request.redo is not None:
            status, cards = request.redo(), read_cards(out)
    side, threads = request.config.report.thumbnail, request.config.run.threads
    with Reporter(cards.num_rows, words=("looking at", "images", "without picture")) as reporter:
        pictures = make_thumbnails(source, out, cards, side=side, threads=threads, progress=reporter.show)
    index = write_gallery(out, cards, pictures, read_decisions(out), side=side)
    log.say(
        "gallery",
        f"{out.uri}/{index}: {cards.num_rows:,} images, {pictures.made:,} thumbnails written, "
        f"{pictures.unreadable:,} pictures that cannot be shown, {time.monotonic() - started:.1f} s",
    )
    if request.serve:
        _serve(source, out, cards, who, request.port)
    return status


def _apply(out: Store) -> pa.Table:
    """Carry out the rejections that stand; returns the cards as they are then."""
    run_id = make_run_id("review")
    out.check_writable()
    with at_work(out, LEASE, what=f"review {run_id}"):
        count = reject(out, standing(read_decisions(out)), run_id)
    log.say("rejected", f"removed the results of {count:,} rejected images", images=count)
    return read_cards(out)


def _serve(source: Store | None, out: Store, cards: pa.Table, who: str, port: int) -> None:
    """Until Ctrl-C."""
    by_key = {card["key"]: card for card in cards.select(["key", "etag", "output_key"]).to_pylist()}
    try:
        server = ReviewServer(source, out, by_key, who, port)
    except OSError as error:
        raise ConfigError(f"cannot serve at port {port}: {error.strerror}; give another --port") from None
    with server:
        log.say("serving", f"open {server.address} (good once; Ctrl-C ends)", address=server.address)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            log.say("served", "ended; the decisions are in " + f"{out.uri}/decisions/")


def _who(name: str | None) -> str:
    if name is None:
        try:
            name = getpass.getuser()
        except (OSError, KeyError):  # a container without accounts
            raise ConfigError("this account has no name; give --who NAME for the decisions") from None
    if not name or len(name) > 200 or not name.isprintable() or name != name.strip():
        raise ConfigError(f"--who {name!r} is no name: give one line of at most 200 characters")
    return name


def _source(request: ReviewRequest, out: Store) -> Store | None:
    """The sources; None where nobody names them, or the place that the last run named cannot be read."""
    uri = request.input or _last_input(out)
    if uri is None:
        log.say("no_input", "no run says where the sources are; give --input to see them", level="warning")
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


def _last_input(out: Store) -> str | None:
    """Where the newest finished colouring run read, as its summary says; run ids sort by time."""
    keys = [info.key for info in out.list(RUNS) if info.key.endswith(f"/{SUMMARY}")]
    for key in sorted(keys, reverse=True):
        try:
            summary = json.loads(out.get(key).data)
        except ValueError:
            continue  # no summary of ours
        if isinstance(summary, dict) and "job_digest" in summary and isinstance(summary.get("input"), str):
            return str(summary["input"])
    return None
