"""Weights files: round trip, digests, and one clear line for everything that can be wrong with one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from pipeline.errors import ConfigError, WeightsError
from pipeline.models.base import resolve_precision
from pipeline.models.method_list import METHODS, load_colorizer, weights_digest
from pipeline.models.methods.iizuka import AB_RANGE, IizukaColorizer
from pipeline.models.weights import WeightsInfo, encode_weights
from tests.support.servers import S3Server

L_B1HW = torch.rand((1, 1, 64, 64), generator=torch.Generator().manual_seed(0)) * 100


def make(classes: int = 3, method: str = "iizuka") -> tuple[IizukaColorizer, bytes]:
    torch.manual_seed(1)
    colorizer = IizukaColorizer(0.125, classes).eval()
    info = WeightsInfo(
        method,
        colorizer.architecture(),
        (1.5, 7.25),
        AB_RANGE,
        IizukaColorizer.normalisation,
        ("a", "b", "c"),
    )
    return colorizer, encode_weights(colorizer.state_dict(), info)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.safetensors"
    path.write_bytes(make()[1])
    return path


def test_round_trip(file: Path) -> None:
    loaded = load_colorizer("iizuka", str(file), precision="fp32")
    assert loaded.weights_digest == hashlib.sha256(file.read_bytes()).hexdigest()
    assert loaded.weights_digest == weights_digest("iizuka", str(file))
    assert (loaded.method, loaded.precision, loaded.colorizer.training) == ("iizuka", "fp32", False)
    difference = loaded.colorizer.predict_ab(L_B1HW) - make()[0].predict_ab(L_B1HW)
    assert float(difference.abs().max()) < 0.05  # float16 storage costs next to nothing


def test_the_same_weights_make_the_same_bytes() -> None:
    assert make()[1] == make()[1]


def test_half_precision_halves_the_file() -> None:
    colorizer, half = make()
    info = WeightsInfo("iizuka", colorizer.architecture(), (0, 0), AB_RANGE, IizukaColorizer.normalisation)
    assert len(half) < 0.6 * len(encode_weights(colorizer.state_dict(), info, half=False))


def test_digest_in_the_uri(file: Path) -> None:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert load_colorizer("iizuka", f"{file}#sha256={digest}").weights_digest == digest
    with pytest.raises(WeightsError, match=f"have sha256 {digest}, not {'0' * 64}"):
        load_colorizer("iizuka", f"{file}#sha256={'0' * 64}")
    with pytest.raises(WeightsError, match="only sha256="):
        load_colorizer("iizuka", f"{file}#md5=abc")


def test_weights_in_a_bucket(s3_moto: S3Server, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_moto.endpoint)
    client = s3_moto.client
    client.create_bucket(Bucket="weights")
    client.put_object(Bucket="weights", Key="models/small.safetensors", Body=file.read_bytes())
    uri = "s3://weights/models/small.safetensors"
    assert weights_digest("iizuka", uri) == weights_digest("iizuka", str(file))
    with pytest.raises(WeightsError, match="cannot read the weights s3://weights/models/none"):
        weights_digest("iizuka", "s3://weights/models/none.safetensors")


def _cases() -> dict[str, tuple[bytes, str]]:
    colorizer, good = make()
    state = {name: tensor.clone() for name, tensor in colorizer.state_dict().items()}
    info = WeightsInfo("iizuka", colorizer.architecture(), (0, 0), AB_RANGE, IizukaColorizer.normalisation)
    wider = WeightsInfo(
        "iizuka", {"width": 0.25, "classes": 3}, (0, 0), AB_RANGE, IizukaColorizer.normalisation
    )
    odd = WeightsInfo("iizuka", {"depth": 3}, (0, 0), AB_RANGE, IizukaColorizer.normalisation)
    fewer = {name: tensor for name, tensor in state.items() if "fusion.conv.bias" not in name}
    return {
        "text": (b"these are not weights", "not a weights file"),
        "empty": (b"", "not a weights file"),
        "cut off": (good[: len(good) // 2], "not a weights file"),
        "foreign": (save({"x": torch.zeros(2)}), "not a weights file"),
        "other method": (make(method="unet")[1], "for the method 'unet', not 'iizuka'"),
        "other width": (encode_weights(state, wider), "do not fit"),
        "other arguments": (encode_weights(state, odd), "do not fit"),
        "a layer missing": (encode_weights(fewer, info), "missing .*fusion.conv.bias"),
    }


@pytest.mark.parametrize("case", list(_cases()))
def test_unusable_files(case: str, tmp_path: Path) -> None:
    data, message = _cases()[case]
    path = tmp_path / "w.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=message) as raised:
        load_colorizer("iizuka", str(path))
    assert "\n" not in str(raised.value)
    assert raised.value.exit_status == 2


def test_missing_file_and_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot read the weights"):
        load_colorizer("iizuka", str(tmp_path / "none.safetensors"))
    with pytest.raises(WeightsError, match="name a file"):
        load_colorizer("iizuka", f"{tmp_path}/")
    with pytest.raises(ConfigError, match=r"unknown method 'magic'; allowed: .*iizuka"):
        load_colorizer("magic", None)


def test_precision() -> None:
    assert resolve_precision("fp32", "cpu") == "fp32"
    assert resolve_precision("bf16", "cpu") == "bf16"
    assert resolve_precision("auto", "cpu") in ("fp32", "bf16")
    with pytest.raises(ValueError, match="fp16"):
        resolve_precision("fp16", "cpu")


def test_every_method_keeps_the_door_open() -> None:
    for name, method in METHODS.items():
        assert method.method == name
        assert method.trainable == hasattr(method, "architecture")
