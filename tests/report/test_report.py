"""The report: counts that do not depend on order, readable text, and pictures that exist."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from pipeline.config.job import ReportConfig
from pipeline.config.storage import StorageConfig
from pipeline.errors import FailureCode
from pipeline.ledger.schema import LedgerRow, ledger_table
from pipeline.records import Status
from pipeline.report.advice import ADVICE
from pipeline.report.doubtful import DoubtCounts, Doubtful
from pipeline.report.drift import Chroma
from pipeline.report.page import report_html
from pipeline.report.run_report import ReportKeys, make_report, spread
from pipeline.report.summary import Cost, StageSeconds, Summary, balance, summary_json
from pipeline.report.summary_text import doubt_text, headline, summary_text
from pipeline.report.tally import RunTally
from pipeline.storage import open_store
from tests.support.paths import SAMPLES as PHOTOS


def ledger_row(key: str, status: Status = Status.COLORIZED, **others: Any) -> LedgerRow:
    fields = {"etag": "e", "bytes": 1, "attempts": 1, "method": "iizuka", "weights_digest": "ab" * 32}
    fields |= {"job_digest": "0123456789abcdef", "run_id": "run-1", "finished_at": datetime.now(UTC)}
    return LedgerRow(key=key, status=status, **(fields | others))


def a_summary(**others: Any) -> Summary:
    fields: dict[str, Any] = {"run_id": "run-1", "job_digest": "0123456789abcdef", "method": "iizuka"}
    fields |= {"input": "s3://in", "output": "s3://out/", "weights_digest": "ab" * 32, "precision": "fp32"}
    fields |= {"topology": "fused", "workers": 2, "listed": 5, "bytes": 100, "done_before": 0, "todo": 5}
    fields |= {"counts": {"colorized": 5}, "exit_status": 0, "finished_at": "2026-01-02T03:04:05Z"}
    return Summary(**(fields | others))


def mixed_rows() -> list[LedgerRow]:
    colour = [
        ledger_row(f"c{i:03}.jpg", output_key=f"images/c{i:03}.jpg", max_delta_l=i / 100, seconds_predict=0.5)
        for i in range(60)
    ]
    failed = [
        ledger_row(f"f{i}.jpg", Status.FAILED, failure_code="corrupt", message=f"broken {i}")
        for i in range(8)
    ]
    return [*colour, *failed, ledger_row("notes.txt", Status.SKIPPED_OTHER)]


def test_tally_is_the_same_in_any_order_and_portion() -> None:
    rows = mixed_rows()
    at_once, in_parts = RunTally(sample=7), RunTally(sample=7)
    at_once.add(ledger_table(rows))
    for start in range(0, len(rows), 10):
        in_parts.add(ledger_table(rows[::-1][start : start + 10]))
    assert at_once.counts == in_parts.counts
    assert at_once.counts == {
        "colorized": 60,
        "skipped_color": 0,
        "skipped_other": 1,
        "failed": 8,
        "archived": 0,
    }
    assert at_once.failures == in_parts.failures
    assert at_once.sample == in_parts.sample
    assert len({row["key"] for row in at_once.sample}) == 7
    assert at_once.max_delta_l == in_parts.max_delta_l == pytest.approx(0.59)
    assert at_once.stage_seconds.predict == pytest.approx(30.0)


def test_tally_keeps_five_examples_with_their_messages() -> None:
    tally = RunTally()
    tally.add(ledger_table(mixed_rows()))
    group = tally.failures["corrupt"]
    assert group.count == 8
    assert [example.key for example in group.examples] == [f"f{i}.jpg" for i in range(5)]
    assert group.examples[0].message == "broken 0"
    assert group.advice == ADVICE[FailureCode.CORRUPT]
    assert tally.sample == []


def test_tally_of_nothing() -> None:
    tally = RunTally(sample=3)
    tally.add(ledger_table([]))
    assert tally.rows == 0
    assert tally.max_delta_l is None
    assert tally.failures == {}


def test_every_failure_code_has_advice() -> None:
    assert set(ADVICE) == {str(code) for code in FailureCode}


def test_summary_json_reads_back() -> None:
    tally = RunTally()
    tally.add(ledger_table(mixed_rows()))
    summary = a_summary(counts=tally.counts, failures=tally.failures, exit_status=3)
    assert Summary.model_validate_json(summary_json(summary)) == summary
    assert json.loads(summary_json(summary))["failures"]["corrupt"]["count"] == 8


def test_summary_text_names_failures_advice_and_places() -> None:
    tally = RunTally()
    tally.add(ledger_table(mixed_rows()))
    summary = a_summary(listed=69, todo=69, counts=tally.counts, failures=tally.failures, exit_status=3)
    text = summary_text(summary)
    assert text.startswith("Coloured 60 of 69 files in ")
    assert "corrupt: 8. The file is damaged" in text
    assert "f4.jpg: broken 4" in text
    assert "f5.jpg" not in text
    assert "and 3 more in the ledger" in text
    assert "s3://out/runs/run-1/report/contact-sheet.png" in text
    assert "contact-sheet.png" not in summary_text(summary, report=False)
    assert "\nGallery all pictures, before and after: fiat-color review s3://out\n" in text
    assert "fiat-color review '/my scans'\n" in summary_text(
        summary.model_copy(update={"output": "/my scans"})
    )
    renewed = summary_text(summary, gallery=True)
    served = "        to accept, reject and correct there: fiat-color review s3://out --serve\n"
    assert f"\nGallery s3://out/gallery/index.html\n{served}" in renewed
    assert text.endswith("Exit status 3: finished, but some images failed.")


def test_doubt_names_first_what_to_look_at() -> None:
    most = (Doubtful(key="a.jpg", doubt=0.95, reasons="unlike_training"), Doubtful(key="b.jpg", doubt=0.4))
    one = DoubtCounts(known=15, worst_tenth=1, reasons={"unlike_training": 1}, most=most)
    assert doubt_text(one) == (
        "Look first at: a.jpg, b.jpg (most doubtful). "
        "1 of 15 is as doubtful as the worst tenth of photographs. "
        "1 picture is unlike the training photographs."
    )
    calm = one.model_copy(update={"worst_tenth": 0, "reasons": {"nearly_gray": 2}})
    assert doubt_text(calm).endswith("(most doubtful). 2 pictures are nearly gray.")
    assert "0 of" not in doubt_text(calm)
    page = report_html(a_summary(doubt=one), [], [])
    assert "unlike the training photographs</td>" in page
    assert "unlike_training" not in page


def test_chroma_is_compared_in_words() -> None:
    chroma = Chroma(images=30, mean=6.4, spread=2.0, colorfulness=9.0, reference_mean=7.7, drift=-0.45)
    text = summary_text(a_summary(chroma=chroma))
    assert "mean 6.4 (0 is gray), colourfulness 9.0; usually 7.7: this run has less, by 0.45 of" in text


def test_archived_objects_are_no_failures_and_have_their_advice() -> None:
    tally = RunTally()
    tally.add(ledger_table([*mixed_rows(), ledger_row("cold.tif", Status.ARCHIVED)]))
    summary = a_summary(listed=70, todo=70, counts=tally.counts, failures=tally.failures)
    assert headline(summary).endswith("; 8 failed; 1 archived.")
    text = summary_text(summary)
    assert "archived: 1 in a Glacier class. Restore them in S3" in text
    assert "archived" not in summary_text(a_summary(counts={"colorized": 1}))
    assert "archived, to be restored" in report_html(summary, [])


def test_summary_text_of_nothing_to_do() -> None:
    text = summary_text(a_summary(todo=0, done_before=5, failed_before=2, counts={}), report=False)
    assert text.startswith("Nothing to do: all 5 files under s3://in are in the ledger already.")
    assert "2 images failed in earlier runs" in text
    assert "--set plan.retry_failed=true" in text
    empty = summary_text(a_summary(listed=0, todo=0, counts={}), report=False)
    assert empty.startswith("Nothing to do: s3://in contains no files.")


def test_spread_is_even_and_keeps_the_first() -> None:
    rows = [{"key": str(i)} for i in range(10)]
    assert [row["key"] for row in spread(rows, 5)] == ["0", "2", "4", "6", "8"]
    assert spread(rows, 20) == rows
    assert spread(rows, 0) == []


def test_a_picture_too_large_to_show_is_not_fetched(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), StorageConfig())
    row = {"key": "gone.tif", "output_key": "gone.tif", "width": 30_000, "height": 33_400}
    keys = make_report(store, store, [row], ReportConfig(), a_summary())
    assert "too large for a thumbnail" in (tmp_path / keys.index).read_text()


def write_run(tmp_path: Path) -> tuple[ReportKeys, Path]:
    """A report over three photographs: one whole, one whose output is lost, one whose output is damaged."""
    out = tmp_path / "out"
    (out / "images").mkdir(parents=True)
    keys = ["migrant-mother-1936.jpg", "man-in-hat-1920s.png", "pet-ducks-1927.jpg"]
    with Image.open(PHOTOS / keys[0]) as image:
        ImageOps.colorize(image.convert("L"), "navy", "gold").save(out / "images" / keys[0])
    (out / "images" / keys[2]).write_bytes((PHOTOS / keys[2]).read_bytes()[:900])
    rows = [{"key": key, "output_key": f"images/{key}", "width": 8, "height": 9} for key in keys]
    source, store = (open_store(str(folder), StorageConfig()) for folder in (PHOTOS, out))
    return make_report(source, store, rows, ReportConfig(sample=24, thumbnail=128), a_summary()), out


def test_report_shows_real_pictures_and_reasons_for_missing_ones(tmp_path: Path) -> None:
    keys, out = write_run(tmp_path)
    assert keys == ReportKeys("runs/run-1/report/index.html", "runs/run-1/report/contact-sheet.png")
    page = (out / keys.index).read_text(encoding="utf-8")
    assert page.count("<figure ") == 3
    assert page.count("data:image/jpeg;base64,") == 4
    assert page.count("no picture: ") == 2
    assert 'href="../../../images/migrant-mother-1936.jpg"' in page
    assert (out / "runs/run-1/report" / "../../../images/migrant-mother-1936.jpg").resolve().is_file()
    with Image.open(out / str(keys.sheet)) as sheet:
        assert sheet.mode == "RGB"
        colours = sheet.resize((200, 200)).getcolors(200 * 200)
    assert any(max(c) - min(c) > 60 for _, c in colours), "the colour image is on the sheet"


def test_report_without_pictures_is_the_page_alone(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), StorageConfig())
    keys = make_report(store, store, [], ReportConfig(), a_summary(counts={}))
    assert keys.sheet is None
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["index.html"]


def test_the_cost_is_a_line_and_without_prices_says_nothing_of_money() -> None:
    priced = a_summary(cost=Cost(core_hours=1500.25, gpu_hours=2, money=1234.5))
    assert "1500.250 core-hours, 2.000 GPU-hours, 1,234.50 at the configured prices" in summary_text(priced)
    assert Summary.model_validate_json(summary_json(priced)).cost == priced.cost
    free = summary_text(a_summary(cost=Cost(core_hours=0.5, gpu_hours=0)))
    assert "0.500 core-hours, 0.000 GPU-hours\n" in free


@pytest.mark.parametrize(
    ("stages", "cpus", "bottleneck", "line"),
    [
        (StageSeconds(decode=30, predict=95, compose=50), 4, "predict", "1 predict worker(s) 95% busy"),
        (
            StageSeconds(decode=90, predict=40, compose=100),
            2,
            "decode and compose",
            "4.8 CPUs per predict worker",
        ),
    ],
)
def test_a_staged_run_names_its_bottleneck_and_the_ratio_that_removes_it(
    stages: StageSeconds, cpus: int, bottleneck: str, line: str
) -> None:
    measured = balance(stages, run_seconds=100, cpus=cpus, predictors=1)
    assert measured is not None
    assert measured.bottleneck == bottleneck
    text = summary_text(a_summary(topology="staged", workers=1, balance=measured))
    assert f"Balance {bottleneck} is the bottleneck" in text
    assert line in text
    assert balance(StageSeconds(decode=5), 100, 2, 1) is None  # nothing was predicted
