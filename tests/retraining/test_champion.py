"""A retraining cycle without its training: what it accepts and refuses, and where a stopped one continues."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.retrain import main
from pipeline.commands.prepare import accepted
from pipeline.config.loading import load
from pipeline.config.storage import StorageConfig
from pipeline.errors import AlreadyExists
from pipeline.ledger.read import list_parts, read_part
from pipeline.ledger.schema import LedgerRow
from pipeline.models.weights_registry import WeightsRegistry
from pipeline.photographs.candidates import objects
from pipeline.photographs.prepare import prepare_into
from pipeline.photographs.settings import PhotosConfig, PrepareConfig
from pipeline.retraining.champion import RetrainConfig, RetrainRequest, begin_cycle
from pipeline.retraining.state import Cycle, CycleFolder
from pipeline.review.decisions import Decision, write_decision
from pipeline.storage import Store, open_store
from tests.retraining.test_promote import TINT, network, photograph
from tests.support.gallery_samples import coloured, stores
from tests.support.job_runner import encoded, run_job
from tests.support.leases import hold, sign_of
from tests.support.ledger_parts import put_part

PREPARE = PrepareConfig(photos=PhotosConfig(val_permille=0))
SMALL = ("evaluate.side=48", "evaluate.workers=1", "gate.min_photographs=10", "photos.val_permille=0")


class Place:
    """A registry with a champion, photographs, held-out ones, and the output of cycles."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.photos, self.held_out = self.folder("photos", 100, 104), self.folder("held-out", 0, 12)
        self.registry, self.output = f"{root}/models/faces", f"{root}/retraining"
        self.catalog = WeightsRegistry(self.registry)
        self.catalog.promote(network(root / "a.safetensors", TINT), previous=None)

    def folder(self, name: str, first: int, last: int) -> Path:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        for seed in range(first, last):
            photograph(seed).save(folder / f"{seed}.png")
        return folder

    @property
    def arguments(self) -> list[str]:
        places = {"registry": self.registry, "photos": self.photos, "held-out": self.held_out}
        named = [arg for name, value in places.items() for arg in (f"--{name}", str(value))]
        return [*named, "--output", self.output, *(arg for s in SMALL for arg in ("--set", s))]

    def take_in(self, number: int) -> Cycle:
        """What is new, as a cycle that has begun."""
        folder = CycleFolder(self.output, StorageConfig())
        earlier = folder.earlier()
        new = [result for result in objects([str(self.photos)], PREPARE) if earlier.selects(*result)]
        output = prepare_into(folder.rows, [str(self.photos)], PREPARE, earlier=earlier if new else None)
        cycle = Cycle(
            number, self.catalog.locate(self.catalog.history()[-1]), output.parts, output.kept.total()
        )
        folder.begin(cycle, new)
        return cycle


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def keys(output: str) -> list[list[str]]:
    """Of the training rows, by file."""
    return [pq.read_table(file)["key"].to_pylist() for file in sorted(Path(output, "photos").iterdir())]


def rows_of(file: Path) -> list[dict[str, object]]:
    return pq.read_table(file).to_pylist()


def read_rows(out: Store) -> list[LedgerRow]:
    """The rows of the ledger of an output."""
    (part,) = list_parts(out)
    return [LedgerRow(**row) for row in read_part(out, part).to_pylist()]


def test_a_cycle_takes_in_what_no_earlier_one_has_seen(place: Place) -> None:
    assert place.take_in(1).photographs == 4
    (place.photos / "101.png").unlink()  # what is gone stays among the training rows
    place.folder("photos", 104, 106)
    (place.photos / "copy.png").write_bytes((place.photos / "100.png").read_bytes())
    before = (Path(place.output) / "photos" / "photos-00000.parquet").stat().st_mtime_ns
    cycle = place.take_in(2)
    assert (cycle.photographs, cycle.parts) == (2, 2)  # the copy is a duplicate of an earlier row
    assert keys(place.output) == [
        [f"photos/{n}.png" for n in (100, 101, 102, 103)], ["photos/104.png", "photos/105.png"]
    ]  # fmt: skip
    assert (Path(place.output) / "photos" / "photos-00000.parquet").stat().st_mtime_ns == before
    photograph(200).save(place.photos / "100.png")  # another photograph under an old name
    assert place.take_in(3).photographs == 1
    with pytest.raises(AlreadyExists):
        CycleFolder(place.output, StorageConfig()).begin(cycle, [])


def test_the_newest_cycle_without_an_outcome_is_gone_on_with(place: Place) -> None:
    folder = CycleFolder(place.output, StorageConfig())
    assert (folder.unfinished(), folder.next_number()) == (None, 1)
    cycle = place.take_in(1)
    checkpoint = Path(place.output, "runs", cycle.name, "checkpoint_1", "state")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"state")
    assert (folder.unfinished(), folder.next_number()) == (cycle, 2)
    folder.end(cycle, 3, "worse\n")
    assert (folder.unfinished(), folder.next_number()) == (None, 2)
    assert not checkpoint.parent.exists()
    ended = Path(place.output, cycle.folder)
    assert json.loads((ended / "outcome.json").read_text()) == {"exit_status": 3}
    assert (ended / "decision.md").read_text() == "worse\n"


def test_a_dry_run_says_what_is_new_and_writes_nothing(place: Place, capsys) -> None:
    assert main([*place.arguments, "--dry-run"]) == 0
    message = capsys.readouterr().out
    assert "would begin cycle 1 with 4 new files of 4" in message
    assert "#sha256=" + place.catalog.history()[0].sha256 in message
    assert not Path(place.output).exists()
    place.take_in(1)
    assert main([*place.arguments, "--dry-run"]) == 0
    assert "would continue cycle-000001" in capsys.readouterr().out


def test_too_few_new_photographs_begin_no_cycle_and_leave_none_behind(place: Place, capsys) -> None:
    assert main([*place.arguments, "--set", "retrain.least_new=5"]) == 0
    assert "a cycle needs at least 5" in capsys.readouterr().out
    assert not left_in(place)
    assert main([*place.arguments, "--set", "photos.exclude=['*']"]) == 0
    assert "0 new files" in capsys.readouterr().out


@pytest.fixture
def reviewed(tmp_path: Path) -> Store:
    """An output of a colouring run with five results, of which the first two are accepted."""
    folder = tmp_path / "reviewed"
    folder.mkdir()
    source, out = stores(folder)
    rows = [coloured(source, out, f"{seed}.jpg") for seed in range(5)]
    for seed, row in enumerate(rows):
        data = encoded(photograph(300 + seed), "JPEG", quality=95)
        out.put(str(row.output_key), data)
        row.output_sha256 = hashlib.sha256(data).hexdigest()
    put_part(out, "digest", "1", rows)
    for row in rows[:2]:
        accept(out, row)
    return out


def accept(out: Store, row: LedgerRow) -> None:
    about = {"key": row.key, "etag": row.etag, "output_sha256": row.output_sha256}
    assert write_decision(out, Decision(**about, verdict="accept", who="Kim", when=datetime.now(UTC)))


def test_what_people_accepted_is_taken_in_once(place: Place, reviewed: Store, capsys) -> None:
    """What is accepted meanwhile is new for the next cycle, and alone it can begin one."""
    said: list[str] = []
    config = load(RetrainConfig, None, [*SMALL, f"retrain.decisions=[{reviewed.uri}]"])
    folder = CycleFolder(place.output, StorageConfig())
    champion = place.catalog.champion_weights()

    def begun(*photos: Path) -> Cycle | None:
        request = RetrainRequest(place.registry, tuple(map(str, photos)), str(place.held_out), place.output)
        results = accepted(config.retrain.decisions, place.output, config.storage)
        return begin_cycle(request, config, folder, champion, results, said.append)

    first = begun(place.photos)
    assert first is not None
    assert first.photographs == 6
    assert said[0] == "4 new files, 2 new accepted results"
    sources = [row["source"] for file in Path(place.output, "photos").iterdir() for row in rows_of(file)]
    assert sorted(sources) == ["decisions"] * 2 + ["photos"] * 4
    assert begun(place.photos) is None
    accept(reviewed, next(row for row in read_rows(reviewed) if row.key == "3.jpg"))
    second = begun()
    assert second is not None
    assert (second.number, second.photographs, second.parts) == (2, 1, 2)
    line = ["--decisions", reviewed.uri, "--dry-run"]
    assert main([*place.arguments, *line]) == 0
    assert "would continue cycle-000002" in capsys.readouterr().out


def test_accepted_results_are_in_a_dry_run_and_too_few_of_them_begin_no_cycle(
    place: Place, reviewed: Store, capsys
) -> None:
    assert main([*place.arguments, "--decisions", reviewed.uri, "--dry-run"]) == 0
    assert "would begin cycle 1 with 6 new files of 6" in capsys.readouterr().out
    alone = [*place.arguments[:2], *place.arguments[4:], "--set", "retrain.least_new=3"]
    assert main([*alone, "--set", f"retrain.decisions=[{reviewed.uri}]"]) == 0
    printed = capsys.readouterr().out
    assert "0 new files, 2 new accepted results" in printed
    assert "a cycle needs at least 3" in printed
    assert not left_in(place)
    assert main(alone) == 2
    assert "give photographs with --photos, or accepted results with --decisions" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--registry", "none/here"], 2, "have no champion.*--first"),
        (["--set", "train.name=mine"], 2, r"train\.name is set by the cycle itself"),
        (["--set", "model.weights=faithful"], 2, r"model\.weights is set by the cycle itself"),
        (["--set", "model.method=unet"], 2, "are for the method 'iizuka', not 'unet'"),
        (["--set", "retrain.least=3"], 2, r"unknown configuration key 'retrain\.least'"),
        (
            ["--set", "gate.min_photographs=13"],
            2,
            r"has 12 photographs, too few .*gate\.min_photographs is 13",
        ),
        (["--photos", "/nowhere/at/all"], 2, "/nowhere/at/all"),
        (["--decisions", "/nowhere/at/all"], 2, "/nowhere/at/all"),
    ],
)
def test_mistakes_cost_a_line_and_no_training(
    place: Place, capsys, arguments: list[str], status: int, said: str
) -> None:
    assert main([*place.arguments, *arguments]) == status
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert re.search(said, error)
    assert not left_in(place)


def test_held_out_photographs_that_would_be_trained_on_are_refused(place: Place, capsys) -> None:
    photograph(3).save(place.photos / "by another name.png")
    assert main(place.arguments) == 2
    assert "1 of the 12 photographs in" in capsys.readouterr().err
    assert not left_in(place)


def test_a_place_inside_the_output_is_refused(place: Place, capsys) -> None:
    inside = str(Path(place.output) / "photos")
    assert main([*place.arguments, "--photos", inside]) == 2
    assert inside in capsys.readouterr().err


def test_only_one_process_is_at_work(place: Place, capsys) -> None:
    store = open_store(place.output, StorageConfig())
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    hold(store, sign_of(other.pid))
    assert main([*place.arguments, "--set", "retrain.least_new=9"]) == 1
    assert f"(process {other.pid} on " in capsys.readouterr().err
    other.communicate(b"\n")
    assert main([*place.arguments, "--set", "retrain.least_new=9"]) == 0
    assert not capsys.readouterr().err


def left_in(place: Place) -> list[Path]:
    """The files of the output; a lease that has ended is none of the cycle's."""
    return [path for path in Path(place.output).rglob("*.*") if not path.name.startswith("at-work-")]


@pytest.mark.ray
def test_a_cycle_that_was_stopped_after_training_is_judged_and_its_end_written(place: Place) -> None:
    """For real: the gate's evaluation on Ray, of a network that is worse than the champion."""
    cycle = place.take_in(1)
    network(Path(place.output) / cycle.folder / "weights.safetensors")
    done = run_job("retrain", *place.arguments, timeout=280)
    assert done.returncode == 3, done.stderr
    decision = (Path(place.output) / cycle.folder / "decision.md").read_text()
    assert "# faces: not promoted: psnr_db" in decision
    assert decision.splitlines()[-1] in done.stdout
    assert CycleFolder(place.output, StorageConfig()).unfinished() is None
    assert (Path(place.output) / cycle.folder / "evaluation" / "evaluation.md").exists()
    assert len(place.catalog.history()) == 1
