"""Chroma of other tools' pictures in the fused worker, without Ray: results, rows, refusals, metadata."""

from __future__ import annotations

import hashlib
import io
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from pipeline.color import spaces
from pipeline.config.job import JobConfig, job_digest
from pipeline.config.loading import load
from pipeline.errors import ConfigError
from pipeline.models.method_list import open_weights
from pipeline.plan.plan import Plan, make_plan
from pipeline.run.attempts import AttemptRegistry
from pipeline.shard.fused import FusedWorker
from pipeline.shard.job import Job
from pipeline.shard.open_guides import open_guides
from pipeline.storage import open_store
from tests.support.icc_profiles import matrix_profile, sampled
from tests.support.job_runner import encoded, fill, ledger, photograph
from tests.support.ledger_parts import put_part, row

SIZE = (192, 144)


def shapes(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A gray photograph whose lightness is in the middle, where no chroma fades."""
    return ImageOps.autocontrast(photograph(seed, *size)).point(lambda level: 60 + level * 130 // 255)


def field(height: int, width: int) -> np.ndarray:
    """Known chroma, float64[H,W,2]: smooth, and in sRGB at every lightness of `shapes`."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([18 * np.sin(x / width * 5), 16 * np.cos(y / height * 4)], -1)


def in_colour(gray: Image.Image) -> Image.Image:
    """What another tool made of it: its lightness with the known chroma."""
    L = lab(gray)[..., :1]
    return Image.fromarray(
        np.rint(spaces.lab_to_srgb(np.concatenate([L, field(*L.shape[:2])], -1)) * 255).astype(np.uint8)
    )


def lab(image: Image.Image) -> np.ndarray:
    return spaces.srgb_to_lab(np.asarray(image.convert("RGB"), np.float64) / 255)


def swapped_srgb() -> bytes:
    """A profile of sRGB whose first channel is blue and whose last is red (columns under D50)."""
    columns = np.array(
        [[0.14307, 0.38515, 0.43607], [0.06061, 0.71687, 0.22249], [0.71410, 0.09708, 0.01392]]
    )
    return matrix_profile([sampled(spaces.srgb_to_linear(np.linspace(0, 1, 1024)))] * 3, columns)


class Archive:
    """Photographs in one folder, pictures in another, coloured by one fused worker at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def photographs(self, **seeds: int) -> None:
        self.put("in", {f"{name}.png": encoded(shapes(seed), "PNG") for name, seed in seeds.items()})

    def put(self, folder: str, files: dict[str, bytes]) -> None:
        fill(str(self.root / folder), files)

    def job(self, **settings: object) -> tuple[Job, Plan]:
        wanted = {"model.method": "borrowed", "model.pictures": self.root / "color", "output.format": "png"}
        config = load(JobConfig, None, [f"{k}={v}" for k, v in (wanted | settings).items()])
        opened = open_weights(config.model.method, config.model.weights)
        source = open_store(str(self.root / "in"), config.storage)
        out = open_store(str(self.root / "out"), config.storage)
        digest = job_digest(config, opened.digest)
        plan = make_plan(source, out, config, digest, workers=1, guides=open_guides(source, config))
        return Job(config, source.uri, out.uri, "run", digest, opened.digest), plan

    def color(self, **settings: object) -> dict[str, dict]:
        """The ledger's rows by key after a run; of an image that was coloured twice the last one."""
        job, plan = self.job(**settings)
        worker = FusedWorker(job, AttemptRegistry())
        try:
            for shard in plan.shards:
                worker.run(shard.shard_id, shard.items)
        finally:
            worker.shard_worker.close()
        return {one["key"]: one for one in sorted(ledger(job.output), key=lambda one: one["finished_at"])}

    def result(self, name: str) -> Image.Image:
        image = Image.open(self.root / "out/images" / name)
        image.load()
        return image


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def todo(plan: Plan) -> list[str]:
    return [item.key for shard in plan.shards for item in shard.items]


def test_known_chroma_comes_through_and_lightness_stays(archive: Archive) -> None:
    """Within 0.3 of a* and b*, as far as 8 bits hold it; what says so is in the file."""
    archive.photographs(a=1)
    data = encoded(in_colour(shapes(1)), "PNG")
    archive.put("color", {"a_color.png": data})
    output = archive.color()["a.png"]
    assert (output["status"], output["method"], output["message"]) == (
        "colorized",
        "borrowed",
        "guided by picture",
    )
    assert output["max_delta_l"] < 1
    after = lab(archive.result("a.png"))
    assert np.abs(after[..., 1:] - field(SIZE[1], SIZE[0])).mean(axis=(0, 1)).max() < 0.3
    assert np.abs(after[..., 0] - lab(shapes(1))[..., 0]).max() < 1
    xmp = archive.result("a.png").info["xmp"].decode()
    assert 'fiat:Picture="a_color.png"' in xmp
    assert f'fiat:PictureSHA256="{hashlib.sha256(data).hexdigest()}"' in xmp
    assert "colours of another tool's picture a_color.png, sha256:" in xmp


def test_16_bits_a_smaller_picture_and_its_profile(archive: Archive) -> None:
    """Another size and colour space: chroma is converted and enlarged, lightness moves by less than 0.1."""
    gray = shapes(2, (512, 384))
    deep = np.asarray(gray).astype(np.uint16) * 257
    deep += (np.arange(512, dtype=np.uint16) % 200)[None]  # levels that 8 bits do not have
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, deep)
    archive.put("in", {"deep.tif": buffer.getvalue()})
    small = in_colour(gray).resize((192, 144), Image.Resampling.LANCZOS)
    bgr = Image.merge("RGB", small.split()[::-1])  # under a profile whose red is sRGB's blue
    archive.put("color", {"deep.png": encoded(bgr, "PNG", icc_profile=swapped_srgb())})
    output = archive.color(**{"output.format": "tiff"})["deep.tif"]
    assert (output["status"], output["width"]) == ("colorized", 512)
    assert output["max_delta_l"] < 0.1
    pixels = tifffile.imread(archive.root / "out/images/deep.tif")
    assert (pixels.dtype, pixels.shape) == (np.uint16, (384, 512, 3))
    after = spaces.srgb_to_lab(pixels / 65535)
    assert np.abs(after[..., 1:] - field(384, 512)).mean(axis=(0, 1)).max() < 0.5


def broken_png(data: bytes) -> bytes:
    return data[: len(data) // 2]


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few bytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = (60_000).to_bytes(4, "big")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size * 2 + b"\x08\x02\x00\x00\x00")
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.slow
def test_each_refusal_is_a_row_with_its_reason(archive: Archive) -> None:
    colour = in_colour(shapes(3))
    pictures = {
        "another": (encoded(in_colour(shapes(40)), "PNG"), "shows something else: its detail"),
        "bomb": (bomb(), "pixels"),
        "gray": (encoded(shapes(3), "PNG"), "has no colour"),
        "mirrored": (encoded(ImageOps.mirror(colour), "PNG"), "is mirrored"),
        "text": (b"not a picture at all", "'text.png'"),
        "truncated": (broken_png(encoded(colour, "PNG")), "'truncated.png'"),
        "turned": (
            encoded(colour.rotate(4, Image.Resampling.BICUBIC), "PNG"),
            "turned by 4.",
        ),
    }
    archive.photographs(**dict.fromkeys(pictures, 3), good=3, several=3)
    archive.put("color", {f"{name}.png": data for name, (data, _) in pictures.items()})
    archive.put("color", {"good.jpg": encoded(colour, quality=95), "several.jpg": encoded(colour)})
    archive.put("color", {"several_color.webp": encoded(colour, "WEBP")})
    rows = archive.color()
    assert rows["good.png"]["status"] == "colorized"
    for name, (_, message) in pictures.items():
        failed = rows[f"{name}.png"]
        assert (failed["status"], failed["failure_code"]) == ("failed", "guide_invalid"), name
        assert message in failed["message"], failed["message"]
        assert f"its picture '{name}.png'" in failed["message"]
        assert not (archive.root / "out/images" / f"{name}.png").exists()
    several = rows["several.png"]
    assert (several["status"], several["failure_code"]) == ("failed", "guide_invalid")
    assert "several pictures match: 'several.jpg', 'several_color.webp'" in several["message"]


def test_an_image_without_a_picture_is_left_or_coloured_as_the_job_does(archive: Archive) -> None:
    archive.photographs(a=1, b=2)
    archive.put("color", {"a.jpg": encoded(in_colour(shapes(1)), quality=95)})
    _, plan = archive.job()
    assert plan.guidance.notices[0] == "guides   1 image: 1 with picture"
    assert plan.guidance.notices[1].startswith("pictures 1 of 2 images have one in ")
    rows = archive.color()
    assert [rows[key]["status"] for key in ("a.png", "b.png")] == ["colorized", "skipped_other"]
    assert rows["b.png"]["message"].endswith("/color has none with its name")
    assert "'borrowed' needs a picture" in rows["b.png"]["message"]
    lent = np.asarray(archive.result("a.png"))
    rows = archive.color(**{"model.method": "unet", "model.side": 64})
    assert [(rows[key]["status"], rows[key]["method"]) for key in ("a.png", "b.png")] == [
        ("colorized", "borrowed"),
        ("colorized", "unet"),
    ]
    assert np.abs(np.asarray(archive.result("a.png")).astype(int) - lent).max() <= 1


def test_exactly_the_images_whose_picture_changed_are_to_do(archive: Archive) -> None:
    archive.photographs(a=1, b=2, c=3, d=4)
    archive.put("color", {f"{n}.png": encoded(in_colour(shapes(i)), "PNG") for i, n in enumerate("abc", 1)})
    job, plan = archive.job()
    assert todo(plan) == ["a.png", "b.png", "c.png", "d.png"]
    out = open_store(job.output, job.config.storage)
    done = [
        row(item.key, etag=item.etag, guide=item.guide_digest)
        for shard in plan.shards
        for item in shard.items
    ]
    for one in done:
        one.method = "borrowed"
    put_part(out, job.job_digest, "first", done)
    assert todo(archive.job()[1]) == []
    archive.put("color", {"b.png": encoded(in_colour(shapes(2)), "PNG", compress_level=1)})
    (archive.root / "color/c.png").unlink()
    archive.put("color", {"d.webp": encoded(in_colour(shapes(4)), "WEBP")})
    with pytest.raises(ConfigError, match=r"1 image .* without them: 'c\.png'; set model.pictures to the"):
        archive.job()
    archive.put("color", {"a_color.jpg": encoded(in_colour(shapes(1)))})  # the same key still counts
    again, plan = archive.job(**{"plan.drop_guides": "true"})
    assert todo(plan) == ["b.png", "c.png", "d.png"]
    assert again.job_digest == job.job_digest


def test_own_guides_are_stronger_and_hints_go_over_a_picture(archive: Archive) -> None:
    archive.photographs(a=1, b=2, c=3)
    archive.put("color", {f"{n}.png": encoded(in_colour(shapes(i)), "PNG") for i, n in enumerate("abc", 1)})
    lines = b'{"key": "a.png", "method": "unet"}\n{"key": "b.png", "points": [[90, 70, "#c81e1e", 12]]}\n'
    archive.put("guides", {"guides.jsonl": lines})
    settings = {"model.method": "unet", "model.side": 64, "guides.side": 192}
    rows = archive.color(**settings, **{"guides.file": archive.root / "guides/guides.jsonl"})
    assert [rows[f"{name}.png"]["method"] for name in "abc"] == ["unet", "borrowed", "borrowed"]
    assert rows["b.png"]["message"] == "guided by points, picture"
    after = lab(archive.result("b.png"))[..., 1:]
    assert after[66:74, 86:94, 0].mean() > 40
    assert np.abs(after - field(SIZE[1], SIZE[0]))[:40, :40].mean() < 3


@pytest.mark.slow
def test_masters_in_strips_take_one_and_documents_of_several_pages_say_no(archive: Archive) -> None:
    big, page = shapes(5, (300, 224)), shapes(6)
    archive.put("in", {"big.tif": encoded(big, "TIFF")})
    archive.put("in", {"two.tif": encoded(page, "TIFF", save_all=True, append_images=[shapes(7)])})
    archive.put(
        "color", {"big.png": encoded(in_colour(big), "PNG"), "two.png": encoded(in_colour(page), "PNG")}
    )
    rows = archive.color(**{"output.format": "tiff", "limits.stream_bytes": 60_000})
    assert rows["big.tif"]["status"] == "colorized"
    assert rows["big.tif"]["max_delta_l"] < 1
    after = lab(archive.result("big.tif"))[..., 1:]
    assert np.abs(after - field(224, 300)).mean(axis=(0, 1)).max() < 0.3
    assert rows["two.tif"]["failure_code"] == "guide_invalid"
    assert "'two.png' needs a single picture, but it has 2 pages" in rows["two.tif"]["message"]


@pytest.mark.parametrize(
    ("place", "said"), [("in", "the input; put the pictures"), ("gone", "there is no folder")]
)
def test_a_place_that_cannot_be_is_named_before_any_work(archive: Archive, place: str, said: str) -> None:
    archive.photographs(a=1)
    with pytest.raises(ConfigError, match=r"^configuration key 'model\.pictures'") as refused:
        archive.job(**{"model.pictures": archive.root / place})
    assert said in str(refused.value)
