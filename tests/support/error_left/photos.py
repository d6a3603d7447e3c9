"""The photographs of `tests.support.error_left`: which are held out, and the data of their cells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from pipeline.codecs.opened import opened_picture
from pipeline.config.storage import StorageConfig
from pipeline.evaluate.photograph_list import Reader, list_photographs, reduced
from pipeline.evaluate.settings import EvaluateSection
from pipeline.photographs.settings import PhotosConfig
from tests.support.error_left.cells import Arrays, Picture, encoders, faithful, kept, look, picture, square
from tests.support.paths import REPO

F32 = NDArray[np.float32]
SIDE, BATCH = 128, 16
LEAST_CHROMA = PhotosConfig().min_chroma


@dataclass(frozen=True)
class Encoded:
    """A photograph of the Parquet files: its key and its bytes."""

    key: str
    image: bytes


def split(folder: Path) -> tuple[list[Encoded], list[Encoded]]:
    """Photographs that `faithful` was never trained on, and the others, in the order of their hashes, which
    is as good as random. Photographs that training counts as gray are in neither."""
    training = yaml.safe_load((REPO / "configs/train/old-light.yaml").read_text())
    held, others = dict[str, Encoded](), dict[str, Encoded]()
    for path in sorted(folder.glob("train-*.parquet")):
        for row in pq.read_table(path, columns=["key", "source", "image", "chroma"]).to_pylist():
            if row["chroma"] < LEAST_CHROMA:
                continue
            digest = hashlib.sha256(row["image"]).hexdigest()
            val = int(digest[:12], 16) % 1000 < PhotosConfig().val_permille
            chosen = held if val or row["source"] in training["data"]["hold_out"] else others
            chosen[digest] = Encoded(row["key"], row["image"])
    return [held[digest] for digest in sorted(held)], [others[digest] for digest in sorted(others)]


def squares(photographs: list[Encoded]) -> list[Picture]:
    """Their middle squares of SIDE pixels."""
    pictures = []
    for one in photographs:
        with opened_picture(one.image) as opened:
            pictures.append(picture(one.key, square(opened, SIDE)))
    return pictures


def whole(folder: str) -> list[Picture]:
    """The photographs of an evaluation, as `jobs/evaluate.py` gives them to the networks."""
    photos = list_photographs(folder, EvaluateSection(), StorageConfig())
    reader = Reader(folder, PhotosConfig().pixels, StorageConfig())
    return [picture(one.key, reduced(reader.read(one), SIDE)) for one in photos]


def batches(pictures: list[Picture]) -> Iterator[list[Picture]]:
    """Batches of at most BATCH consecutive pictures of one size."""
    for _, of_one_size in groupby(pictures, lambda one: one.L_hw.shape):
        rest = list(of_one_size)
        yield from (rest[start : start + BATCH] for start in range(0, len(rest), BATCH))


class Observed:
    """Photographs, and the data of each cell (`look`), with the number of its photograph."""

    def __init__(self, pictures: list[Picture], folder: Path, names: tuple[str, ...]) -> None:
        def make(start: int, stop: int) -> Iterator[Arrays]:
            network = faithful()
            see = encoders(names, network)
            return (look(batch, see, network) for batch in batches(pictures[start:stop]))

        self.pictures = pictures
        self.known = kept(folder, len(pictures), make)
        if self.known["key"].tolist() != [one.key for one in pictures]:
            raise SystemExit(f"{folder} is of other photographs: name another folder")
        cells = self.known["grid"].prod(1)
        self.photograph_N = np.repeat(np.arange(len(pictures)), cells)
        self.starts = np.concatenate([[0], np.cumsum(cells)])
        planes = [2 * one.ab_2hw.shape[1] * one.ab_2hw.shape[2] for one in pictures]
        self.guess_starts = np.concatenate([[0], np.cumsum(planes)])

    def of(self, place: int) -> slice:
        """The cells of a photograph."""
        return slice(self.starts[place], self.starts[place + 1])

    def guess(self, place: int) -> F32:
        """The prediction of `faithful`, float32[2,h,w] at half the size."""
        start, stop = self.guess_starts[place : place + 2]
        return self.known["ab_2hw"][start:stop].reshape(self.pictures[place].ab_2hw.shape)

    def cells(self, name: str) -> F32:
        """The features of the cells from an encoder, N x C."""
        return self.known[f"cells_{name}"].astype(np.float32)

    def pooled(self, name: str) -> F32:
        """The features of the photographs from an encoder, P x F."""
        return self.known[f"pooled_{name}"].astype(np.float32)
