"""C2PA manifests: signed statements, in a result's file, of what was done and to what (C2PA 2.2).

The signature is made with the user's certificate. It holds random numbers and, on request, a time stamp:
signed results differ from run to run, and `output_sha256` in the ledger says which bytes were delivered.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from pipeline.codecs.metadata.xmp import IPTC_SOURCE_TYPES, Provenance
from pipeline.codecs.sniff import readable_format
from pipeline.config.extras import require
from pipeline.config.output import C2paConfig
from pipeline.errors import ConfigError, FailureCode, ImageFailure
from pipeline.records import GRAY

try:
    import c2pa
except ModuleNotFoundError:  # an extra: `ManifestSigner` asks for it
    c2pa = None

KEY_VARIABLE = "FIAT_COLOR_C2PA_KEY"
_MIME = {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "tiff": "image/tiff"}
_SOURCE = "source"
# A thumbnail of the result and one of the source would take ten times the room of the rest.
_SETTINGS = {"builder": {"thumbnail": {"enabled": False}}}
_TRIAL = Provenance("compositeWithTrainedAlgorithmicMedia", "trial", "", "Fiat Color", "trial.png", "")


class ManifestSigner:
    """Signs results with one certificate. Not thread-safe.

    Raises ConfigError if certificate or key cannot be read or do not match (checked by a trial signature), or
    if the extra `c2pa` is not installed.
    """

    def __init__(self, config: C2paConfig) -> None:
        require("c2pa", "output.c2pa")
        chain, key = _certificates(config), _private_key(config)
        self._settings = c2pa.Settings.from_dict(_SETTINGS)
        url = None if config.timestamp_url is None else config.timestamp_url.encode()
        try:
            info = c2pa.C2paSignerInfo(config.algorithm.encode(), chain, key, url)
            self._signer = c2pa.Signer.from_info(info)
            trial = io.BytesIO()
            Image.new("RGB", (8, 8)).save(trial, "PNG")
            self._sign(
                io.BytesIO(trial.getvalue()), io.BytesIO(trial.getvalue()), io.BytesIO(), "png", _TRIAL
            )
        except (c2pa.C2paError, ValueError) as error:
            raise ConfigError(f"output.c2pa cannot sign: {_words(error)}") from None

    def sign(
        self, data: bytes, source: bytes, format_: str, provenance: Provenance, *, resized: bool = False
    ) -> bytes:
        """The finished file with a manifest that names the source as its parent.

        Args:
            resized: it has fewer pixels than the source.

        Raises:
            ImageFailure: ENCODE_FAILED where it cannot be signed.
        """
        signed = io.BytesIO()
        self.sign_file(io.BytesIO(data), io.BytesIO(source), signed, format_, provenance, resized=resized)
        return signed.getvalue()

    def sign_file(
        self,
        file: BinaryIO,
        source: BinaryIO,
        signed: BinaryIO,
        format_: str,
        provenance: Provenance,
        *,
        resized: bool = False,
    ) -> None:
        """As `sign`, from files that can seek to one."""
        try:
            self._sign(file, source, signed, format_, provenance, resized=resized)
        except c2pa.C2paError as error:
            message = f"the result cannot be signed: {_words(error)}"
            raise ImageFailure(FailureCode.ENCODE_FAILED, message) from error

    def _sign(
        self,
        file: BinaryIO,
        source: BinaryIO,
        signed: BinaryIO,
        format_: str,
        provenance: Provenance,
        *,
        resized: bool = False,
    ) -> None:
        parent = {"title": provenance.source_name, "relationship": "parentOf", "instance_id": _SOURCE}
        format_name = readable_format(source.read(64))
        source.seek(0)
        kind = _MIME.get((format_name or "").lower(), "application/octet-stream")
        with (
            c2pa.Context(settings=self._settings) as context,
            c2pa.Builder(_definition(format_, provenance, resized), context=context) as builder,
        ):
            builder.add_ingredient(parent, kind, source)
            builder.sign(self._signer, _MIME[format_], file, signed)


def _description(provenance: Provenance) -> str:
    if provenance.method == GRAY:
        return f"kept gray: {provenance.made_with}; no colour was added"
    return f"colorized: {provenance.made_with}; the colours are a guess"


def _definition(format_: str, provenance: Provenance, resized: bool) -> dict[str, object]:
    """The claim: the source was opened, then its colours were changed by a trained model."""
    name, _, version = provenance.software.rpartition(" ")
    agent = {"name": name or version, "version": version}
    actions: list[dict[str, object]] = [
        {"action": "c2pa.opened", "parameters": {"ingredientIds": [_SOURCE]}},
        {
            "action": "c2pa.color_adjustments",
            "softwareAgent": agent,
            "digitalSourceType": IPTC_SOURCE_TYPES + provenance.digital_source_type,
            "description": _description(provenance),
        },
    ]
    if resized:
        actions.append({"action": "c2pa.resized", "softwareAgent": agent})
    return {
        "claim_generator_info": [agent],
        "title": provenance.source_name,
        "format": _MIME[format_],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


def open_signer(config: C2paConfig) -> ManifestSigner | None:
    """The signer, None where none is configured. Raises ConfigError as `ManifestSigner`."""
    return None if config.certificates is None else ManifestSigner(config)


def _certificates(config: C2paConfig) -> bytes:
    assert config.certificates is not None
    return _read("output.c2pa.certificates", config.certificates)


def _private_key(config: C2paConfig) -> bytes:
    if config.key is not None:
        return _read("output.c2pa.key", config.key)
    if not (key := os.environ.get(KEY_VARIABLE)):
        raise ConfigError(f"output.c2pa has certificates but no key: set output.c2pa.key or {KEY_VARIABLE}")
    return key.encode()


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} {path} cannot be read: {error.strerror}") from None


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
