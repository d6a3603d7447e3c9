"""Results whose names are the same to the output's file system: the later source is refused, none is lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.output import OutputConfig
from pipeline.plan.outputs import output_key
from pipeline.plan.refusals import find_refusals
from pipeline.storage.alike import NameFolding

ANY = NameFolding(case=True, form=True).comparable


def test_names_that_the_folder_takes_for_one_collide() -> None:
    keys = ["Box/A.jpg", "Box/a.jpg", "box/A.JPG", "caf\u00e9.jpg", "cafe\u0301.jpg", "other.jpg"]
    keys = sorted(keys)
    none = np.zeros(len(keys), bool)
    assert not find_refusals(keys, OutputConfig(), none)
    refused = {keys[i] for i in find_refusals(keys, OutputConfig(), none, ANY)}
    assert refused == {"Box/a.jpg", "box/A.JPG", "caf\u00e9.jpg"}
    finished = np.array([key == "Box/a.jpg" for key in keys])
    refused = {keys[i] for i in find_refusals(keys, OutputConfig(), finished, ANY)}
    assert refused == {"Box/A.jpg", "box/A.JPG", "caf\u00e9.jpg"}


def test_a_file_and_a_folder_of_one_name_collide_too() -> None:
    keys = ["SCANS.jpg", "scans.JPG/1.jpg", "scans.JPG/2.jpg"]
    none = np.zeros(3, bool)
    assert not find_refusals(keys, OutputConfig(), none)
    assert sorted(find_refusals(keys, OutputConfig(), none, ANY)) == [1, 2]


@given(st.lists(st.text("aA\u00e9\u00c9e\u0301/", min_size=1, max_size=5), unique=True, max_size=12))
def test_what_is_left_has_a_place_each(names: list[str]) -> None:
    keys = sorted(f"{name}.jpg" for name in names)
    refusals = find_refusals(keys, OutputConfig(), np.zeros(len(keys), bool), ANY)
    left = [ANY(output_key(key, OutputConfig())) for i, key in enumerate(keys) if i not in refusals]
    assert len(left) == len(set(left))
    assert not any(one.startswith(f"{other}/") for one in left for other in left)
