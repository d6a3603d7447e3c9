"""Parts of training rows: range reads, which have no checksum, return what was written."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import ConfigError, ObjectDamaged
from pipeline.photographs.rows import list_parts, open_part, read_parts, write_part
from pipeline.storage import open_store
from pipeline.training.data.rows import read_images
from tests.support.fault_proxy import Fault, fault_proxy

pytestmark = pytest.mark.usefixtures("short_pauses")

IMAGES = [bytes([number]) * 3000 + np.random.default_rng(number).bytes(3000) for number in range(6)]
FIRST = np.zeros(1, np.int64)


@pytest.fixture
def bucket(s3_moto) -> str:
    """A part of six rows in groups of two."""
    bucket = s3_moto.bucket()
    store = open_store(f"s3://{bucket}", s3_moto.storage_config)
    rows = [{"key": f"{number}.jpg", "image": image} for number, image in enumerate(IMAGES)]
    write_part(store, 0, rows, group_images=2)
    return bucket


def test_a_range_that_comes_damaged_is_read_again(s3_moto, bucket):
    with fault_proxy(s3_moto, Fault("flip", path="photos-00000", bits=40, times=2)) as proxy:
        store = open_store(f"s3://{bucket}", proxy.server.storage_config)
        keys = read_parts(store, list_parts(store), ["key"])["key"].to_pylist()
        assert keys == [f"{number}.jpg" for number in range(6)]
        assert proxy.count("flip") == 2

        proxy.faults[:] = [Fault("flip", path="photos-00000", bits=40, times=1)]
        images = read_images(store, list_parts(store), FIRST, FIRST + 2, FIRST + 1)
        assert images == (["5.jpg"], [IMAGES[5]])
        assert proxy.count("flip") == 3


def test_a_part_that_stays_damaged_is_one_line(s3_moto, bucket):
    with fault_proxy(s3_moto) as proxy:
        store = open_store(f"s3://{bucket}", proxy.server.storage_config)
        (part,) = list_parts(store)
        open_part(store, part)
        proxy.faults.append(Fault("flip", path="photos-00000", bits=40))
        with pytest.raises((ObjectDamaged, ConfigError), match=r"photos-00000\.parquet is ") as error:
            read_images(store, (part,), FIRST, FIRST, FIRST)
    assert "\n" not in str(error.value)
