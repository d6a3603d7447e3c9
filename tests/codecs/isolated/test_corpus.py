"""Hundreds of damaged and odd files, and damaged scans: each has one outcome within the decoder's limits."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from pipeline.codecs.in_memory import Decoded, DecodeLimits
from pipeline.codecs.isolated.image import IsolatedDecoder
from pipeline.errors import ImageFailure
from tests.support.paths import SHARED_PHOTOS as PHOTOS

GIB = 2**30


def corpus(folder: str) -> list[tuple[Path, str]]:
    manifest = PHOTOS / folder / "manifest.csv"
    if not manifest.exists():
        pytest.skip(f"no {folder} photographs beside the repository")
    with manifest.open(newline="") as file:
        return [(PHOTOS / folder / row["file"], row["label"]) for row in csv.DictReader(file)]


def outcomes(decoder: IsolatedDecoder, files: list[Path]) -> dict[Path, tuple[str, str]]:
    """File to (status or failure code, message)."""
    results = {}
    limits = DecodeLimits(pixels=100_000_000, memory=decoder.memory)
    for path in files:
        try:
            result = decoder.decode(
                path.read_bytes(),
                path.name,
                None,
                limits,
                model_side=64,
                skip_color=False,
                color_threshold=3.0,
            )
        except ImageFailure as error:
            results[path] = (str(error.code), error.message)
        else:
            decoded = isinstance(result, Decoded)
            results[path] = (
                ("colorized", result.note or "") if decoded else (str(result.status), result.message)
            )
    return results


# Lacks the last byte of its end marker and nothing else.
WHOLE = {"truncated_jpeg.jpg"}
# Labelled ok, because Pillow delivers them with part of the picture missing or displaced, and says nothing.
PARTIAL = {
    "8e5e74dbf9b68a322fbb9512db837329.jpg",
    "0affac5c57b08ec6c560f899ab251065d35f075b.jpg",
    "2a17a910424398cf9f64e131ddffeba7820f72bd.jpg",
    "2680eb5bd1c3808f667dd1b4fe694f12896646c3.jpg",
    "fff90dfa0e49ceb184cc93a24f8199412aed99c4.jpg",
    "44395b2ac5d836cc3042fa51605df11214baf513-6.jpg",
    "bitrot_middle.jpg",
    "d446be6373be79de3ad27234ad9e86341db65b62-2.png",
    "f90ba0941f308d9350d75649a8a8af5891677935-3.png",
}


@pytest.mark.slow
def test_every_nasty_file_has_one_outcome_within_the_limits() -> None:
    files = corpus("nasty")
    with IsolatedDecoder(memory=2 * GIB, seconds=20) as decoder:
        result = outcomes(decoder, [path for path, _ in files])
        assert decoder.pid is not None
        status = Path(f"/proc/{decoder.pid}/status").read_text()
    assert len(result) == len(files) == 554
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmPeak"))
    assert peak * 1024 < 2 * GIB
    counts = Counter(code for code, _ in result.values())
    print(counts)
    assert set(counts) <= {
        "colorized",
        "skipped_other",
        "not_an_image",
        "unsupported",
        "corrupt",
        "truncated",
        "too_large",
    }
    for path, label in files:
        code, message = result[path]
        assert code == "colorized" or message, path
        if not label.startswith("ok"):  # what Pillow refuses is never delivered
            assert code != "colorized" or path.name in WHOLE, (path, label)
        elif code in ("corrupt", "truncated"):
            assert path.name in PARTIAL, (path, label, message)


def test_derived_scans() -> None:
    files = [path for path, _ in corpus("archive") if path.parent.name == "derived"]
    with IsolatedDecoder(memory=2 * GIB, seconds=30) as decoder:
        results = {path.name: code for path, (code, _) in outcomes(decoder, files).items()}
    assert results
    for name, code in results.items():
        assert code == ("truncated" if "truncated" in name else "colorized"), name
