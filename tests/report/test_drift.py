"""Chroma drift: the means, their references, and the shipped table of references."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from pipeline.config.job import JobConfig
from pipeline.config.loading import load
from pipeline.errors import ConfigError
from pipeline.ledger.schema import LedgerRow, ledger_table
from pipeline.models.weights_location import shipped_names
from pipeline.records import Status
from pipeline.report.drift import Chroma, Reference, reference_for
from pipeline.report.tally import RunTally
from tests.report.test_report import ledger_row
from tests.support.chroma_reference import TABLE, digest_of, measured

REFERENCES = json.loads(TABLE.read_text(encoding="utf-8"))


def coloured(chroma: list[float], **others: object) -> list[LedgerRow]:
    return [
        ledger_row(f"{i}.jpg", mean_chroma=value, colorfulness=2 * value, **others)
        for i, value in enumerate(chroma)
    ]


def test_the_means_are_of_coloured_images_without_a_guide_in_any_order_of_tables() -> None:
    values = [4.0, 7.5, 9.0, 12.25]
    rows = [
        *coloured(values),
        *coloured([90.0], guide_digest="0123456789abcdef"),
        ledger_row("x", Status.FAILED, failure_code="corrupt", message=""),
    ]
    tally = RunTally()
    assert tally.chroma is None
    for row in reversed(rows):
        tally.add(ledger_table([row]))
    chroma = tally.chroma
    assert chroma is not None
    assert (chroma.images, chroma.mean) == (4, pytest.approx(statistics.mean(values)))
    assert chroma.spread == pytest.approx(statistics.stdev(values))
    assert chroma.colorfulness == pytest.approx(2 * chroma.mean)


def test_drift_is_in_standard_deviations_of_the_reference_and_told_from_25_images_on() -> None:
    few = Chroma(images=24, mean=14.0, spread=1.0, colorfulness=9.0)
    enough = few.model_copy(update={"images": 25})
    assert few.against(Reference(8.0, 3.0)).drift is None
    compared = enough.against(Reference(8.0, 3.0))
    assert (compared.drift, compared.reference_mean, compared.reference_spread) == (2.0, 8.0, 3.0)
    assert enough.against(None) == enough


def test_the_reference_is_that_of_the_weights_unless_the_configuration_has_one() -> None:
    shipped, digest = REFERENCES["faithful"], REFERENCES["faithful"]["sha256"]
    assert reference_for(JobConfig(), digest) == (shipped["mean"], shipped["spread"])
    vivid = load(JobConfig, None, ["model.chroma=1.5"])
    assert reference_for(vivid, digest) == (shipped["mean"] * 1.5, shipped["spread"] * 1.5)
    assert reference_for(load(JobConfig, None, ["model.chroma=0"]), digest) is None
    assert reference_for(JobConfig(), "ab" * 32) is None
    own = load(JobConfig, None, ["report.chroma_mean=6", "report.chroma_spread=2"])
    assert reference_for(own, "ab" * 32) == (6.0, 2.0)


def test_half_a_reference_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="chroma_mean and chroma_spread go together"):
        load(JobConfig, None, ["report.chroma_mean=6"])


def test_the_table_has_all_shipped_weights_as_they_are() -> None:
    """`python -m tests.support.chroma_reference` writes it anew."""
    assert {name: row["sha256"] for name, row in REFERENCES.items()} == {
        name: digest_of(name) for name in shipped_names()
    }


@pytest.mark.slow
def test_the_sample_photographs_are_as_colourful_as_the_table_says(tmp_path: Path) -> None:
    chroma, row = measured("faithful", tmp_path), REFERENCES["faithful"]
    assert chroma.images == row["images"]
    assert chroma.mean == pytest.approx(row["mean"], abs=0.05)
    assert chroma.spread == pytest.approx(row["spread"], abs=0.05)
