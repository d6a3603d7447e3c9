"""Fixtures for all tests: real S3 servers, one of each kind per test session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from pipeline.config.storage import StorageConfig
from tests.support import servers
from tests.support.servers import S3Server

# Outputs state their day, and midnight may not part two runs whose outputs a test compares: 2026-01-01.
os.environ.setdefault("SOURCE_DATE_EPOCH", "1767225600")

# A loaded machine may take 200 times the time for the same: no property of colours is about time.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def aws_credentials() -> Iterator[None]:
    """The servers' credentials in the environment, where boto3 and child processes find them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
            patch.delenv(name, raising=False)
        for name, value in servers.CREDENTIALS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="session")
def s3_moto(aws_credentials: None) -> Iterator[S3Server]:
    """moto's S3 server."""
    with servers.moto() as server:
        yield server


@pytest.fixture(scope="session")
def s3_ceph(aws_credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A Ceph object gateway; skipped only where Ceph is not installed and this is not CI."""
    if missing := servers.missing_ceph_programs():
        said = f"{', '.join(missing)} not installed: apt-get install {servers.CEPH_PACKAGES}"
        pytest.fail(said) if servers.in_ci() else pytest.skip(said)
    with servers.ceph(tmp_path_factory.mktemp("ceph")) as server:
        yield server


@pytest.fixture(scope="session")
def no_storage() -> StorageConfig:
    """The default storage settings, for local folders."""
    return StorageConfig()
