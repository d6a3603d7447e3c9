"""PREMIS elements as text, so that a document with millions of elements can be streamed."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

#: XML 1.0 (section 2.2) cannot hold these, not even escaped; a carriage return is read back as a line feed.
_UNSTORABLE = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def element(name: str, *inside: str, attributes: str = "") -> str:
    """The element in PREMIS's namespace, around elements or text that is escaped already."""
    return f"<premis:{name}{attributes}>{''.join(inside)}</premis:{name}>"


def text(name: str, value: str, uri: str | None = None) -> str:
    """An element with text. What XML cannot hold becomes U+FFFD. `uri` identifies a vocabulary's value."""
    attribute = f" valueURI={quoteattr(uri)}" if uri else ""
    return element(name, escape(_UNSTORABLE.sub("\ufffd", value)), attributes=attribute)


def identifier(name: str, kind: str, value: str, *more: str) -> str:
    """An identifier of any kind: each has a type and a value, and some have more."""
    return element(name, text(f"{name}Type", kind), text(f"{name}Value", value), *more)
