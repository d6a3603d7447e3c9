"""One Ray version, one release: every file of `infra/` and every page names the versions of the lock file."""

from __future__ import annotations

import re
import tomllib

from tests.support.paths import REPO

LOCK = (REPO / "requirements.lock").read_text(encoding="utf-8")
FILES = [
    path
    for folder in ("infra", "docs")
    for path in sorted((REPO / folder).rglob("*"))
    if path.is_file() and path.suffix in (".yaml", ".md", ".sh", ".py", ".tf", ".service", ".env", "")
]


def named(pattern: str) -> set[tuple[str, str]]:
    result = ((p, re.findall(pattern, p.read_text(encoding="utf-8"))) for p in FILES)
    return {(str(path.relative_to(REPO)), version) for path, versions in result for version in versions}


def test_every_ray_version_is_the_lock_s() -> None:
    """Ray refuses to join nodes of different versions, and KubeRay picks its commands by rayVersion."""
    locked = re.search(r"^ray==(\S+)$", LOCK, re.MULTILINE)
    assert locked
    versions = named(r"(?:rayVersion: [\"']?|\bray(?:\[[\w,]+\])?==|rayproject/ray:)(\d[\d.]*)")
    assert any(file.startswith("infra/kuberay/") for file, _ in versions)
    assert {(file, version) for file, version in versions if version != locked[1]} == set()


def test_every_image_is_this_release_s() -> None:
    release = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    tags = named(r"(?:fiat-color:|newTag: )(\d+\.\d+\.\d+)")
    assert any(file.startswith("infra/kuberay/overlays/") for file, _ in tags)
    assert {(file, tag) for file, tag in tags if tag != release} == set()
