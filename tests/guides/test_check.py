"""A job's guides, from files and sidecars of a real folder and a real bucket, before any work starts."""

from __future__ import annotations

import io
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.config.job import GuidesConfig, JobConfig, ModelConfig, PlanConfig
from pipeline.errors import ConfigError
from pipeline.guides.check import Guides
from pipeline.guides.guide import Guide, Point
from pipeline.guides.guide_file import COLUMNS
from pipeline.guides.methods import Methods
from pipeline.plan.plan import Plan, make_plan
from pipeline.storage import open_store
from tests.support.job_runner import encoded, fill, photograph
from tests.support.ledger_parts import put_part, row

TAKES = {"unet": (), "scribble": ("scribbles",), "reference": ("reference",), "iizuka": ("style",)}
SCRIBBLES = encoded(Image.new("RGBA", (48, 36)), "PNG")


def methods(job: str = "unet") -> Methods:
    takes = {name: frozenset(kinds) for name, kinds in TAKES.items()}
    needs = {name: takes[name] for name in ("scribble", "reference")}
    return Methods(job, takes, needs, lambda name: f"weights of {name}")


class Archive:
    """A source of photographs of 96 x 72, a place for guides, and an output."""

    def __init__(self, root: str, storage) -> None:
        self.root, self.storage = root, storage
        self.source, self.out = open_store(f"{root}/in", storage), open_store(f"{root}/out", storage)

    def photographs(self, *names: str) -> None:
        fill(f"{self.root}/in", {name: encoded(photograph(1), "TIFF") for name in names}, self.storage)

    def guides(self, name: str, data: str | bytes, **objects: bytes) -> str:
        files = {name: data.encode() if isinstance(data, str) else data}
        fill(f"{self.root}/guides", files | objects, self.storage)
        return f"{self.root}/guides/{name}"

    def plan(self, file: str | None = None, method: str = "unet", **plan: object) -> Plan:
        config = JobConfig(
            guides=GuidesConfig(file=file),
            storage=self.storage,
            model=ModelConfig(method=method),
            plan=PlanConfig(**plan),
        )
        book = Guides(self.source, config, methods(method))
        return make_plan(self.source, self.out, config, "digest", workers=1, guides=book)

    def finish(self, plan: Plan) -> None:
        """Put the rows that a run of this plan leaves."""
        for shard in plan.shards:
            rows = [
                row(item.key, etag=item.etag, guide=item.guide_digest, attempts=item.attempts + 1)
                for item in shard.items
            ]
            put_part(self.out, "digest", shard.shard_id, rows)


@pytest.fixture
def archive(tmp_path, no_storage):
    return Archive(str(tmp_path), no_storage)


def guides_of(plan: Plan) -> dict[str, Guide]:
    return {key: Guide.from_json(guided.json) for key, guided in plan.guidance.guides.items()}


def todo(plan: Plan) -> list[str]:
    return [item.key for shard in plan.shards for item in shard.items]


ROWS = [
    {"key": "a.tif", "scribbles": "a.png"},
    {"key": "b.tif", "points": [[3, 4, "#FF0000", 2], [5, 6, "#00ff00"]], "method": "scribble"},
    {"key": "c.tif", "reference": "r.jpg"},
    {"key": "d.tif", "style": "r.jpg"},
]


def as_csv() -> str:
    points = '"[[3, 4, ""#FF0000"", 2], [5, 6, ""#00ff00""]]"'
    lines = ["key,scribbles,points,reference,style,method", "a.tif,a.png,,,,", f"b.tif,,{points},,,scribble"]
    return "\n".join([*lines, "c.tif,,,r.jpg,,", "d.tif,,,,r.jpg,"])


def as_parquet() -> bytes:
    rows = [dict.fromkeys(COLUMNS) | row for row in ROWS]
    rows[1]["points"] = [
        {"x": 3.0, "y": 4.0, "color": "#FF0000", "radius": 2.0},
        {"x": 5.0, "y": 6.0, "color": "#00ff00", "radius": None},
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_the_three_formats_say_the_same(place, request, tmp_path, no_storage):
    if place == "bucket":
        server = request.getfixturevalue("s3_moto")
        archive = Archive(f"s3://{server.bucket()}", server.storage_config)
    else:
        archive = Archive(str(tmp_path), no_storage)
    archive.photographs("a.tif", "b.tif", "c.tif", "d.tif", "e.tif")
    objects = {"a.png": SCRIBBLES, "r.jpg": encoded(photograph(2))}
    json_lines = "\n".join(json.dumps(row) for row in ROWS)
    files = {"g.jsonl": json_lines, "g.csv": as_csv(), "g.parquet": as_parquet()}
    fill(f"{archive.root}/guides", objects, archive.storage)
    read = [guides_of(archive.plan(archive.guides(name, data))) for name, data in files.items()]
    assert read[0] == read[1] == read[2]
    result = read[0]
    assert result["a.tif"].scribbles is not None
    assert (result["a.tif"].method, result["a.tif"].side) == (None, 512)
    assert result["b.tif"].points == (Point(3, 4, "#ff0000", 2), Point(5, 6, "#00ff00", 3))
    chosen = {key: guide.method for key, guide in result.items()}
    assert chosen == {"a.tif": None, "b.tif": "scribble", "c.tif": "reference", "d.tif": "iizuka"}
    assert result["d.tif"].weights == "weights of iizuka"


def test_only_images_whose_guide_is_new_changed_or_gone_are_done_again(archive):
    archive.photographs("a.tif", "b.tif", "c.tif")
    archive.guides("a.png", SCRIBBLES)
    file = archive.guides("g.csv", "key,scribbles,points\na.tif,a.png,\n")
    first = archive.plan(file)
    assert todo(first) == ["a.tif", "b.tif", "c.tif"]
    archive.finish(first)
    assert todo(archive.plan(file)) == []
    archive.guides("a.png", encoded(Image.new("RGBA", (96, 72)), "PNG"))
    changed = archive.plan(file)
    assert todo(changed) == ["a.tif"]
    archive.finish(changed)
    archive.guides("g.csv", 'key,scribbles,points\na.tif,a.png,\nb.tif,,"[[1,1,""#aa0000""]]"\n')
    new = archive.plan(file)
    assert todo(new) == ["b.tif"]
    archive.finish(new)
    with pytest.raises(
        ConfigError,
        match=r"'a\.tif', 'b\.tif'; give --guides with the file that you used before; or give --drop-",
    ):
        archive.plan()
    gone = archive.plan(drop_guides=True)
    assert todo(gone) == ["a.tif", "b.tif"]
    archive.finish(gone)
    assert todo(archive.plan()) == []
    again = archive.plan(file)
    assert todo(again) == ["a.tif", "b.tif"], "a guide that was there before must be work again too"
    ids = [shard.shard_id for plan in (first, changed, new, gone, again) for shard in plan.shards]
    assert len(set(ids)) == len(ids), "a shard of this name is committed already"


def test_an_image_without_a_guide_keeps_the_identity_it_had(archive):
    archive.photographs("a.tif")
    plain = make_plan(archive.source, archive.out, JobConfig(), "digest", workers=1)
    assert archive.plan().shards == plain.shards


def test_sidecars_are_guides_and_no_photographs(archive):
    archive.photographs("x/a.tif", "x/b.tif", "c.tif", "c.txt")
    jpeg = encoded(photograph(3))
    sidecars = {"x/a.scribbles.png": SCRIBBLES, "x/b.tif.reference.jpg": jpeg, "c.style.JPG": jpeg}
    orphan = {"x/d.reference.jpg": jpeg}
    fill(f"{archive.root}/in", sidecars | orphan)
    plan = archive.plan()
    kinds = {key: guide.kinds for key, guide in guides_of(plan).items()}
    assert kinds == {"x/a.tif": ("scribbles",), "x/b.tif": ("reference",), "c.tif": ("style",)}
    assert todo(plan) == ["c.tif", "c.txt", "x/a.tif", "x/b.tif", "x/d.reference.jpg"]
    guides, note = plan.guidance.notices
    assert "3 images: 1 with reference, 1 with scribbles, 1 with style (3 sidecars)" in guides
    assert "'x/d.reference.jpg'" in note
    archive.finish(plan)
    os.utime(f"{archive.root}/in/x/a.scribbles.png", (1, 1))
    assert todo(archive.plan()) == ["x/a.tif"]


def test_patterns_that_leave_sidecars_out_still_find_them(archive):
    archive.photographs("a.tif", "b.tif")
    fill(f"{archive.root}/in", {"a.scribbles.png": SCRIBBLES})
    plan = archive.plan(include=("*.tif",), exclude=("b*",))
    assert list(guides_of(plan)) == todo(plan) == ["a.tif"]


def test_a_row_goes_before_a_sidecar_and_may_speak_of_what_the_patterns_leave_out(archive):
    archive.photographs("a.tif", "b.tif")
    archive.guides("mine.png", SCRIBBLES)
    fill(f"{archive.root}/in", {"a.scribbles.png": SCRIBBLES})
    file = archive.guides("g.csv", "key,scribbles,method\na.tif,mine.png,\nb.tif,gone.png,nosuch\n")
    plan = archive.plan(file, exclude=("b.tif",))
    assert guides_of(plan)["a.tif"].scribbles.name == "mine.png"


def test_every_problem_is_counted_and_the_first_are_named(archive):
    archive.photographs("a.tif", "b.tif")
    wide = encoded(Image.new("RGBA", (50, 36)), "PNG")
    archive.guides("wide.png", wide)
    archive.guides("opaque.png", encoded(Image.new("RGB", (48, 36)), "PNG"))
    archive.guides("notes.png", b"no picture")
    lines = {
        '{"key": "x.tif", "scribbles": "wide.png"}': "line 1: the key 'x.tif' is not in",
        '{"key": "a.tif", "scribbles": "wide.png"}': "scribbles 'wide.png' of 50 x 36 do not fit a source of",
        '{"key": "a.tif", "scribbles": "opaque.png"}': "'opaque.png' have no alpha channel (RGB)",
        '{"key": "a.tif", "scribbles": "notes.png"}': "'notes.png' are not a PNG",
        '{"key": "a.tif", "scribbles": "gone.png"}': "line 1: scribbles: there is no 'gone.png'",
        '{"key": "a.tif", "scribbles": "../a.png"}': "the part '..'",
        '{"key": "a.tif", "scribbles": "ftp://h/a.png"}': "is not a supported place",
        '{"key": "a.tif", "reference": "notes.png"}': "reference 'notes.png' is not a picture",
        '{"key": "a.tif", "reference": "wide.png", "method": "unet"}': "takes no reference; leave it out, or",
        '{"key": "a.tif", "reference": "wide.png", "style": "wide.png"}': "no method takes both reference",
        '{"key": "a.tif", "method": "sepia"}': "unknown method 'sepia'; allowed: iizuka, reference",
        '{"key": "a.tif", "method": "scribble"}': "the method 'scribble' needs scribbles or points",
        '{"key": "a.tif", "points": [[96, 3, "#aabbcc"]]}': "point (96, 3) lies outside the image of 96 x 72",
        '{"key": "a.tif", "points": [[1, 3, "#aabbcg"]]}': "give #rrggbb",
        '{"key": "a.tif", "scribbles": 3}': "scribbles is 3: give text",
        '{"key": "a.tif", "scribble": "x"}': "it has an unknown 'scribble'; allowed: key, scribbles",
        '{"key": "a.tif"}': "has no guide",
        '{"scribbles": "wide.png"}': "the key is missing",
        "{": "line 1: it is not JSON",
        "[]": "it is not a JSON object",
    }
    for line, message in lines.items():
        with pytest.raises(ConfigError) as error:
            archive.plan(archive.guides("g.jsonl", line))
        assert message in str(error.value), line
        assert str(error.value).startswith("1 problem with the guides: ")
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match=r"^\d+ problems with the guides: .*; and \d+ more$"):
        archive.plan(archive.guides("g.jsonl", "\n".join(lines)))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("g.csv", "name,scribbles\na,b\n", "no column 'key'"),
        ("g.csv", "key,scribble\na,b\n", "unknown column 'scribble'"),
        (
            "g.csv",
            "key,scribbles\na.tif,[[1, 2]]\n",
            "guides: line 2: its number of fields differs",
        ),
        (
            "g.csv",
            "key,method\na.tif,unet\na.tif,unet\n",
            "already has a row",
        ),
        ("g.parquet", "PAR1", "cannot be read"),
        ("g.txt", "", "an unknown format"),
        ("gone.csv", None, "cannot read the guides"),
    ],
)
def test_files_that_are_no_guides(archive, name, data, said):
    archive.photographs("a.tif")
    archive.guides("other.csv", "key\n")
    file = archive.guides(name, data) if data is not None else f"{archive.root}/guides/{name}"
    with pytest.raises(ConfigError) as error:
        archive.plan(file)
    assert said in str(error.value)
