"""The token of Ray on this machine: only its owner can read it, and an existing one is never replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engine.token import secure_token


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".ray" / "auth_token"


def test_it_is_made_once_for_its_owner_alone(path: Path) -> None:
    secure_token()
    first = path.read_text()
    assert len(first) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    secure_token()
    assert path.read_text() == first
    assert [result.name for result in path.parent.iterdir()] == ["auth_token"]


def test_one_that_ray_made_stays_and_is_closed_to_others(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("made by Ray")
    path.chmod(0o644)
    secure_token()
    assert path.read_text() == "made by Ray"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "value"),
    [("RAY_AUTH_TOKEN", "x" * 32), ("RAY_AUTH_TOKEN_PATH", "/etc/token"), ("RAY_AUTH_MODE", "disabled")],
)
def test_where_the_environment_decides_nothing_is_made(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    secure_token()
    assert not path.exists()
