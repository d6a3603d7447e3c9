"""Training data from folders of photographs: what is kept, what is left out, and what is said about it."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage.color import rgb2lab

from pipeline.config.loading import load
from pipeline.errors import ConfigError
from pipeline.photographs import candidates
from pipeline.photographs.duplicates import difference_hash
from pipeline.photographs.prepare import prepare_photos
from pipeline.photographs.rows import SCHEMA
from pipeline.photographs.settings import PhotosConfig, PrepareConfig
from tests.support.paths import REPO


def photo(seed: int, size: tuple[int, int] = (120, 90), saturation: float = 1.0) -> Image.Image:
    """Smooth random colours, so that JPEG and scaling keep them."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3)).astype(float)
    gray = small.mean(axis=2, keepdims=True)
    pixels = (gray + saturation * (small - gray)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def save(path: Path, image: Image.Image, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)  # type: ignore[arg-type]


def rows(folder: Path) -> dict[str, dict[str, object]]:
    table = pa.concat_tables(pq.read_table(part) for part in sorted(folder.glob("photos-*.parquet")))
    assert table.schema.equals(SCHEMA)
    return {row["key"]: row for row in table.to_pylist()}


def test_every_file_is_kept_or_counted(tmp_path: Path) -> None:
    source = tmp_path / "album"
    save(source / "sea" / "a.jpg", photo(1), quality=95)
    (source / "sea" / "b.jpg").write_bytes((source / "sea" / "a.jpg").read_bytes())
    save(source / "sea" / "c.jpg", photo(1), quality=60)  # the same picture, other bytes
    save(source / "sea" / "d.png", photo(2))
    save(source / "sea" / "gray.png", photo(3, saturation=0.02))
    save(source / "sea" / "mode-l.png", photo(4).convert("L"))
    (source / "sea" / "broken.jpg").write_bytes((source / "sea" / "a.jpg").read_bytes()[:300])
    (source / "notes.txt").write_text("not a photograph")
    save(source / "huge.png", photo(5, size=(400, 400)))
    config = PrepareConfig(photos=PhotosConfig(pixels=150_000, val_permille=0, max_unreadable=0.2))
    result = prepare_photos([str(source)], str(tmp_path / "out"), config)
    assert result.kept == {"train": 2}
    assert result.dropped == {
        "duplicate_file": 1, "duplicate_picture": 1, "near_gray": 2, "unreadable": 1, "not_an_image": 1,
        "too_large": 1,
    }  # fmt: skip
    assert result.unreadable == ["album/sea/broken.jpg"]
    kept = rows(tmp_path / "out")
    assert set(kept) == {"album/sea/a.jpg", "album/sea/d.png"}
    assert kept["album/sea/a.jpg"]["label"] == "sea"
    assert kept["album/sea/a.jpg"]["source"] == "album"


def test_only_licences_that_are_wanted(tmp_path: Path) -> None:
    messages = {
        "a": "CC BY 4.0", "b": "CC BY-NC 4.0", "c": "CC0-1.0 (all)", "d": "ImageNet: research only",
        "e": "Flickr photos (mixed CC licences); annotations CC BY 4.0: research only", "f": "",
    }  # fmt: skip
    for number, name in enumerate(messages):
        save(tmp_path / "in" / f"{name}.png", photo(number))
    lines = [f'{name}.png,"{licence}"' for name, licence in messages.items()]
    (tmp_path / "in" / "manifest.csv").write_text("\n".join(["file,licence", *lines]) + "\n")
    config = load(PrepareConfig, str(REPO / "configs/prepare/open.yaml"))
    result = prepare_photos([str(tmp_path / "in")], str(tmp_path / "out"), config)
    assert {key: row["licence"] for key, row in rows(tmp_path / "out").items()} == {
        "in/a.png": "CC BY 4.0",
        "in/c.png": "CC0-1.0 (all)",
    }
    assert result.dropped == {"licence": 4, "not_an_image": 1}


def test_images_are_scaled_turned_upright_and_measured(tmp_path: Path) -> None:
    save(tmp_path / "in" / "small.jpg", photo(1), quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    save(tmp_path / "in" / "turned.jpg", photo(2, size=(600, 300)), quality=95, exif=exif)
    red = Image.new("RGB", (64, 64), (200, 60, 60))
    save(tmp_path / "in" / "red.png", red)
    prepare_photos([str(tmp_path / "in")], str(tmp_path / "out"), PrepareConfig())
    kept = rows(tmp_path / "out")
    small, turned = kept["in/small.jpg"], kept["in/turned.jpg"]
    assert small["image"] == (tmp_path / "in" / "small.jpg").read_bytes()  # no second JPEG generation
    assert (turned["width"], turned["height"]) == (256, 512)
    assert isinstance(turned["image"], bytes)
    assert Image.open(io.BytesIO(turned["image"])).size == (256, 512)
    _, a, b = rgb2lab(np.array([[[200, 60, 60]]], dtype=np.uint8))[0, 0]
    measured = [kept["in/red.png"][name] for name in ("mean_a", "mean_b", "mean_chroma")]
    np.testing.assert_allclose(np.array(measured, dtype=float), [a, b, np.hypot(a, b)], atol=0.05)


def test_every_part_and_row_group_is_like_the_whole(tmp_path: Path) -> None:
    for source in ("a", "b"):
        for i in range(40):
            save(tmp_path / "in" / source / "x" / f"{i}.png", photo(ord(source) * 100 + i, size=(48, 40)))
    config = PrepareConfig(photos=PhotosConfig(part_images=32, group_images=16))
    prepare_photos([str(tmp_path / "in")], str(tmp_path / "out"), config)
    parts = sorted((tmp_path / "out").glob("*.parquet"))
    assert [pq.read_metadata(part).num_rows for part in parts] == [32, 32, 16]
    for part in parts:
        file = pq.ParquetFile(part)
        for group in range(file.num_row_groups):
            sources = file.read_row_group(group, ["source"])["source"].to_pylist()
            assert 2 <= sources.count("a") <= 14  # of 16, 8 expected; deviation 2
    first = [part.read_bytes() for part in parts]
    prepare_photos([str(tmp_path / "in")], str(tmp_path / "out"), config)
    assert [part.read_bytes() for part in parts] == first


def test_manifest_gives_source_and_label(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save(tmp_path / "in" / f"{name}.png", photo(ord(name)))
    (tmp_path / "in" / "manifest.csv").write_text("file,source,label,licence\na.png,museum,portrait,CC0\n")
    prepare_photos([str(tmp_path / "in")], str(tmp_path / "out"), PrepareConfig())
    kept = rows(tmp_path / "out")
    assert (kept["in/a.png"]["source"], kept["in/a.png"]["label"]) == ("museum", "portrait")
    assert (kept["in/b.png"]["source"], kept["in/b.png"]["label"]) == ("in", "")
    other = tmp_path / "other.csv"
    other.write_text("name\nx\n")
    with pytest.raises(ConfigError, match="no column 'file'"):
        prepare_photos([str(tmp_path / "in")], str(tmp_path / "out"), PrepareConfig(), str(other))


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_parquet_inputs_beside_files(tmp_path: Path) -> None:
    album = tmp_path / "album"
    save(album / "sea" / "file.png", photo(100))
    names = [f"{i}.JPEG" for i in range(5)]
    images = [jpeg(photo(i, size=(64, 64))) for i in range(4)] + [None]
    labels = ["cat", "dog", None, "cat", "dog"]
    table = pa.table(
        {"key": names, "wnid": ["n1"] * 5, "label": labels, "image": pa.array(images, pa.binary())}
    )
    pq.write_table(table, album / "train-00.parquet", row_group_size=2)
    other = pa.table({"key": ["x"], "source": ["museum"], "image": [jpeg(photo(50))]})
    (album / "more").mkdir()
    pq.write_table(other, album / "more" / "a.parquet")
    pq.write_table(pa.table({"numbers": [1]}), album / "val-1.parquet")
    config = PrepareConfig(photos=PhotosConfig(exclude=("val*.parquet",), max_unreadable=0.2, group_images=2))
    message: list[str] = []
    result = prepare_photos([str(album)], str(tmp_path / "out"), config, say=message.append)
    assert result.unreadable == ["album/4.JPEG"]
    assert message == ["unreadable: album/4.JPEG"]
    kept = rows(tmp_path / "out")
    assert {(key, row["source"], row["label"]) for key, row in kept.items()} == {
        ("album/sea/file.png", "album", "sea"), ("album/0.JPEG", "album", "cat"),
        ("album/1.JPEG", "album", "dog"), ("album/2.JPEG", "album", ""),
        ("album/3.JPEG", "album", "cat"), ("album/x", "museum", ""),
    }  # fmt: skip
    assert kept["album/0.JPEG"]["image"] == images[0]
    assert pq.read_metadata(tmp_path / "out" / "photos-00000.parquet").num_row_groups == 3
    with pytest.raises(ConfigError, match=r"val-1.parquet has no column 'key' \(it has numbers\)"):
        prepare_photos([str(album)], str(tmp_path / "other"), PrepareConfig())
    (album / "val-1.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(ConfigError, match=r"val-1.parquet is not a Parquet file"):
        prepare_photos([str(album)], str(tmp_path / "other"), PrepareConfig())


@pytest.mark.slow
def test_rows_that_unpack_to_more_than_memory_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One value that is repeated takes no room in a file."""
    monkeypatch.setattr(candidates, "MOST_BYTES", 2**29)
    images = pa.DictionaryArray.from_arrays(pa.array([0] * 256, pa.int32()), pa.array([bytes(4_000_000)]))
    table = pa.table({"key": ["a"] * 256, "image": images})
    (tmp_path / "album").mkdir()
    pq.write_table(table, tmp_path / "album" / "a.parquet", store_schema=False)
    assert (tmp_path / "album" / "a.parquet").stat().st_size < 2**20
    with pytest.raises(ConfigError) as raised:
        prepare_photos([str(tmp_path / "album")], str(tmp_path / "out"), PrepareConfig())
    assert str(raised.value) == (
        f"cannot read {tmp_path / 'album' / 'a.parquet'}; leave it out with photos.exclude: it needs "
        "over 536,870,912 bytes of memory when unpacked"
    )


def test_too_many_unreadable_photographs_stop_the_run(tmp_path: Path) -> None:
    for i in range(8):
        save(tmp_path / "in" / f"{i}.jpg", photo(i))
    prepare_photos([str(tmp_path / "in")], str(tmp_path / "out"), PrepareConfig())
    for i in (2, 5):
        (tmp_path / "in" / f"{i}.jpg").write_bytes(b"\xff\xd8 cut")
    (tmp_path / "in" / "README").write_text("counts for nothing")
    kept = prepare_photos(
        [str(tmp_path / "in")], str(tmp_path / "out"), PrepareConfig(photos=PhotosConfig(max_unreadable=0.25))
    )
    assert kept.kept.total() == 6
    with pytest.raises(
        ConfigError, match=r"2 of 8 photographs \(25.0%\) cannot be read.* in/2.jpg, in/5.jpg"
    ):
        prepare_photos(
            [str(tmp_path / "in")],
            str(tmp_path / "out"),
            PrepareConfig(photos=PhotosConfig(max_unreadable=0.24)),
        )
    assert not list((tmp_path / "out").glob("*.parquet"))  # half a data set would train without a word


def test_the_split_follows_the_bytes_alone(tmp_path: Path) -> None:
    names = [f"{i:03d}" for i in range(60)]
    for folder, order in (("one", names), ("two", random.Random(0).sample(names, len(names)))):
        for place, name in zip(names, order, strict=True):
            save(tmp_path / folder / f"{place}.png", photo(1000 + int(name), size=(48, 40)))
    splits = []
    for folder in ("one", "two"):
        config = PrepareConfig(photos=PhotosConfig(val_permille=300, threads=3))
        prepare_photos([str(tmp_path / folder)], str(tmp_path / "out" / folder), config)
        splits.append({row["sha256"]: row["split"] for row in rows(tmp_path / "out" / folder).values()})
    assert splits[0] == splits[1]
    assert 8 <= list(splits[0].values()).count("val") <= 28


def test_a_second_run_leaves_no_rows_of_the_first(tmp_path: Path) -> None:
    for i in range(5):
        save(tmp_path / "in" / f"{i}.png", photo(i))
    small_parts = PrepareConfig(photos=PhotosConfig(part_images=2))
    prepare_photos([str(tmp_path / "in")], str(tmp_path / "out"), small_parts)
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 3
    prepare_photos([str(tmp_path / "in")], str(tmp_path / "out"), PrepareConfig())
    assert [pq.read_metadata(p).num_rows for p in (tmp_path / "out").glob("*.parquet")] == [5]


def test_difference_hash_tells_pictures_apart_and_survives_scaling() -> None:
    def distance(one: Image.Image, other: Image.Image) -> int:
        return (int.from_bytes(difference_hash(one)) ^ int.from_bytes(difference_hash(other))).bit_count()

    assert distance(photo(1), photo(1).resize((60, 45))) <= 6
    assert min(distance(photo(1), photo(seed)) for seed in range(2, 20)) > 20


def test_the_command(tmp_path: Path, in_process) -> None:
    save(tmp_path / "in" / "a.png", photo(1))
    save(tmp_path / "in" / "gray.png", photo(2, saturation=0.0))
    done = in_process("prepare_photos", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "kept 1:" in done.stdout
    assert "left out, near_gray: 1" in done.stdout
    for arguments, message in [
        (["--input", str(tmp_path / "none"), "--output", str(tmp_path / "out")], "none"),
        (
            ["--input", str(tmp_path), "--output", str(tmp_path / "o"), "--set", "photos.size=3"],
            "photos.size",
        ),
    ]:
        failed = in_process("prepare_photos", *arguments)
        assert failed.returncode == 2
        assert failed.stderr.startswith("error: ")
        assert failed.stderr.count("\n") == 1
        assert message in failed.stderr
