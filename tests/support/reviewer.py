"""A simulated person at a served gallery, as a process: `python -m tests.support.reviewer OUT WHO STOP`.

Decides about all images except the last, in turn, until the file STOP exists. Undoes every third decision.
Prints a line when it begins, then the decisions that it kept, one id and verdict per line.
"""

from __future__ import annotations

import itertools
import sys
import time
from pathlib import Path
from uuid import uuid4

from pipeline.config.storage import StorageConfig
from pipeline.review.cards import read_cards
from pipeline.review.page_requests import Wish
from pipeline.review.server import ReviewServer
from pipeline.storage import open_store

LEAST = 30
_VERDICTS = ("accept", "reject", "gray")


def main(output: str, who: str, stop: str) -> None:
    """Decide through the server, as the page does."""
    out = open_store(output, StorageConfig())
    cards = {card["key"]: card for card in read_cards(out).to_pylist()}
    kept: list[str] = []
    print("begins", flush=True)
    with ReviewServer(None, out, cards, who) as server:
        for number, card in enumerate(itertools.cycle(list(cards.values())[:-1])):
            if len(kept) >= LEAST and Path(stop).exists():
                break
            about = {"key": card["key"], "etag": card["etag"]}
            wish = Wish(id=uuid4().hex, verdict=_VERDICTS[number % 3], **about)
            server.decide(wish)
            kept.append(f"{wish.id} {wish.verdict}")
            if number % 3 == 0:
                undo = Wish(id=uuid4().hex, verdict="undo", undoes=wish.id, **about)
                try:
                    server.decide(undo)
                except ValueError:  # the other one decided about it meanwhile
                    continue
                kept.append(f"{undo.id} undo")
            time.sleep(0.02)
    print("\n".join(kept))


if __name__ == "__main__":
    main(*sys.argv[1:])
