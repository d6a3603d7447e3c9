"""Where an IIIF export is published: the addresses used in its manifests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from pipeline.errors import ConfigError

#: IIIF Presentation API 3.0, 3.1 `rights`: the URIs of these two bodies begin with http, not https.
_RIGHTS = re.compile(r"http://(creativecommons\.org/(licenses|publicdomain)|rightsstatements\.org/vocab)/.+")


@dataclass(frozen=True)
class IiifPlaces:
    """`base`: where the export is published, `images`: OUT, `sources`: the sources, all as http(s) addresses.

    `image_service`, `source_service`: IIIF Image API 3 servers whose identifiers are keys below OUT and of
    sources; None: there is none. `rights`: a URI of Creative Commons or RightsStatements.org. `attribution`:
    a line of text that viewers must show.
    """

    base: str | None = None
    images: str | None = None
    sources: str | None = None
    image_service: str | None = None
    source_service: str | None = None
    rights: str | None = None
    attribution: str | None = None

    def check(self) -> None:
        """Raise ConfigError if an address is missing or invalid, or if `rights` is not one of those URIs."""
        for name in ("base", "images", "sources", "image_service", "source_service"):
            option, value = f"--{name.replace('_', '-')}", getattr(self, name)
            if value is None and name.endswith("_service"):
                continue
            if value is None:
                raise ConfigError(f"IIIF manifests need full addresses: give {option} https://...")
            _check_address(option, value)
        if self.rights is not None and not _RIGHTS.fullmatch(self.rights):
            raise ConfigError(
                f"--rights {self.rights!r} is not a URI of creativecommons.org or rightsstatements.org; "
                "write it as they do, with http: http://rightsstatements.org/vocab/NoC-US/1.0/"
            )

    def published(self, name: str) -> str:
        """The address of a file of the export."""
        return _below(self.base, name)

    def image(self, key: str) -> str:
        """The address of a key below OUT."""
        return _below(self.images, key)

    def source(self, key: str) -> str:
        """The address of a source key."""
        return _below(self.sources, key)


def service_id(server: str, key: str) -> str:
    """The base URI of an image (Image API 3.0, 3): the identifier is one segment, its slashes encoded."""
    return f"{server.rstrip('/')}/{quote(key, safe='')}"


def _below(address: str | None, key: str) -> str:
    assert address is not None
    return f"{address.rstrip('/')}/{quote(key)}"


def _check_address(option: str, value: str) -> None:
    try:
        parts = urlsplit(value)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ConfigError(f"{option} {value!r} is not a web address; give https://HOST/PATH") from None
    if parts.username is not None:
        raise ConfigError(f"{option} contains a user name or password, but manifests are public")
    if not right or parts.query or parts.fragment or re.search(r"\s", value):
        raise ConfigError(f"{option} {value!r} is not a web address; give https://HOST/PATH")
