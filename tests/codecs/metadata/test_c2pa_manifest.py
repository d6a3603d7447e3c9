"""C2PA manifests: signed with a certificate made here, read back by the reference library."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from PIL import Image

from pipeline.codecs.encode import encode
from pipeline.codecs.metadata.c2pa_manifest import KEY_VARIABLE, ManifestSigner, open_signer
from pipeline.config.job import JobConfig, job_digest
from pipeline.config.loading import effective_yaml
from pipeline.config.output import C2paConfig, OutputConfig
from pipeline.errors import ConfigError
from tests.codecs.metadata.test_provenance import PROVENANCE
from tests.support.certificates import make_signer
from tests.support.samples import colourful, decoded, encoded, photo


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> C2paConfig:
    chain, key = make_signer(tmp_path_factory.mktemp("certificate"))
    return C2paConfig(certificates=str(chain), key=str(key))


def manifest_of(data: bytes, format: str) -> tuple[dict[str, Any], str]:
    """The active manifest, and what the library says of its signature and hashes."""
    with c2pa.Reader(f"image/{format}", io.BytesIO(data)) as reader:
        actual = json.loads(reader.json())
        return actual["manifests"][actual["active_manifest"]], reader.get_validation_state()


def result(format: str, source: bytes) -> bytes:
    rgb = colourful(60, 90)
    return encode(rgb, decoded(source), None, OutputConfig(format=format), PROVENANCE)  # type: ignore[arg-type]


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("source_format", ["JPEG", "TIFF", "BMP"])
def test_a_manifest_says_what_was_done_and_to_what(
    format: str, source_format: str, settings: C2paConfig
) -> None:
    source = encoded(photo(), source_format)
    output = result(format, source)
    signed = ManifestSigner(settings).sign(output, source, format, PROVENANCE)
    manifest, state = manifest_of(signed, format)
    assert state == "Valid"
    assert manifest["claim_generator_info"][0]["name"] == "Fiat Color"
    (parent,) = manifest["ingredients"]
    assert (parent["relationship"], parent["title"]) == ("parentOf", "pier.tif")
    (actions,) = [one for one in manifest["assertions"] if one["label"].startswith("c2pa.actions")]
    opened, coloured = actions["data"]["actions"]
    assert opened["action"] == "c2pa.opened"
    assert coloured["action"] == "c2pa.color_adjustments"
    assert coloured["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    with Image.open(io.BytesIO(signed)) as image, Image.open(io.BytesIO(output)) as unsigned:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(unsigned))
        assert image.info["icc_profile"] == unsigned.info["icc_profile"]


def test_a_changed_byte_is_found(settings: C2paConfig) -> None:
    source = encoded(photo(), "PNG")
    signed = bytearray(ManifestSigner(settings).sign(result("tiff", source), source, "tiff", PROVENANCE))
    signed[200] ^= 1
    assert manifest_of(bytes(signed), "tiff")[1] == "Invalid"


def test_the_key_may_come_from_the_environment(settings: C2paConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = settings.model_copy(update={"key": None})
    with pytest.raises(ConfigError, match=KEY_VARIABLE):
        open_signer(alone)
    monkeypatch.setenv(KEY_VARIABLE, Path(settings.key or "").read_text())
    assert open_signer(alone) is not None


def test_without_certificates_nothing_is_signed() -> None:
    assert open_signer(C2paConfig()) is None


def test_what_cannot_sign_is_one_line(settings: C2paConfig, tmp_path: Path) -> None:
    other_chain, _ = make_signer(tmp_path)
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    for change in (
        {"certificates": str(other_chain)},
        {"certificates": str(nonsense)},
        {"key": str(nonsense)},
        {"certificates": str(tmp_path / "missing.pem")},
        {"algorithm": "ps256"},
    ):
        with pytest.raises(ConfigError, match=r"output\.c2pa") as caught:
            open_signer(settings.model_copy(update=change))
        assert "\n" not in str(caught.value)
        assert "PRIVATE" not in str(caught.value)


def test_the_key_is_in_no_printout_and_its_place_in_no_digest(settings: C2paConfig) -> None:
    config = JobConfig(output=OutputConfig(c2pa=settings))
    assert Path(settings.key or "").read_text().splitlines()[1] not in effective_yaml(config)
    moved = settings.model_copy(update={"key": "/elsewhere"})
    assert job_digest(config, "w") == job_digest(JobConfig(output=OutputConfig(c2pa=moved)), "w")
    assert job_digest(config, "w") != job_digest(JobConfig(), "w")
