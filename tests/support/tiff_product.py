"""TIFFs of every kind, made without our own code, and both of our ways to read them.

python -m tests.support.tiff_product       reads the whole product, some thousands of files: minutes
"""

from __future__ import annotations

import hashlib
import io
import itertools
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from pipeline.codecs.in_memory import Decoded, DecodeLimits, decode
from pipeline.codecs.masters import Master
from pipeline.codecs.metadata.profiles import srgb_profile
from pipeline.errors import FailureCode, ImageFailure
from tests.support import icc_profiles
from tests.support.samples import photo

_LINEAR = icc_profiles.gamma_curve(1.0)
PROFILES = {
    "none": None,
    "sRGB": srgb_profile(),
    "gray": icc_profiles.gray_profile(icc_profiles.sampled(icc_profiles.dot_gain(20))),
    "linear": icc_profiles.gray_profile(_LINEAR),
    "Adobe RGB": icc_profiles.matrix_profile([icc_profiles.gamma_curve(2.2)] * 3),
    "ProPhoto": icc_profiles.matrix_profile([icc_profiles.gamma_curve(1.8)] * 3, icc_profiles.PROPHOTO),
}
AXES: dict[str, tuple[Any, ...]] = {
    "depth": (8, 16),
    "photometric": ("minisblack", "miniswhite", "rgb", "palette"),
    "extra": ("none", "untagged", (0,), (1,), (2,), (0, 2)),
    "alpha": ("varied", "opaque", "nothing"),
    "orientation": tuple(range(1, 9)),
    "compression": (None, "zlib", "lzw", "packbits"),
    "planar": ("contig", "separate"),
    "tiled": (False, True),
    "big": (False, True),
    "order": ("<", ">"),
    "profile": tuple(PROFILES),
    "tag": ("none", "transfer", "range"),
    "thumbnail": ("none", "first", "last", "old, last", "mask"),
}


@dataclass(frozen=True)
class Kind:
    """One combination of the product, by the names of `AXES`."""

    choices: tuple[tuple[str, Any], ...]

    def __getitem__(self, axis: str) -> Any:
        return dict(self.choices)[axis]

    def __str__(self) -> str:
        return ", ".join(f"{axis} {value}" for axis, value in self.choices)


def _sensible(kind: dict[str, Any]) -> bool:
    colours = 3 if kind["photometric"] == "rgb" else 1
    if kind["photometric"] == "palette":
        plain = (kind["depth"], kind["extra"], kind["planar"], kind["tag"]) == (8, "none", "contig", "none")
        return plain and kind["alpha"] == "varied"
    if kind["extra"] == "none" and (
        kind["alpha"] != "varied" or (colours == 1 and kind["planar"] == "separate")
    ):
        return False
    return not (kind["extra"] in ("untagged", (0,)) and kind["alpha"] != "varied")


def sample(count: int, seed: int) -> list[Kind]:
    """This many random combinations."""
    rng, result = random.Random(seed), []
    while len(result) < count:
        kind = {axis: rng.choice(values) for axis, values in AXES.items()}
        if _sensible(kind):
            result.append(Kind(tuple(kind.items())))
    return result


def product() -> Iterator[Kind]:
    """All pairs of any two axes, the others at their first value."""
    first = {axis: values[0] for axis, values in AXES.items()}
    for one, two in itertools.combinations(AXES, 2):
        for a, b in itertools.product(AXES[one], AXES[two]):
            kind = {**first, one: a, two: b}
            if _sensible(kind):
                yield Kind(tuple(kind.items()))


def made(kind: Kind) -> bytes:
    """The file: 40 x 56 pixels as stored."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, bigtiff=kind["big"], byteorder=kind["order"]) as writer:
        if kind["thumbnail"] == "first":
            writer.write(photo(14, 10, 9), photometric="minisblack", subfiletype=1, metadata=None)
        _write(writer, kind)
        if kind["thumbnail"] == "last":
            writer.write(photo(14, 10, 9), photometric="minisblack", subfiletype=1, metadata=None)
        elif kind["thumbnail"] == "mask":
            writer.write(photo(14, 10, 9) > 99, photometric=4, subfiletype=4, metadata=None)
        elif kind["thumbnail"] == "old, last":
            old = [(255, 3, 1, 2, True)]
            writer.write(photo(14, 10, 9), photometric="minisblack", extratags=old, metadata=None)
    return file.getvalue()


def _write(writer: Any, kind: Kind) -> None:
    most, dtype = (255, np.uint8) if kind["depth"] == 8 else (65535, np.uint16)
    planes = [(photo(56, 40, seed).astype(np.float64) / 255 * most).astype(dtype) for seed in (3, 4, 5)]
    planes = planes[:1] if kind["photometric"] != "rgb" else planes
    extra = kind["extra"]
    cover = {"opaque": np.full((56, 40), most, dtype), "nothing": np.zeros((56, 40), dtype)}
    alpha = cover.get(kind["alpha"], (np.linspace(0.2, 1, 56 * 40).reshape(56, 40) * most).astype(dtype))
    count = 0 if extra == "none" else 1 if extra == "untagged" else len(extra)
    if extra == (1,) and kind["alpha"] == "varied":
        planes = [(plane * (alpha / most)).astype(dtype) for plane in planes]
    planes += [alpha] * count
    tags: list[Any] = [(274, 3, 1, kind["orientation"], True)]
    if kind["tag"] == "transfer":
        table = np.rint((np.arange(most + 1) / most) ** 1.5 * 65535).astype(np.uint16)
        tags.append((301, 3, most + 1, table, True))
    elif kind["tag"] == "range":
        tags.append((532, 5, 6, (most // 16, 1, most - most // 16, 1) * 3, True))
    options: dict[str, Any] = {"tile": (32, 16)} if kind["tiled"] else {"rowsperstrip": 11}
    if count:
        options["extrasamples"] = (0,) * count if extra == "untagged" else extra
    if kind["photometric"] == "palette":
        options["colormap"] = np.repeat(np.linspace(0, 65535, 256).astype(np.uint16)[None, ::-1], 3, axis=0)
    separate = kind["planar"] == "separate" and len(planes) > 1
    array = np.stack(planes) if separate else np.dstack(planes) if len(planes) > 1 else planes[0]
    writer.write(
        array,
        photometric=kind["photometric"],
        planarconfig=None if len(planes) == 1 else kind["planar"],
        compression=kind["compression"],
        iccprofile=PROFILES[kind["profile"]],
        extratags=tags,
        metadata=None,
        **options,
    )


def untagged(data: bytes) -> bytes:
    """The file without its ExtraSamples: the tag gets a number without a meaning."""
    order = "little" if data[:2] == b"II" else "big"
    old, new = (338).to_bytes(2, order), (337).to_bytes(2, order)  # type: ignore[arg-type]
    type_ = (3).to_bytes(2, order)  # type: ignore[arg-type]
    assert data.count(old + type_) == 1
    return data.replace(old + type_, new + type_)


def file_of(kind: Kind) -> bytes:
    """Like `made`, and without the tag if the kind says so."""
    return untagged(made(kind)) if kind["extra"] == "untagged" else made(kind)


@dataclass(frozen=True)
class Reading:
    """The result of one way to read: only `failure`, or lightness, alpha and what the row says."""

    failure: FailureCode | None = None
    l_u16: np.ndarray[Any, Any] | None = None
    alpha: np.ndarray[Any, Any] | None = None
    note: str | None = None
    depth: int = 0
    changes: tuple[str, ...] = ()


def in_memory(data: bytes) -> Reading:
    """Read it as a picture that fits into memory."""
    limits = DecodeLimits(pixels=10**8)
    try:
        result = decode(data, "a.tif", None, limits, model_side=64, skip_color=False, color_threshold=3.0)
    except ImageFailure as failure:
        return Reading(failure.code)
    assert isinstance(result, Decoded)
    return Reading(None, result.L_u16, result.alpha, result.note, result.depth, result.meta.changes)


def in_strips(data: bytes, folder: Path) -> Reading:
    """Read it as a master; what cannot be streamed is read in memory, as in a run."""
    path = folder / f"{hashlib.sha256(data).hexdigest()}.tif"  # libvips knows files by their names
    path.write_bytes(data)
    try:
        master = Master(path, pixels=10**8)
        parts = list(master.strips())
    except ImageFailure as failure:
        return in_memory(data) if failure.code == FailureCode.UNSUPPORTED else Reading(failure.code)
    alpha = None
    if master.info.has_alpha:
        alpha = np.concatenate([cover for _, cover in parts if cover is not None])
    info = master.info
    note = "; ".join(info.notes) or None
    return Reading(
        None, np.concatenate([strip for strip, _ in parts]), alpha, note, info.depth, info.meta.changes
    )


def difference(one: Reading, two: Reading) -> str | None:
    """The difference between two readings; None if they are the same."""
    if one.failure != two.failure:
        return f"{one.failure} and {two.failure}"
    if one.l_u16 is None or two.l_u16 is None:
        return None
    if one.l_u16.shape != two.l_u16.shape:
        return f"{one.l_u16.shape} and {two.l_u16.shape}"
    apart = int(np.abs(one.l_u16.astype(int) - two.l_u16).max())
    if apart > 4:
        return f"{apart / 655.35:.2f} L* apart"
    if (one.alpha is None) != (two.alpha is None):
        return f"alpha {one.alpha is not None} and {two.alpha is not None}"
    if one.alpha is not None and two.alpha is not None and not np.array_equal(one.alpha, two.alpha):
        return "other alpha"
    for name in ("note", "depth", "changes"):
        if getattr(one, name) != getattr(two, name):
            return f"{name} {getattr(one, name)!r} and {getattr(two, name)!r}"
    return None


def main() -> None:
    """Read the whole product both ways."""
    total, wrong = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for kind in itertools.chain(product(), sample(1000, 0)):
            data = file_of(kind)
            message = difference(in_memory(data), in_strips(data, Path(folder)))
            total, wrong = total + 1, wrong + (message is not None)
            if message is not None:
                print(f"{message}: {kind}")
    print(f"{total} files, {wrong} differ")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
