"""A second file that is requested later is made from the finished image, and equals what colouring writes."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, TiffImagePlugin

from pipeline.codecs.metadata.iptc import tiff_words
from pipeline.config.storage import StorageConfig
from pipeline.export.objects import find_objects
from pipeline.ledger.stream import open_ledger
from pipeline.review.decisions import Decision, write_decision
from pipeline.storage import open_store
from tests.support.icc_profiles import gamma_curve, matrix_profile
from tests.support.job_runner import encoded, fill, lasting, ledger, photograph
from tests.support.job_runner import run as run_on_ray

Job = Callable[..., CompletedProcess[str]]
pytestmark = pytest.mark.job

XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="box 3">%s'
    b"</rdf:Description></rdf:RDF></x:xmpmeta>"
)
JPEG = ("--set", "output.derivative.format=jpeg", "--set", "output.derivative.side=64")
PYRAMID = ("--set", "output.derivative.format=tiff_pyramid")
IIM = b"\x1c\x02\x78\x00\x08the pier"


def settings(format: str) -> tuple[str, ...]:
    return ("--set", f"output.format={format}")


def sources() -> dict[str, bytes]:
    """Photographs with all kinds of metadata, profiles, depths and transparency."""
    adobe = matrix_profile([gamma_curve(2.2)] * 3)
    exif = Image.Exif()
    exif.update({271: "Linhof", 306: "1911:05:01 12:00:00"})
    exif.get_ifd(0x8769).update({33434: TiffImagePlugin.IFDRational(1, 50), 37510: b"ASCII\0\0\0by the pier"})
    exif.get_ifd(0x8825).update({1: "N", 2: (53.0, 38.0, 30.5)})
    tagged = {"exif": exif, "xmp": XMP % b"", "dpi": (300, 300)}
    toned = Image.merge("RGB", [photograph(2).point(lambda v, f=f: int(v * f)) for f in (1.0, 0.93, 0.82)])
    deep = io.BytesIO()
    tifffile.imwrite(deep, np.asarray(photograph(4)).astype(np.uint16) * 257, compression="zlib")
    see_through = photograph(5).convert("LA")
    see_through.putalpha(Image.linear_gradient("L").resize(see_through.size))
    long = {**tagged, "xmp": XMP % (b"<dc:rights>" + b"of the box " * 7000 + b"</dc:rights>")}
    return {
        "tagged.jpg": encoded(photograph(1), **tagged),
        "profile.tif": encoded(
            toned, "TIFF", icc_profile=adobe, tiffinfo={33723: tiff_words(IIM)}, dpi=(240, 240)
        ),
        "profile.jpg": encoded(toned, icc_profile=adobe),
        "deep.tif": deep.getvalue(),
        "alpha.png": encoded(see_through, "PNG", dpi=(300, 300)),
        "long.png": encoded(photograph(6), "PNG", **long),
        "no image.txt": b"notes",
    }


def files(out: Path, folder: str) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in (out / folder).rglob("*") if p.is_file()}


def newest(out: Path) -> list[dict[str, Any]]:
    """The rows of the last run."""
    rows = ledger(str(out))
    last = max(row["run_id"] for row in rows)
    return [row for row in rows if row["run_id"] == last]


def is_whole(out: Path) -> bool:
    """Whether the delivered files are those that the ledger names, with its checksums."""
    objects = find_objects(open_ledger(open_store(str(out), StorageConfig())))
    read = {
        key: hashlib.sha256((out / key).read_bytes()).hexdigest()
        for key in objects.present["key"].to_pylist()
    }
    named = dict(zip(*(objects.present[name].to_pylist() for name in ("key", "sha256")), strict=True))
    return not objects.findings.num_rows and read == named


def colours(rows: list[dict[str, Any]]) -> int:
    """How many of the rows a network has coloured."""
    return sum(row["seconds_predict"] is not None for row in rows)


@pytest.mark.parametrize(("format", "second"), [("tiff", JPEG), ("png", JPEG), ("tiff", PYRAMID)])
def test_it_is_the_file_that_colouring_writes(
    tmp_path: Path, colorize: Job, format: str, second: Any
) -> None:
    source, later, at_once = tmp_path / "in", tmp_path / "later", tmp_path / "at once"
    fill(str(source), sources())
    assert colorize("--input", source, "--output", later, *settings(format)).returncode == 0
    before = files(later, "images")
    done = colorize("--input", source, "--output", later, *settings(format), *second)
    assert done.returncode == 0, done.stderr
    assert "6 of these are finished and only get a second file" in done.stdout
    assert "; made the second files of 6." in done.stdout
    made = newest(later)
    assert colorize("--input", source, "--output", at_once, *settings(format), *second).returncode == 0
    expected = ledger(str(at_once))
    assert (colours(made), colours(expected)) == (0, 6)
    assert lasting(made) == lasting(expected)
    assert files(later, "derivatives") == files(at_once, "derivatives")
    assert files(later, "images") == before == files(at_once, "images")
    again = colorize("--input", source, "--output", later, *settings(format), *second)
    assert "Nothing to do" in again.stdout


def test_it_comes_from_masters_in_strips_and_pages(tmp_path: Path, colorize: Job) -> None:
    """Each of the three ways to write an image, and guides: `files` and rows are those of colouring."""
    pages = encoded(photograph(1), "TIFF", save_all=True, append_images=[photograph(2), photograph(3)])
    for number, more in enumerate(
        (
            ("--set", "limits.stream_bytes=1000"),
            ("--set", "output.pages=separate"),
            ("--set", "output.pages=tiff"),
        )
    ):
        source, later, at_once = (tmp_path / f"{number}-{name}" for name in ("in", "later", "at-once"))
        fill(str(source), {"pages.tif": pages, "one.tif": encoded(photograph(4), "TIFF")})
        given = (*settings("tiff"), *more, "--set", "output.label=band")
        assert colorize("--input", source, "--output", later, *given).returncode == 0
        assert colorize("--input", source, "--output", later, *given, *JPEG).returncode == 0
        assert colorize("--input", source, "--output", at_once, *given, *JPEG).returncode == 0
        made = newest(later)
        assert colours(made) == 0
        assert lasting(made) == lasting(ledger(str(at_once)))
        assert files(later, "derivatives") == files(at_once, "derivatives")


@pytest.fixture
def masters(tmp_path: Path, colorize: Job) -> tuple[Path, Callable[..., CompletedProcess[str]]]:
    """Four finished TIFFs, and the run that coloured them; it takes further settings."""
    out = tmp_path / "out"
    fill(
        str(tmp_path / "in"), {f"{name}.png": encoded(photograph(i), "PNG") for i, name in enumerate("abcd")}
    )

    def run(*more: object) -> CompletedProcess[str]:
        return colorize("--input", tmp_path / "in", "--output", out, *settings("tiff"), *more)

    assert run().returncode == 0
    return out, run


def test_everybody_agrees_on_what_stands(masters: Any, in_process: Any, tmp_path: Path) -> None:
    """Other settings of second files, and back: ledger, verification, bag, PREMIS, gallery and prune."""
    out, run = masters
    assert run(*JPEG).returncode == 0
    assert run(*JPEG[:2], "--set", "output.derivative.side=32").returncode == 0
    with Image.open(out / "derivatives/a.png.tif.jpg") as image:
        assert max(image.size) == 32
    assert is_whole(out)
    assert run(*PYRAMID).returncode == 0
    assert colours(newest(out)) == 0
    assert is_whole(out)
    bag, premis = tmp_path / "bag", tmp_path / "premis.xml"
    assert in_process("export", "--output", out, "--format", "bagit", "--to", bag).returncode == 0
    kept = {f"images/{name}.png.tif" for name in "abcd"} | {f"derivatives/{name}.png.tif" for name in "abcd"}
    assert files(bag / "data", "").keys() == kept
    assert in_process("export", "--output", out, "--format", "premis", "--to", premis).returncode == 0
    named = premis.read_text()
    assert all(f">{key}<" in named for key in kept)
    assert ".tif.jpg<" not in named
    assert in_process("review", "--output", out).returncode == 0
    listed = in_process("prune", "--output", out, "--apply")
    assert listed.returncode == 0
    assert listed.stdout.count(".tif.jpg") >= 4
    assert {*files(out, "images"), *files(out, "derivatives")} == kept
    assert is_whole(out)
    assert run(*JPEG).returncode == 0
    assert colours(newest(out)) == 0
    assert len(files(out, "derivatives")) == 8
    assert is_whole(out)


def test_a_second_file_is_wanted_no_more(masters: Any) -> None:
    """No ledger of these settings was there before: the images stand, and no second file is named."""
    out, run = masters
    assert run("--set", "model.chroma=1.2", *JPEG).returncode == 0
    assert run("--set", "model.chroma=1.2").returncode == 0
    rows = newest(out)
    assert (len(rows), colours(rows)) == (4, 0)
    assert {row["derivative_key"] for row in rows} == {None}


def test_people_decide_what_stands(masters: Any) -> None:
    """Accepted images get their second file and stay accepted, rejected ones get none, gray ones are gray."""
    out, run = masters
    store, rows = open_store(str(out), StorageConfig()), {row["key"]: row for row in ledger(str(out))}
    for key, verdict in (("a.png", "accept"), ("b.png", "reject"), ("c.png", "gray")):
        seen = {"output_sha256": rows[key]["output_sha256"]} if verdict == "accept" else {}
        now = datetime.now(UTC)
        write_decision(
            store, Decision(key=key, etag=rows[key]["etag"], verdict=verdict, who="Kim", when=now, **seen)
        )
    done = run(*JPEG)
    assert done.returncode == 0, done.stderr
    assert "2 of these are finished" in done.stdout
    made = {row["key"]: row for row in newest(out)}
    assert made.keys() == {"a.png", "c.png", "d.png"}
    assert made["c.png"]["method"] == "gray"
    for key in ("a.png", "d.png"):
        assert made[key]["output_sha256"] == rows[key]["output_sha256"]
    assert all(row["derivative_key"] for row in made.values())
    changed = run(*JPEG, "--set", "model.chroma=1.3")
    assert "1 of them accepted by people" in changed.stdout
    assert {row["key"] for row in newest(out)} == {"c.png", "d.png"}


def test_an_image_that_is_not_as_the_ledger_says_is_coloured_again(masters: Any) -> None:
    out, run = masters
    whole = files(out, "images")
    (out / "images/a.png.tif").write_bytes(whole["images/b.png.tif"])
    (out / "images/c.png.tif").unlink()
    assert run(*JPEG).returncode == 0
    rows = {row["key"]: row for row in newest(out)}
    assert [row["key"] for row in rows.values() if row["seconds_predict"] is not None] == ["a.png", "c.png"]
    why = "the bytes of images/a.png.tif differ from the ledger"
    assert rows["a.png"]["message"] == f"coloured again, because its finished image cannot be used: {why}"
    assert rows["c.png"]["message"].startswith("coloured again")
    assert rows["b.png"]["message"] is None
    assert files(out, "images") == whole


def test_what_colours_anew_as_before(masters: Any, tmp_path: Path, colorize: Job) -> None:
    """Other settings too, a scan that changed, results with loss, a ledger whose run's settings are gone."""
    out, run = masters
    assert run(*JPEG, "--set", "model.chroma=1.2").returncode == 0
    assert colours(newest(out)) == 4
    fill(str(tmp_path / "in"), {"b.png": encoded(photograph(9), "PNG")})
    assert run("--set", "model.chroma=1.2").returncode == 0
    assert [row["key"] for row in newest(out) if row["seconds_predict"] is not None] == ["b.png"]
    lossy = ("--input", tmp_path / "in", "--output", tmp_path / "jpeg")
    assert colorize(*lossy).returncode == 0
    assert colorize(*lossy, *JPEG).returncode == 0
    assert colours(newest(tmp_path / "jpeg")) == 4
    shutil.rmtree(out / "runs")
    assert run("--set", "model.chroma=1.2", *PYRAMID).returncode == 0
    assert colours(newest(out)) == 0  # for images without a second file nothing has to be known
    shutil.rmtree(out / "runs")
    assert run("--set", "model.chroma=1.2", *JPEG[:2], "--set", "output.derivative.side=20").returncode == 0
    assert colours(newest(out)) == 4


@pytest.mark.ray
def test_it_is_so_on_ray_in_stages(tmp_path: Path) -> None:
    fill(str(tmp_path / "in"), {f"{i}.png": encoded(photograph(i), "PNG") for i in range(3)})
    given = ("--input", tmp_path / "in", "--output", tmp_path / "out", *settings("tiff"))
    staged = ("--set", "run.engine=ray", "--set", "run.topology=staged", "--set", "model.side=64")
    assert run_on_ray(*given, *staged).returncode == 0
    (tmp_path / "out/images/1.png.tif").unlink()
    done = run_on_ray(*given, *staged, *JPEG)
    assert done.returncode == 0, done.stderr
    rows = newest(tmp_path / "out")
    assert [row["seconds_predict"] is None for row in rows] == [True, False, True]
    assert len(files(tmp_path / "out", "derivatives")) == 3
