"""The accuracy and time of solving scribbles at a reduced size: the figures of docs/guided.md.

    python -m tests.support.scribble_accuracy --photos FOLDER_OF_KODAK_24

One megapixel is composed of four photographs of 512 x 512, with 300 short strokes; each has the median colour
below it. One process on one core colours the same picture at 4000 x 3000 from JPEG to JPEG.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from pipeline.benchmark.fresh_process import peak_rss_mib
from pipeline.color import spaces
from pipeline.color.luminance import downscale_luminance, luminance_u16_from_gray8, luminance_u16_from_srgb8
from pipeline.color.metrics import ciede2000
from pipeline.color.upsampling import guided_upsample
from pipeline.guides.scribbles import read_scribbles
from pipeline.models.propagation import propagate
from pipeline.shard.compose import compose

F32 = NDArray[np.float32]
U16 = NDArray[np.uint16]
TILES = ("00001_1.jpg", "00005_13.jpg", "00013_20.jpg", "00023_8.jpg")
SIDES = (384, 512, 768, 1024)
FULL = 1024
STROKES, STROKE_LENGTH, STROKE_WIDTH = 300, 30, 4


def mosaic(photos: Path) -> Image.Image:
    """1024 x 1024 pixels of four photographs in colour."""
    output = Image.new("RGB", (FULL, FULL))
    for number, name in enumerate(TILES):
        with Image.open(photos / name) as tile:
            place = (number % 2 * FULL // 2, number // 2 * FULL // 2)
            output.paste(ImageOps.fit(tile.convert("RGB"), (512, 512), bleed=0), place)
    return output


def strokes(photograph: Image.Image) -> Image.Image:
    """RGBA of the photograph's size: strokes that a careful person could have drawn."""
    rng = np.random.default_rng(1)
    lab = spaces.srgb_to_lab(np.asarray(photograph, np.float64) / 255)
    drawn = Image.new("RGBA", photograph.size)
    for _ in range(STROKES):
        mask = Image.new("1", photograph.size)
        x, y, angle = *rng.uniform(STROKE_LENGTH, FULL - STROKE_LENGTH, 2), rng.uniform(0, 2 * np.pi)
        end = (x + STROKE_LENGTH * np.cos(angle), y + STROKE_LENGTH * np.sin(angle))
        ImageDraw.Draw(mask).line([(x, y), end], fill=1, width=STROKE_WIDTH)
        under = np.median(lab[np.asarray(mask)], axis=0)
        drawn.paste((*(spaces.lab_to_srgb(under) * 255).round().astype(int).tolist(), 255), mask=mask)
    return drawn


def png(drawn: Image.Image) -> bytes:
    file = io.BytesIO()
    drawn.save(file, "PNG")
    return file.getvalue()


def solve(l_u16: U16, drawn: bytes, side: int) -> tuple[F32, F32, float]:
    """The chroma at this side, its L*, and the seconds that the solution took on one core."""
    height, width = l_u16.shape
    hints, L_hw = read_scribbles(drawn, width, height, side), downscale_luminance(l_u16, side)
    start = time.process_time()
    ab_2hw = propagate(L_hw, hints[:2], hints[2])
    return ab_2hw, L_hw, time.process_time() - start


def one_megapixel(photos: Path) -> list[dict[str, float]]:
    """For each side, the CIEDE2000 against the full-size solution and against the photograph."""
    photograph = mosaic(photos)
    drawn = png(strokes(photograph))
    l_u16 = luminance_u16_from_srgb8(np.asarray(photograph))
    L_HW = l_u16.astype(np.float32) / np.float32(spaces.L_U16_SCALE)
    truth = spaces.srgb_to_lab(np.asarray(photograph, np.float64) / 255)

    def in_lab(ab_2HW: F32) -> NDArray[np.float64]:
        lab = np.concatenate([L_HW[..., None], np.moveaxis(ab_2HW, 0, -1)], axis=-1)
        return np.asarray(spaces.reduce_chroma_to_gamut(lab.astype(np.float64)))

    full = in_lab(solve(l_u16, drawn, FULL)[0])
    rows = []
    for side in SIDES:
        ab_2hw, L_hw, seconds = solve(l_u16, drawn, side)
        output = in_lab(ab_2hw if side == FULL else guided_upsample(ab_2hw, L_hw, L_HW))
        blurred = in_lab(np.stack([_bilinear(plane) for plane in ab_2hw]))
        rows.append(
            {
                "side": side,
                "seconds_solve": round(seconds, 1),
                "to_full_size": round(ciede2000(full, output), 2),
                "to_full_size_bilinear": round(ciede2000(full, blurred), 2),
                "to_photograph": round(ciede2000(truth, output), 2),
            }
        )
    return rows


def _bilinear(plane: F32) -> F32:
    return np.asarray(Image.fromarray(plane).resize((FULL, FULL), Image.Resampling.BILINEAR))


def colour(jpeg: bytes, drawn: bytes, side: int) -> bytes:
    """From JPEG and PNG to a colour JPEG, as the job does it, but without metadata."""
    with Image.open(io.BytesIO(jpeg)) as image:
        l_u16 = luminance_u16_from_gray8(np.asarray(image.convert("L")))
    ab_2hw, L_hw, _ = solve(l_u16, drawn, side)
    L_HW = l_u16.astype(np.float32) / np.float32(spaces.L_U16_SCALE)
    file = io.BytesIO()
    Image.fromarray(compose(l_u16, guided_upsample(ab_2hw, L_hw, L_HW)).rgb).save(file, "JPEG", quality=92)
    return file.getvalue()


def _report(queue: multiprocessing.Queue[dict[str, float]], jpeg: bytes, drawn: bytes, side: int) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    small = io.BytesIO()
    Image.new("L", (64, 64), 128).save(small, "JPEG")
    colour(small.getvalue(), png(Image.new("RGBA", (64, 64), (9, 99, 9, 255))), 64)  # compiles
    start, cpu = time.perf_counter(), time.process_time()
    colour(jpeg, drawn, side)
    seconds = round(time.perf_counter() - start, 1), round(time.process_time() - cpu, 1)
    peak = peak_rss_mib(os.getpid())
    queue.put({"side": side, "seconds": seconds[0], "seconds_cpu": seconds[1], "peak_rss_mib": peak})


def twelve_megapixels(photos: Path) -> list[dict[str, float]]:
    """For each side, seconds and memory of one process on one core, for 4000 x 3000 pixels."""
    photograph = mosaic(photos)
    drawn = png(strokes(photograph).resize((4000, 3000), Image.Resampling.NEAREST))
    jpeg = io.BytesIO()
    photograph.convert("L").resize((4000, 3000), Image.Resampling.BICUBIC).save(jpeg, "JPEG", quality=92)
    context = multiprocessing.get_context("spawn")
    rows = []
    for side in SIDES:
        queue = context.Queue()
        process = context.Process(target=_report, args=(queue, jpeg.getvalue(), drawn, side))
        process.start()
        rows.append(queue.get(timeout=600))
        process.join()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help=f"a folder with {', '.join(TILES)}")
    photos = parser.parse_args().photos
    measured: dict[str, Callable[[Path], list[dict[str, float]]]] = {
        "12 MP": twelve_megapixels,
        "1 MP": one_megapixel,
    }
    for name, measure in measured.items():
        for row in measure(photos):
            print(name, json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
