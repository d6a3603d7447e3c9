"""What operators see while the real job works on a real Ray head: its JSON log, its Prometheus series."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import psutil
import pytest

from pipeline.models.weights_location import SHIPPED
from pipeline.records import Status
from pipeline.run.series import EXPORTED
from tests.support.forked_commands import ForkedCommand
from tests.support.job_runner import encoded, fill, ledger, photograph, started
from tests.support.ray_head import TOKEN, ray_head
from tests.support.servers import free_port

pytestmark = [pytest.mark.ray, pytest.mark.first]
COLOURED, SHARD = 60, 4
#: Ray's own, on the dashboard and in the alerts; those of GPUs are not there without one.
RAYS_OWN = {"ray_node_cpu_utilization", "ray_node_mem_used_host", "ray_node_mem_total_host"}
GAUGES = {name for name in EXPORTED if not re.search("_(total|bucket|sum|count)$", name)}


class Sample(NamedTuple):
    """One line of a scrape."""

    name: str
    labels: dict[str, str]
    value: float


class Watched(NamedTuple):
    """What was seen of one run: each series' last value and the names, while it worked and after it."""

    exit_status: int
    log: list[dict[str, Any]]
    stdout: str
    rows: list[dict[str, Any]]
    working: dict[str, list[Sample]]
    after: dict[str, list[Sample]]


def scrape(port: int) -> list[Sample]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    result = re.findall(r"^(ray_\w+)\{(.*)\} (\S+)$", text, re.MULTILINE)
    return [
        Sample(name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(v)) for name, labels, v in result
    ]


def scrape_when_gauges_have_gone(port: int) -> list[Sample]:
    """A series that nobody reports any more is dropped after two intervals; on a loaded machine, later."""
    deadline = time.monotonic() + 60
    while True:
        samples = scrape(port)
        if not GAUGES & {sample.name for sample in samples} or time.monotonic() > deadline:
            return samples
        time.sleep(0.2)


def by_name(samples: list[Sample]) -> dict[str, list[Sample]]:
    named: dict[str, list[Sample]] = {}
    for sample in samples:
        named.setdefault(sample.name, []).append(sample)
    return named


def kill_within_a_shard(head: int, out: Path) -> bool:
    """Kill the colouring process of the head's session, if it has put some images of a shard and not all."""
    images = len(list(out.glob("images/*")))
    if not 0 < images - SHARD * len(list(out.glob("ledger/*/*.parquet"))) < SHARD:
        return False
    for process in psutil.process_iter(["cmdline"]):
        if "FusedActor" in " ".join(process.info["cmdline"] or ()) and os.getsid(process.pid) == head:
            process.kill()
            return True
    return False


def _kill_once(job: ForkedCommand, head: int, out: Path) -> None:
    while job.poll() is None and not kill_within_a_shard(head, out):
        time.sleep(0.002)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A run with a broken image, a text, and a worker that is killed within a shard."""
    folder = tmp_path_factory.mktemp("watched")
    files = {f"{i:02d}.jpg": encoded(photograph(i, 960, 720)) for i in range(COLOURED)}
    fill(str(folder / "in"), files | {"broken.jpg": b"\xff\xd8\xff\xe0 cut off", "note.txt": b"no image"})
    port = free_port()
    often = {"RAY_metrics_report_interval_ms": "1000"}
    settings = [f"plan.shard_images={SHARD}", "model.side=64", "run.workers=1", "report.sample=0"]
    places = ("--input", folder / "in", "--output", folder / "out", "--log-format", "json")
    asked = [*places, *(word for setting in settings for word in ("--set", setting))]
    with (
        ray_head(folder, f"--metrics-export-port={port}", env=often) as (address, head),
        started(*asked, env=TOKEN | often | {"RAY_ADDRESS": address}) as job,
    ):
        killer = Thread(target=_kill_once, args=(job, head, folder / "out"))
        killer.start()
        working: dict[tuple[str, str], Sample] = {}
        deadline = time.monotonic() + 240
        has_ended = False
        while not has_ended:
            has_ended = job.poll() is not None  # and once more, for what was sent at the end
            assert time.monotonic() < deadline, job.written()
            for sample in scrape(port):
                if "fiat_color" in sample.name or sample.name in RAYS_OWN:
                    working[sample.name, str(sample.labels)] = sample
            time.sleep(0.1)
        after = scrape_when_gauges_have_gone(port)
        killer.join()
        stdout, stderr = job.communicate(60)
    assert job.returncode is not None
    lines = [json.loads(line) for line in stderr.splitlines()]
    rows = ledger(str(folder / "out"))
    return Watched(job.returncode, lines, stdout, rows, by_name(list(working.values())), by_name(after))


def test_every_line_is_json_and_names_the_run(watched: Watched) -> None:
    assert (watched.exit_status, watched.stdout) == (3, "")
    (run,) = {row["run_id"] for row in watched.rows}
    assert {line["run"] for line in watched.log} == {run}
    events = [line["event"] for line in watched.log if line["event"] != "output"]
    assert events[:2] == ["plan", "start"]
    assert events[-1] == "summary"


def test_shards_images_and_retries_are_told(watched: Watched) -> None:
    told = [line for line in watched.log if line["event"] == "shard"]
    assert len({line["shard"] for line in told}) == len(told) == -(-len(watched.rows) // SHARD)
    assert sum(line["colorized"] for line in told) == COLOURED
    images = {line["key"]: line for line in watched.log if line["event"] == "image"}
    assert {key: line["status"] for key, line in images.items()} == {
        row["key"]: row["status"] for row in watched.rows if row["status"] != Status.COLORIZED
    }
    assert (images["broken.jpg"]["level"], images["broken.jpg"]["code"]) == ("warning", "truncated")
    assert images["broken.jpg"]["shard"] in {line["shard"] for line in told}
    retried = [line for line in watched.log if line["event"] == "retry"]
    assert {line["attempt"] for line in retried} == {2}
    last = [line for line in watched.log if line["event"] == "progress"][-1]
    assert (last["done"], last["total"], last["bad"]) == (len(watched.rows), len(watched.rows), 1)


def test_what_is_exported_is_what_is_declared(watched: Watched) -> None:
    seen = {name for name in {*watched.working, *watched.after} if "fiat_color" in name}
    assert seen == EXPORTED
    assert set(watched.working) >= RAYS_OWN


def test_counters_agree_with_the_ledger_and_stay_after_the_run(watched: Watched) -> None:
    def counted(name: str, **labels: str) -> float:
        results = [s for s in watched.after[name] if labels.items() <= s.labels.items()]
        return sum(sample.value for sample in results)

    assert counted("ray_fiat_color_images_total", status="colorized", code="") == COLOURED
    assert counted("ray_fiat_color_images_total", status="failed", code="truncated") == 1
    assert counted("ray_fiat_color_images_total", status="skipped_other") == 1
    assert counted("ray_fiat_color_images_total") == len(watched.rows)
    assert counted("ray_fiat_color_bytes_total", direction="read") == sum(r["bytes"] for r in watched.rows)
    assert counted("ray_fiat_color_megapixels_total") == pytest.approx(COLOURED * 0.96 * 0.72)
    for stage in ("decode", "predict", "compose"):
        seconds = sum(row[f"seconds_{stage}"] or 0 for row in watched.rows)
        assert counted("ray_fiat_color_stage_seconds_total", stage=stage) == pytest.approx(seconds, rel=1e-3)
        assert counted("ray_fiat_color_image_seconds_count", stage=stage) >= COLOURED
    retried = [line["shard"] for line in watched.log if line["event"] == "retry"]
    assert len(set(retried)) == len(retried) == counted("ray_fiat_color_shard_retries_total") >= 1
    assert counted("ray_fiat_color_runs_total", outcome="failed_images") == 1
    keys = {label for samples in watched.after.values() for s in samples for label in s.labels.values()}
    assert not any(row["key"] in keys for row in watched.rows)


def test_written_bytes_are_those_of_the_images(watched: Watched) -> None:
    (written,) = [
        s for s in watched.after["ray_fiat_color_bytes_total"] if s.labels["direction"] == "written"
    ]
    assert written.value == sum(line["bytes_written"] for line in watched.log if line["event"] == "shard")
    assert written.value > COLOURED * 1000


def test_gauges_speak_of_the_run_and_go_with_it(watched: Watched) -> None:
    assert not GAUGES & set(watched.after)
    run = watched.rows[0]["run_id"]
    assert {s.labels["run"] for name in GAUGES & set(watched.working) for s in watched.working[name]} == {run}
    (info,) = watched.working["ray_fiat_color_run_info"]
    assert (info.labels["method"], info.labels["topology"], info.value) == ("unet", "fused", 1)
    shards = {s.labels["state"]: s.value for s in watched.working["ray_fiat_color_shards"]}
    assert shards == {"queued": 0, "working": 0, "done": -(-len(watched.rows) // SHARD)}
    (failed,) = watched.working["ray_fiat_color_failed_share"]
    assert failed.value == pytest.approx(1 / len(watched.rows))
    (oldest,) = watched.working["ray_fiat_color_oldest_shard_seconds"]
    (since,) = watched.working["ray_fiat_color_seconds_since_commit"]
    assert (oldest.value, since.value < 60) == (0, True)


def test_chroma_drift_is_that_of_the_summary(watched: Watched) -> None:
    (summary,) = [line["summary"] for line in watched.log if line["event"] == "summary"]
    chroma = summary["chroma"]
    assert chroma["images"] == COLOURED
    values = {
        name: watched.working[f"ray_fiat_color_{name}"][0].value for name in ("chroma_mean", "chroma_drift")
    }
    assert values["chroma_mean"] == pytest.approx(chroma["mean"], rel=1e-6)
    assert values["chroma_drift"] == pytest.approx(chroma["drift"], rel=1e-6)
    usual = json.loads((SHIPPED / "chroma.json").read_text())["faithful"]
    assert chroma["drift"] == pytest.approx((chroma["mean"] - usual["mean"]) / usual["spread"], abs=0.01)
