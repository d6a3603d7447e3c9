"""Photographs as a network sees them: only those with colours are used for comparison."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.evaluate.doubt_observe import open_network, photographs, see
from pipeline.evaluate.doubt_settings import DoubtConfig, DoubtSection
from tests.support.evaluate_samples import photograph

SMALL = DoubtConfig(doubt=DoubtSection(side=32))


def test_gray_and_toned_photographs_are_left_out_and_refused_where_they_are_all(tmp_path: Path) -> None:
    gray = photograph(1).convert("L")
    gray.save(tmp_path / "gray.png")
    gray.convert("RGB").point([*range(256), *(v * 230 // 255 for v in range(256)), *range(256)]).save(
        tmp_path / "toned.png"
    )
    heard: list[str] = []
    network = open_network("faithful", SMALL)

    def keys() -> list[str]:
        listed = photographs(str(tmp_path), SMALL, split="", count=9)
        return [one.photo.key for one in see(str(tmp_path), listed, network, SMALL, heard.append)]

    with pytest.raises(ConfigError, match=r"has colours to compare with \(2 of 2 are gray or toned"):
        keys()
    photograph(2).save(tmp_path / "colour.png")
    assert keys() == ["colour.png"]
    assert heard == ["left out 2 photographs without colour, gray or toned"]
