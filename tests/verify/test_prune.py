"""Results have generations: every reader uses the newest, and prune removes the remains of the others."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.prune import main
from pipeline.config.job import JobConfig
from pipeline.config.storage import StorageConfig
from pipeline.export.objects import find_objects
from pipeline.ledger.keys import LEASE
from pipeline.ledger.schema import LedgerRow
from pipeline.ledger.stream import newest_images, open_ledger, rows_at
from pipeline.plan.plan import make_plan
from pipeline.records import Status
from pipeline.review.cards import read_cards
from pipeline.storage import open_store
from pipeline.storage.lease import Lease, hold_lease
from pipeline.storage.local import LocalStore
from pipeline.verify.expected import read_expected
from tests.support import ledger_parts
from tests.support.leases import ELSEWHERE, hold

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("a.tif", "b.tif", "sub/c.tif")


class Killed(BaseException):
    """The process is gone."""


class Archive:
    """Three photographs, and runs that coloured them with one setting or another."""

    def __init__(self, root: Path) -> None:
        self.root, self.days = root, 0
        self.source = open_store(str(root / "in"), StorageConfig())
        self.out = open_store(str(root / "out"), StorageConfig())
        for name in NAMES:
            self.source.put(name, name.encode())

    def ran(self, suffix: str, *names: str, status: Status = Status.COLORIZED, second: bool = False) -> None:
        """A run under the digest `suffix`, whose files are named after it."""
        self.days += 1
        rows = [self.row(name, suffix, status, second) for name in names or NAMES]
        ledger_parts.put_part(self.out, suffix, f"{self.days:03}", rows)

    def row(self, name: str, suffix: str, status: Status, second: bool) -> LedgerRow:
        etag = next(info.etag for info in self.source.list() if info.key == name)
        row = ledger_parts.row(name, status, 1, START + timedelta(days=self.days), etag)
        row.job_digest = suffix
        if status == Status.COLORIZED:
            row.output_key, row.output_sha256 = self.put(f"images/{name}.{suffix}", self.days)
            if second:
                row.derivative_key, row.derivative_sha256 = self.put(f"derivatives/{name}.jpg", self.days)
        return row

    def put(self, key: str, day: int) -> tuple[str, str]:
        data = f"{key} of day {day}".encode()
        self.out.put(key, data)
        return key, hashlib.sha256(data).hexdigest()

    def files(self) -> list[str]:
        return sorted(info.key for folder in ("images/", "derivatives/") for info in self.out.list(folder))

    def todo(self, digest: str) -> list[str]:
        plan = make_plan(self.source, self.out, JobConfig(), digest, workers=1)
        return [item.key for shard in plan.shards for item in shard.items]

    def prune(self, *more: str) -> int:
        return main(["--output", str(self.root / "out"), *more])


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def assert_all_mean(archive: Archive, keys: list[str], superseded: int) -> None:
    """The listing, as every reader of the ledger sees it."""
    objects = find_objects(open_ledger(archive.out))
    assert sorted(objects.present["key"].to_pylist()) == keys
    assert (objects.findings.num_rows, objects.unexpected, objects.superseded) == (0, 0, superseded)
    expected = read_expected(archive.out)
    assert expected.outputs["key"].to_pylist() == keys
    assert {row["key"]: row["sha256"].hex() for row in expected.outputs.to_pylist()} == dict(
        zip(objects.present["key"].to_pylist(), objects.present["sha256"].to_pylist(), strict=True)
    )


def test_every_reader_means_the_newest_result_and_prune_removes_the_others(
    archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.ran("jpg", second=True)
    archive.ran("png", second=True)
    archive.out.put("images/stray.jpg", b"of nobody")
    archive.out.delete("images/stray.jpg")
    current = sorted([f"images/{n}.png" for n in NAMES] + [f"derivatives/{n}.jpg" for n in NAMES])
    assert_all_mean(archive, current, 3)
    before = archive.files()
    assert archive.prune() == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in printed[:-1]] == [f"images/{n}.jpg" for n in NAMES]
    size = sum(len(f"images/{n}.jpg of day 1") for n in NAMES)
    assert printed[-1] == f"3 files of superseded results, {size} bytes: listed; --apply removes them"
    assert archive.files() == before
    assert archive.prune("--apply") == 0
    assert "removed" in capsys.readouterr().out
    assert archive.files() == current
    assert_all_mean(archive, current, 0)
    assert archive.prune("--apply") == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_an_image_whose_file_was_removed_is_coloured_again_and_stands_then(archive: Archive) -> None:
    archive.ran("jpg")
    archive.ran("png")
    assert archive.todo("jpg") == []
    archive.prune("--apply")
    assert archive.todo("png") == []
    assert archive.todo("jpg") == list(NAMES)
    parts = open_ledger(archive.out)
    rows = [row for table in rows_at(parts, newest_images(parts)) for row in table.to_pylist()]
    assert {row["key"] for row in rows} <= set(NAMES)
    archive.ran("jpg")
    assert_all_mean(archive, [f"images/{n}.jpg" for n in NAMES], 3)


def test_what_a_later_run_failed_to_colour_stands_and_what_nobody_names_stays(archive: Archive) -> None:
    archive.ran("jpg")
    archive.ran("png", "a.tif")
    archive.ran("png", "b.tif", status=Status.FAILED)
    archive.out.put("images/of-nobody.jpg", b"x")
    archive.prune("--apply")
    assert archive.files() == [
        "images/a.tif.png", "images/b.tif.jpg", "images/of-nobody.jpg", "images/sub/c.tif.jpg",
    ]  # fmt: skip


def test_a_name_that_a_standing_result_shares_is_never_removed(archive: Archive) -> None:
    """Another source's earlier result once had the name, and wrote it last."""
    archive.ran("jpg", "a.tif")
    taken = archive.row("b.tif", "jpg", Status.COLORIZED, False)
    taken.output_key = "images/a.tif.jpg"
    archive.days += 1
    taken.finished_at = START + timedelta(days=archive.days)
    ledger_parts.put_part(archive.out, "jpg", "taken", [taken])
    archive.ran("png", "b.tif")
    archive.prune("--apply")
    assert "images/a.tif.jpg" in archive.files()


@pytest.mark.parametrize("removed", range(4))
def test_what_a_killed_prune_left_goes_the_next_time(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, removed: int
) -> None:
    archive.ran("jpg", second=True)
    archive.ran("png", second=True)
    current = [key for key in archive.files() if not key.endswith(".jpg") or key.startswith("derivatives/")]
    deleted = list[str]()

    def delete(store: LocalStore, key: str) -> None:
        if len(deleted) == removed and key.startswith("images/"):
            raise Killed
        if key.startswith("images/"):
            deleted.append(key)
        really(store, key)

    really = LocalStore.delete
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "delete", delete)
        with suppress(Killed):
            archive.prune("--apply")
    assert_all_mean(archive, current, 3 - removed)
    assert archive.prune("--apply") == 0
    assert archive.files() == current
    assert_all_mean(archive, current, 0)
    assert archive.todo("jpg") == list(NAMES)


def test_who_has_lost_the_lease_removes_nothing_more(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """This process was silent for minutes; another one took over, and may write at these names."""
    archive.ran("jpg")
    archive.ran("png")
    monkeypatch.setattr("pipeline.storage.lease.BEAT_SECONDS", -1.0)
    monkeypatch.setattr(Lease, "renew_until_done", lambda lease: None)
    really = LocalStore.delete

    def delete(store: LocalStore, key: str) -> None:
        really(store, key)
        if key.startswith("images/"):
            hold(archive.out, ELSEWHERE, number=9, folder=LEASE)

    monkeypatch.setattr(LocalStore, "delete", delete)
    assert archive.prune("--apply") == 1
    assert "another process has taken over" in capsys.readouterr().err
    assert len(archive.files()) == 5


def test_two_names_that_are_one_file_here_are_one_file(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS, where the sources are in a bucket: a.tif was renamed to A.tif there."""
    monkeypatch.setattr(LocalStore, "comparable", lambda store, key: key.lower())
    archive.ran("jpg", "a.tif", "b.tif")
    archive.ran("png", "a.tif", "b.tif")
    archive.days += 1
    renamed = archive.row("a.tif", "jpg", Status.COLORIZED, False)
    renamed.key, renamed.output_key = "A.tif", "images/A.tif.jpg"
    ledger_parts.put_part(archive.out, "jpg", "renamed", [renamed])
    archive.prune("--apply")
    assert archive.files() == ["images/a.tif.jpg", "images/a.tif.png", "images/b.tif.png"]


def test_two_results_of_one_moment_are_one_result_for_every_reader(archive: Archive) -> None:
    """A clock that stands still, or went back to the microsecond: the first part's row counts."""
    archive.ran("jpg", "a.tif")
    archive.days -= 1
    archive.ran("png", "a.tif")
    archive.prune("--apply")
    assert archive.files() == ["images/a.tif.jpg"]
    parts = open_ledger(archive.out)
    assert [row["status"] for table in rows_at(parts, newest_images(parts)) for row in table.to_pylist()] == [
        "colorized"
    ]
    (card,) = read_cards(archive.out).to_pylist()
    assert (card["status"], card["output_key"]) == ("colorized", "images/a.tif.jpg")


def test_a_run_at_work_keeps_prune_out(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    archive.ran("jpg")
    archive.ran("png")
    with hold_lease(archive.out, LEASE, what="run 1"):
        assert archive.prune("--apply") == 1
        assert "run 1 has been using" in capsys.readouterr().err
        assert archive.prune() == 0
    assert len(archive.files()) == 6


def test_a_damaged_part_may_name_any_file(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    archive.ran("jpg")
    archive.ran("png")
    archive.out.put("ledger/png/part-002.parquet", b"PAR1 cut off")
    assert archive.prune("--apply") == 1
    assert "is damaged" in capsys.readouterr().err
    assert len(archive.files()) == 6
