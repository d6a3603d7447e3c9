"""Objects in archive storage classes: what listing and reading say about them, before and after a restore."""

from __future__ import annotations

import pytest

from pipeline.errors import ObjectArchived
from pipeline.storage import open_store
from pipeline.storage.s3_listing import list_sorted

CLASSES = ("STANDARD", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "INTELLIGENT_TIERING")


def test_the_listing_shows_what_must_be_restored_and_a_get_refuses_it(s3_moto):
    bucket, client = s3_moto.bucket(), s3_moto.client
    for name in CLASSES:
        client.put_object(Bucket=bucket, Key=f"in/{name}", Body=b"bytes", StorageClass=name)
    store = open_store(f"s3://{bucket}/in", s3_moto.storage_config)
    assert {info.key for info in store.list() if info.archived} == {"GLACIER", "DEEP_ARCHIVE"}
    for name in ("GLACIER", "DEEP_ARCHIVE"):
        with pytest.raises(ObjectArchived, match="cannot be read; restore it"):
            store.get(name)
        client.restore_object(Bucket=bucket, Key=f"in/{name}", RestoreRequest={"Days": 1})
    assert {store.get(name).data for name in CLASSES} == {b"bytes"}


def test_a_restored_object_is_known_by_the_date_on_which_its_copy_expires():
    """moto's listing has no RestoreStatus; these are the answers in the S3 API reference."""
    restores = {"never": None, "under_way": {"IsRestoreInProgress": True}}
    restores["restored"] = {"IsRestoreInProgress": False, "RestoreExpiryDate": "2030-01-01T00:00:00Z"}
    entries = [
        {"Key": key, "ETag": '"e"', "Size": 1, "StorageClass": "GLACIER"}
        | ({} if status is None else {"RestoreStatus": status})
        for key, status in sorted(restores.items())
    ]
    listed = {info.key: info.archived for info in list_sorted(lambda **_: {"Contents": entries}, "")}
    assert listed == {"never": True, "under_way": True, "restored": False}
