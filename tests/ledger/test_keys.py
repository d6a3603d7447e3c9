"""The module of keys agrees with itself and with the one package below it that knows folder names."""

from __future__ import annotations

import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from pipeline.ledger import keys
from pipeline.storage import uri

names = st.text("0123456789abcdefTZ-", min_size=1, max_size=24)
IN_A_RUN = [
    keys.plan_key,
    keys.config_key,
    keys.compacted_key,
    keys.summary_key,
    keys.page_key,
    keys.sheet_key,
]


@given(digest=names, shard=names)
def test_a_part_is_found_again_by_its_key(digest: str, shard: str) -> None:
    key = keys.part_key(digest, shard)
    assert key.startswith(keys.ledger_folder(digest))
    assert keys.is_part(key)
    assert keys.job_digest_of(key) == digest
    assert keys.run_id_of(key) is None
    assert fnmatch.fnmatchcase(key, keys.part_key("*", "*"))


@given(run_id=names)
def test_everything_of_a_run_lies_in_its_folder_and_apart(run_id: str) -> None:
    output = [key(run_id) for key in IN_A_RUN]
    assert len(set(output)) == len(output)
    assert {keys.run_id_of(key) for key in output} == {run_id}
    assert not any(key.startswith(keys.RESERVED) for key in output)


def test_storage_refuses_sources_in_every_folder_of_this_page() -> None:
    assert {*uri.OWN_FOLDERS} == {folder.rstrip("/") for folder in (*keys.RESERVED, keys.RUNS)}


def test_the_places_that_users_know_stay_where_they_are() -> None:
    assert keys.part_key("d", "s") == "ledger/d/part-s.parquet"
    assert [key("r") for key in IN_A_RUN] == [
        "runs/r/plan/shards.parquet",
        "runs/r/config.yaml",
        "runs/r/ledger.parquet",
        "runs/r/summary.json",
        "runs/r/report/index.html",
        "runs/r/report/contact-sheet.png",
    ]
