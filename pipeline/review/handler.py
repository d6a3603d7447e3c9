"""Handle requests to the served gallery: access control, request bodies and answers."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from PIL import Image
from pydantic import ValidationError

from pipeline.errors import FiatColorError, ImageFailure, StorageError
from pipeline.ledger.keys import GALLERY
from pipeline.review.decisions import MOST_DECISION_BYTES
from pipeline.review.gallery import CONTENT_TYPES, decisions_script, without_correction
from pipeline.review.page_requests import PreviewWish, Superseded, Wish
from pipeline.review.thumbnails import UNREADABLE

if TYPE_CHECKING:
    from pipeline.review.server import ReviewServer

MOST_BODY_BYTES = MOST_DECISION_BYTES - 2**12  # who and when are added
_COOKIE = "fiat-review"
_STORED = re.compile(
    r"data/(index|(page|doubt)-[0-9]{5})\.js|thumbs/[0-9]{1,4}/[0-9a-f]{2}/[0-9a-f]{32}\.jpg"
)
_NO, _YES = b' content="no"', b' content="yes"'
_HTML = CONTENT_TYPES["html"]
_USED = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Fiat Color</title></head><body>
<p>This address works once. Stop the command with Ctrl-C and start it again.</p>
<p lang="ko">이 주소는 한 번만 쓸 수 있습니다. Ctrl-C로 명령을 멈추고 다시 시작하세요.</p>
</body></html>
""".encode()
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

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
            self._refuse_stranger(parts.path)
        elif parts.path == "/":
            self._answer(HTTPStatus.SEE_OTHER, b"", headers={"Location": f"/{GALLERY}index.html"})
        elif parts.path == "/api/apply" and self.server.applying is not None:
            self._json(self.server.applying.state())
        elif parts.path == "/api/correction":
            self._correction(query.get("key", ""))
        elif parts.path.startswith("/view/"):
            self._view(parts.path.removeprefix("/view/"), query.get("key", ""), query.get("earlier"))
        elif parts.path.startswith(f"/{GALLERY}"):
            self._file(parts.path.removeprefix(f"/{GALLERY}"))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        self.close_connection = True  # the unread rest of a refused body must not become the next request
        if not self._right_host():
            return
        if self.headers.get("Origin") != f"http://{self.server.host}" or not self._has_session():
            self._refuse(HTTPStatus.FORBIDDEN, "this request does not come from the gallery")
        elif (act := self._posts().get(self.path)) is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
        elif self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON")
        elif (body := self._body()) is not None:
            try:
                act(body)
            except ValidationError:
                self._refuse(HTTPStatus.BAD_REQUEST, "this is not what the page sends")

    def _posts(self) -> dict[str, Callable[[bytes], None]]:
        return {"/api/decisions": self._decide, "/api/apply": self._apply, "/preview": self._preview}

    def _body(self) -> bytes | None:
        """The request body; None if it was refused without reading."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or len(length) > 9 or int(length) > MOST_BODY_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"send at most {MOST_BODY_BYTES} bytes")
            return None
        return self.rfile.read(int(length))

    def _decide(self, body: bytes) -> None:
        try:
            self.server.decide(Wish.model_validate_json(body))
            shown = self._standing()
        except ValidationError:
            raise
        except ValueError as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))
        except StorageError as error:
            self._refuse(HTTPStatus.BAD_GATEWAY, str(error))
        else:
            self._json(shown)

    def _preview(self, body: bytes) -> None:
        try:
            picture = self.server.preview(PreviewWish.model_validate_json(body))
        except ValidationError:
            raise
        except KeyError:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such picture")
        except Superseded:
            self._refuse(HTTPStatus.CONFLICT, "superseded by a later request")
        except (ImageFailure, FiatColorError, ValueError) as error:
            self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, " ".join(str(error).split())[:500])
        else:
            self._answer(HTTPStatus.OK, picture, "image/jpeg")

    def _apply(self, body: bytes) -> None:
        applying = self.server.applying
        if applying is None:
            self._refuse(HTTPStatus.NOT_FOUND, "this server cannot apply decisions")
        elif not applying.start():
            self._refuse(HTTPStatus.CONFLICT, "decisions are already being applied")
        else:
            self._json(applying.state())

    def _standing(self) -> list[dict[str, Any]]:
        return [without_correction(decision) for decision in self.server.log.current_decisions().values()]

    def _correction(self, key: str) -> None:
        """Send the correction of an image's current decision, or null."""
        decision = self.server.log.current_decisions().get(key)
        correction = None if decision is None else decision.correction
        self._json(None if correction is None else correction.model_dump(mode="json"))

    def _file(self, name: str) -> None:
        if name == "data/decisions.js":
            self._fetched(lambda: decisions_script(self._standing()), CONTENT_TYPES["js"])
        elif name in self.server.files:
            data = self.server.files[name]
            data = self._served(data) if name == "index.html" else data
            self._answer(HTTPStatus.OK, data, CONTENT_TYPES[name.rpartition(".")[2]])
        elif _STORED.fullmatch(name):
            kind = CONTENT_TYPES["js"] if name.endswith(".js") else "image/jpeg"
            self._fetched(lambda: self.server.out.get(GALLERY + name).data, kind)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such file")

    def _served(self, page: bytes) -> bytes:
        """The page, with flags for what this server supports."""
        able = [b"fiat-server"]
        able += [b"fiat-preview"] if self.server.can_preview else []
        able += [b"fiat-apply"] if self.server.applying is not None else []
        for name in able:
            mark = b'name="' + name + b'"'
            page = page.replace(mark + _NO, mark + _YES)
        return page

    def _view(self, which: str, key: str, earlier: str | None) -> None:
        if which not in ("before", "after") or key not in self.server.cards:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such picture")
        else:
            self._fetched(lambda: self.server.render(which, key, earlier), "image/jpeg")

    def _fetched(self, fetch: Any, content_type: str) -> None:
        try:
            data = fetch()
        except (*UNREADABLE, FiatColorError, KeyError, Image.DecompressionBombError) as error:
            self._refuse(HTTPStatus.NOT_FOUND, " ".join(str(error).split())[:500] or "there is none")
        else:
            self._answer(HTTPStatus.OK, data, content_type)

    def _right_host(self) -> bool:
        """Refuse other host names: a foreign page may point its name at this machine (DNS rebinding)."""
        if self.headers.get("Host") == self.server.host:
            return True
        self.close_connection = True
        self._refuse(
            HTTPStatus.FORBIDDEN, "open the gallery at the address that fiat-color review OUT --serve printed"
        )
        return False

    def _has_session(self) -> bool:
        try:
            cookie = SimpleCookie(self.headers.get("Cookie", "")).get(_COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(cookie.value.encode(), self.server.session.encode())

    def _json(self, value: object) -> None:
        self._answer(HTTPStatus.OK, json.dumps(value).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self._answer(status, json.dumps({"error": message}).encode(), "application/json")

    def _refuse_stranger(self, path: str) -> None:
        """Refuse a browser whose address was used already, or that has no token."""
        if path == "/" or path.endswith("/index.html"):
            self._answer(HTTPStatus.FORBIDDEN, _USED, _HTML)
        else:
            message = "open the address that fiat-color review OUT --serve printed; it works once"
            self._refuse(HTTPStatus.FORBIDDEN, message)

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
