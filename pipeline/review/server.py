"""Serve the gallery on this machine's loopback address to one person's browser, and store decisions.

By itself it writes only below OUT/decisions/. A single-use token in the address admits a browser. Each
request must name this host (no other name that resolves to it), and requests that change something must come
from this page.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer

from pipeline.codecs.thumbnail import thumbnail_jpeg
from pipeline.report.run_report import thumbnail
from pipeline.review.applying import DecisionRunner
from pipeline.review.correction import Correction
from pipeline.review.decision_log import DecisionLog
from pipeline.review.decisions import Decision, write_decision
from pipeline.review.gallery import page_files
from pipeline.review.handler import Handler
from pipeline.review.page_requests import Apply, Card, Cards, Preview, PreviewWish, Superseded, Wish
from pipeline.storage import Store

VIEW_SIDE = 2560


class ReviewServer(ThreadingHTTPServer):
    """Serves until `shutdown`; `address` is what a person opens.

    Args:
        source: where the sources are, for the full-size view; None: show only thumbnails.
        cards: by source key the card (columns of CARD_SCHEMA).
        who: the name to record with decisions.
        port: 0: any that is free.
        preview: colours one image with a correction; None: the page shows no preview.
        apply: applies the decisions; None: the page has no button for it.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(
        self,
        source: Store | None,
        out: Store,
        cards: Cards,
        who: str,
        port: int = 0,
        *,
        preview: Preview | None = None,
        apply: Apply | None = None,
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.source, self.out, self.cards, self.who = source, out, cards, who
        self.log = DecisionLog(out)
        self.token, self.session = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.files = dict(page_files())
        self.lock = threading.Lock()
        self._renders = threading.Semaphore(2)
        self.applying = None if apply is None else DecisionRunner(apply, self._renew)
        self.can_preview = preview is not None
        self._preview = preview
        self._previews, self.previews_asked = threading.Lock(), 0

    @property
    def host(self) -> str:
        """What a request's Host must be."""
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def address(self) -> str:
        """The address with the single-use token."""
        return f"http://{self.host}/?token={self.token}"

    def admit(self, token: str) -> bool:
        """Whether the token is valid; it is valid only once."""
        with self.lock:
            right = bool(self.token) and hmac.compare_digest(token.encode(), self.token.encode())
            if right:
                self.token = ""
            return right

    def _renew(self, cards: Cards) -> None:
        self.cards = cards

    def decide(self, wish: Wish) -> None:
        """Keep the decision.

        Raises:
            ValueError: it is not about an image in the ledger, or undoes a decision that is not current.
            StorageError: it cannot be written.
        """
        card = self.cards.get(wish.key)
        if card is None or card["etag"] != wish.etag:
            raise ValueError("the gallery is older than the ledger: restart the review")
        with self.lock:
            if wish.undoes is not None:
                decided = self.log.current_decisions().get(wish.key)
                if decided is None or decided.id != wish.undoes:
                    raise ValueError("somebody else has decided meanwhile: look again")
            if wish.correction is not None:
                self._lender(wish.correction)
            decision = Decision(**wish.model_dump(), who=self.who, when=datetime.now(UTC))
            write_decision(self.out, decision)

    def render(self, which: str, key: str, earlier: str | None = None) -> bytes:
        """A source ("before") or result ("after") as JPEG, at most VIEW_SIDE pixels long.

        Args:
            earlier: the key below OUT of an earlier result.

        Raises:
            KeyError: there is none. What `thumbnail` and a store raise.
        """
        card = self.cards[key]
        store = self.source if which == "before" else self.out
        place = key if which == "before" else card["output_key"]
        if earlier is not None:
            place = earlier if earlier in [one["output_key"] for one in card["earlier"] or ()] else None
        if store is None or not place:
            raise KeyError(key)
        etag = card["etag"] if which == "before" else None
        with self._renders:
            return thumbnail_jpeg(thumbnail(store.get(str(place), if_etag=etag).data, VIEW_SIDE))

    def preview(self, wish: PreviewWish) -> bytes:
        """The image with the correction as JPEG. Computes one at a time; of waiting requests, only the last.

        Raises:
            KeyError: there is no such image, or nothing that could colour it. ValueError: the image whose
            colours are wanted has no result. Superseded: as it says. What the callable raises.
        """
        if self._preview is None or wish.key not in self.cards:
            raise KeyError(wish.key)
        card, lender = self.cards[wish.key], self._lender(wish.correction)
        with self.lock:
            self.previews_asked += 1
            mine = self.previews_asked
        with self._previews:
            if mine != self.previews_asked:
                raise Superseded
            return self._preview(card, wish.correction, lender)

    def _lender(self, correction: Correction) -> Card | None:
        """The reference image of the correction, if any. Raises ValueError if it has no result."""
        if correction.reference is None:
            return None
        card = self.cards.get(correction.reference)
        if card is None or not card["output_key"]:
            raise ValueError("the reference image has no result")
        return card
