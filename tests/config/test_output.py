"""Settings of the section `output` that go together, and those that cannot."""

from __future__ import annotations

import pytest

from pipeline.config.job import JobConfig, job_digest
from pipeline.config.loading import effective_yaml, load
from pipeline.errors import ConfigError


def config(*settings: str) -> JobConfig:
    return load(JobConfig, None, [f"output.{setting}" for setting in settings])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["format=png", "quality=80"], "output.quality=80 has no effect on output.format=png"),
        (
            ["format=webp", "subsampling=4:4:4"],
            "output.subsampling=4:4:4 has no effect on output.format=webp",
        ),
        (["compression=lzw"], "output.compression=lzw has no effect on output.format=jpeg, only on tiff"),
        (
            ["format=webp", "depth=8"],
            "output.depth=8 has no effect on output.format=webp, only on tiff or png or jp2",
        ),
        (["format=jp2", "quality=80"], "output.quality=80 has no effect on output.format=jp2"),
        (["format=jp2", "c2pa.certificates=chain.pem"], "output.c2pa cannot sign output.format=jp2"),
        (["compression=zip"], "'none', 'lzw' or 'deflate'"),
        (
            ["derivative.side=800"],
            "output.derivative.side=800 has no effect on output.derivative.format=none",
        ),
        (["derivative.format=jpeg", "derivative.compression=jpeg"], "compression=jpeg has no effect"),
        (
            ["derivative={format: tiff_pyramid, compression: deflate, quality: 80}"],
            "output.derivative.quality=80 has no effect",
        ),
        (["suffix=apend"], "output.suffix"),
        (["suffix=_a/b"], "output.suffix"),
    ],
)
def test_what_has_no_effect_is_one_line(settings: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(*settings)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        ["format=tiff", "compression=none", "depth=8"],
        ["format=webp", "quality=70"],
        ["format=tiff", "derivative={format: jpeg, side: 2000, quality: 80}"],
        ["derivative={format: tiff_pyramid, compression: deflate}"],
        ["quality=85", "subsampling=4:2:2", "suffix=-color_1"],
    ],
)
def test_what_goes_together_survives_being_saved(settings: list[str], tmp_path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(effective_yaml(config(*settings)), encoding="utf-8")
    assert load(JobConfig, str(file)) == config(*settings)


def test_the_digest_covers_pages_only_where_they_are_not_what_the_format_implies() -> None:
    def digest(*settings: str) -> str:
        return job_digest(load(JobConfig, None, list(settings)), "w")

    assert digest() == digest("output.pages=separate") != digest("output.pages=tiff")
    tiff = "output.format=tiff"
    assert digest(tiff) == digest(tiff, "output.pages=tiff") != digest(tiff, "output.pages=separate")
