"""The gallery on this machine's loopback address, for one person's browser; it takes decisions.

It writes below OUT/decisions/ and nowhere else. A token in the address, good once, lets a browser in. Each
request must name this host (no other name that leads here), and what changes something must come from this
page.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from PIL import Image
from pydantic import Field, ValidationError

from pipeline.config.section import Section
from pipeline.errors import FiatColorError, StorageError
from pipeline.ledger.keys import GALLERY
from pipeline.report.gallery import thumbnail
from pipeline.review.decision_log import DecisionLog
from pipeline.review.decisions import Decision, Identifier, Verdict, write_decision
from pipeline.review.gallery import CONTENT_TYPES, page_files, shown_script
from pipeline.review.thumbnails import UNREADABLE, jpeg
from pipeline.storage import Store

MOST_BODY_BYTES = 8 * 2**10
VIEW_SIDE = 2560
_COOKIE = "fiat-review"
_STORED = re.compile(r"data/(index|page-[0-9]{5})\.js|thumbs/[0-9]{1,4}/[0-9a-f]{2}/[0-9a-f]{32}\.jpg")
_SERVED = (b'name="fiat-server" content="no"', b'name="fiat-server" content="yes"')
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Wish(Section):
    """What the page sends; who and when are the server's to say."""

    id: Identifier
    key: str = Field(min_length=1, max_length=1024)
    etag: str = Field(min_length=1, max_length=256)
    output_sha256: str | None = Field(None, max_length=64)
    verdict: Verdict
    undoes: Identifier | None = None


class ReviewServer(ThreadingHTTPServer):
    """Serves until `shutdown`; `address` is what a person opens.

    Args:
        source: where the sources are, for the view at full size; None: their thumbnails must do.
        cards: by source key the card (columns of CARD_SCHEMA).
        who: the name that the decisions carry.
        port: 0: any that is free.

    Raises:
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(
        self,
        source: Store | None,
        out: Store,
        cards: Mapping[str, Mapping[str, Any]],
        who: str,
        port: int = 0,
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.source, self.out, self.cards, self.who = source, out, cards, who
        self.log = DecisionLog(out)
        self.token, self.session = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.files = dict(page_files())
        self.lock = threading.Lock()
        self._renders = threading.Semaphore(2)

    @property
    def host(self) -> str:
        """What a request's Host must be."""
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def address(self) -> str:
        """The address with the token, which one browser can use once."""
        return f"http://{self.host}/?token={self.token}"

    def admit(self, token: str) -> bool:
        """Whether the token is right; a second time it never is."""
        with self.lock:
            right = bool(self.token) and hmac.compare_digest(token.encode(), self.token.encode())
            if right:
                self.token = ""
            return right

    def decide(self, wish: Wish) -> None:
        """Keep the decision.

        Raises:
            ValueError: it is about no image of the ledger, or takes back what does not stand, in one line.
            StorageError: it cannot be written.
        """
        card = self.cards.get(wish.key)
        if card is None or card["etag"] != wish.etag:
            raise ValueError("the gallery is older than the ledger: start the review again")
        with self.lock:
            if wish.undoes is not None:
                decided = self.log.standing().get(wish.key)
                if decided is None or decided.id != wish.undoes:
                    raise ValueError("somebody decided meanwhile: look again")
            decision = Decision(**wish.model_dump(), who=self.who, when=datetime.now(UTC))
            write_decision(self.out, decision)

    def render(self, which: str, key: str) -> bytes:
        """A source ("before") or result ("after") as JPEG, at most VIEW_SIDE pixels long.

        Raises:
            KeyError: there is none. What `thumbnail` and a store raise.
        """
        card = self.cards[key]
        store = self.source if which == "before" else self.out
        place = key if which == "before" else card["output_key"]
        if store is None or not place:
            raise KeyError(key)
        etag = card["etag"] if which == "before" else None
        with self._renders:
            return jpeg(thumbnail(store.get(str(place), if_etag=etag).data, VIEW_SIDE))


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        if not self._right_host():
            return
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/" and self.server.admit(query.get("token", "")):
            cookie = f"{_COOKIE}={self.server.session}; HttpOnly; SameSite=Strict; Path=/"
            self._answer(
                HTTPStatus.SEE_OTHER, b"", headers={"Location": f"/{GALLERY}index.html", "Set-Cookie": cookie}
            )
        elif not self._has_session():
            self._refuse(
                HTTPStatus.FORBIDDEN, "open the address that jobs/review.py printed; it is good once"
            )
        elif parts.path == "/":
            self._answer(HTTPStatus.SEE_OTHER, b"", headers={"Location": f"/{GALLERY}index.html"})
        elif parts.path.startswith("/view/"):
            self._view(parts.path.removeprefix("/view/"), query.get("key", ""))
        elif parts.path.startswith(f"/{GALLERY}"):
            self._file(parts.path.removeprefix(f"/{GALLERY}"))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        self.close_connection = True  # what of a refused body was not read must not be the next request
        if not self._right_host():
            return
        if self.headers.get("Origin") != f"http://{self.server.host}" or not self._has_session():
            self._refuse(HTTPStatus.FORBIDDEN, "this request does not come from the gallery")
        elif self.path != "/api/decisions":
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        elif self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON")
        else:
            self._decide()

    def _decide(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > MOST_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {MOST_BODY_BYTES} bytes")
            return
        try:
            self.server.decide(Wish.model_validate_json(self.rfile.read(int(length))))
            shown = [decision.model_dump(mode="json") for decision in self.server.log.standing().values()]
        except ValidationError:
            self._refuse(HTTPStatus.BAD_REQUEST, "this is no decision")
        except ValueError as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))
        except StorageError as error:
            self._refuse(HTTPStatus.BAD_GATEWAY, str(error))
        else:
            self._answer(HTTPStatus.OK, json.dumps(shown).encode(), "application/json")

    def _file(self, name: str) -> None:
        if name == "data/decisions.js":
            self._fetched(lambda: shown_script(self.server.log.decisions()), CONTENT_TYPES["js"])
        elif name in self.server.files:
            data = self.server.files[name]
            data = data.replace(*_SERVED) if name == "index.html" else data
            self._answer(HTTPStatus.OK, data, CONTENT_TYPES[name.rpartition(".")[2]])
        elif _STORED.fullmatch(name):
            kind = CONTENT_TYPES["js"] if name.endswith(".js") else "image/jpeg"
            self._fetched(lambda: self.server.out.get(GALLERY + name).data, kind)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such file")

    def _view(self, which: str, key: str) -> None:
        if which not in ("before", "after") or key not in self.server.cards:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such picture")
        else:
            self._fetched(lambda: self.server.render(which, key), "image/jpeg")

    def _fetched(self, fetch: Any, content_type: str) -> None:
        try:
            data = fetch()
        except (*UNREADABLE, FiatColorError, KeyError, Image.DecompressionBombError) as error:
            self._refuse(HTTPStatus.NOT_FOUND, " ".join(str(error).split())[:500] or "there is none")
        else:
            self._answer(HTTPStatus.OK, data, content_type)

    def _right_host(self) -> bool:
        """Another name that leads here is a page of somebody else's that has been pointed at this machine."""
        if self.headers.get("Host") == self.server.host:
            return True
        self.close_connection = True
        self._refuse(HTTPStatus.FORBIDDEN, "open the gallery by the address that jobs/review.py printed")
        return False

    def _has_session(self) -> bool:
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(_COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self.server.session.encode())

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._answer(status, json.dumps({"error": message}).encode(), "application/json")

    def _answer(
        self,
        status: HTTPStatus,
        data: bytes,
        content_type: str = CONTENT_TYPES["txt"],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        kept = (
            "private, max-age=86400"
            if content_type == "image/jpeg" and status == HTTPStatus.OK
            else "no-store"
        )
        all_headers = {**_HEADERS, **(headers or {}), "Content-Type": content_type, "Cache-Control": kept}
        for name, value in all_headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the token would be in it."""
