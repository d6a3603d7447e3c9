"""Corrections: what changes nothing, lies outside the image or is endless is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.config.storage import StorageConfig
from pipeline.review.correction import MOST_STROKE_PLACES, MOST_STROKES, Correction
from pipeline.review.decisions import read_decisions, write_decision
from pipeline.storage import open_store
from tests.review.test_decisions import decision

STROKE = {"color": "#aa3322", "radius": 0.02, "path": [[0.1, 0.2], [0.3, 0.4]]}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"strokes": [{**STROKE, "color": "red"}]},
        {"strokes": [{**STROKE, "path": []}]},
        {"strokes": [{**STROKE, "path": [[0.5, 1.1]]}]},
        {"strokes": [{**STROKE, "path": [[0.5, float("nan")]]}]},
        {"strokes": [{**STROKE, "path": [[0.5, 0.5]] * (MOST_STROKE_PLACES + 1)}]},
        {"strokes": [{**STROKE, "radius": 0}]},
        {"strokes": [STROKE] * (MOST_STROKES + 1)},
        {"chroma": -0.1},
        {"chroma": float("inf")},
        {"strokes": [STROKE], "output": "/etc/passwd"},
    ],
)
def test_a_correction_that_means_nothing_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Correction.model_validate(fields)


def test_a_correction_is_kept_as_it_was_drawn(tmp_path: Any) -> None:
    out = open_store(str(tmp_path), StorageConfig())
    eraser = {**STROKE, "color": None}
    wanted = Correction.model_validate({"strokes": [STROKE, eraser], "chroma": 0.5, "method": "scribble"})
    one = decision("correct", correction=wanted)
    assert write_decision(out, one)
    assert read_decisions(out) == [one]


@pytest.mark.parametrize(("verdict", "correction"), [("correct", None), ("accept", {"chroma": 0.5})])
def test_only_the_verdict_correct_has_a_correction(verdict: str, correction: Any) -> None:
    with pytest.raises(ValidationError, match="correct"):
        decision(verdict, correction=correction)
