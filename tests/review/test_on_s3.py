"""The gallery and decisions in a bucket: what static hosting serves, and conditional writes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from pipeline.ledger.keys import LEASE, thumbnail_key
from pipeline.review.cards import read_cards
from pipeline.review.decisions import Decision, current_decisions, read_decisions, write_decision
from pipeline.review.gallery import write_gallery
from pipeline.review.rejecting import reject
from pipeline.review.thumbnails import make_thumbnails
from pipeline.storage import open_store
from pipeline.storage.lease import hold_lease
from tests.support.gallery_samples import coloured, stores
from tests.support.ledger_parts import put_part
from tests.support.servers import S3Server


def test_a_bucket_hosts_the_gallery_and_keeps_decisions(s3_moto: S3Server, tmp_path: Path) -> None:
    source, _ = stores(tmp_path)
    out = open_store(f"s3://{s3_moto.bucket()}/archive", s3_moto.storage_config)
    row = coloured(source, out, "a.jpg")
    put_part(out, row.job_digest, "one", [row])
    cards = read_cards(out)
    write_gallery(out, cards, make_thumbnails(source, out, cards, side=64, threads=2), [], side=64)
    assert row.output_sha256
    types = {
        "gallery/index.html": "text/html; charset=utf-8",
        "gallery/grid.js": "text/javascript; charset=utf-8",
        "gallery/gallery.css": "text/css; charset=utf-8",
        "gallery/data/index.js": "text/javascript; charset=utf-8",
        thumbnail_key(64, row.output_sha256[:32]): "image/jpeg",
    }
    assert {key: out.get(key).content_type for key in types} == types

    def decide(number: int) -> bool:
        one = Decision(
            id=f"{number % 4:032x}",  # each comes twice, as where a file is taken in by two people
            key="a.jpg",
            etag=row.etag,
            verdict="reject",
            who="Kim",
            when=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return write_decision(out, one)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(decide, range(8))) == [False] * 4 + [True] * 4
    assert len(read_decisions(out)) == 4
    with hold_lease(out, LEASE) as lease:
        assert reject(out, current_decisions(read_decisions(out)), "20260101T000000Z-0000-review", lease) == 1
    assert not out.exists("images/a.jpg")
