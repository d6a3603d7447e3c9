"""An export opened in Mirador, the viewer that many archives use.

Mirador (Apache 2.0) is 2.4 MB and not in this repository: npm fetches it once into pytest's cache. Without
npm or a registry the test is skipped; that manifests are valid is tested in any case.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jobs.export import main
from tests.support import browser
from tests.support.gallery_samples import photographs

VERSION = "4.0.0"
SHA512 = (
    "b96b04f5eda8a9273f954bbebd5c031a14ecc9cba11ac7d9d8a7d7e822df5e24"
    "f7c201b2eaa4fdfaae4cdd5f59cfbda191d220b09ba029eb1aa30991b589afac"
)
PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><div id="viewer"></div>
<script src="mirador.js"></script>
<script>
Mirador.viewer({id: "viewer", windows: [{manifestId: "MANIFEST", sideBarOpen: true, sideBarPanel: "layers"}],
  window: {panels: {layers: true}}});
</script>"""


@pytest.fixture(scope="module")
def mirador(pytestconfig: pytest.Config) -> bytes:
    """The script."""
    assert pytestconfig.cache
    package = pytestconfig.cache.mkdir("mirador") / f"mirador-{VERSION}.tgz"
    npm = shutil.which("npm")
    if not package.exists():
        if npm is None:
            pytest.skip("no npm to fetch Mirador with")
        line = [npm, "pack", "--silent", f"mirador@{VERSION}"]
        fetched = subprocess.run(line, cwd=package.parent, capture_output=True, text=True, timeout=120)
        if fetched.returncode:
            pytest.skip(f"npm does not give Mirador: {fetched.stderr.strip()[-200:]}")
    assert hashlib.sha512(package.read_bytes()).hexdigest() == SHA512
    with tarfile.open(package) as archive:
        member = archive.extractfile("package/dist/mirador.min.js")
        assert member is not None
        return member.read()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def published(folder: Path) -> Iterator[str]:
    """The address at which the folder is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.server
def test_mirador_shows_result_and_scan(mirador: bytes, tmp_path: Path) -> None:
    photographs(tmp_path, ["detroit-1915.jpg"])
    (tmp_path / "mirador.js").write_bytes(mirador)
    with published(tmp_path) as address, browser.started() as chromium:
        places = [f"--base={address}/iiif", f"--images={address}/out", f"--sources={address}/in"]
        line = ["--output", str(tmp_path / "out"), "--format", "iiif", "--to", str(tmp_path / "iiif")]
        assert main([*line, *places]) == 0
        (manifest,) = (tmp_path / "iiif/manifests").iterdir()
        uri = f"{address}/iiif/manifests/{manifest.name}"
        (tmp_path / "index.html").write_text(PAGE.replace("MANIFEST", uri))
        page = chromium.new_page(viewport={"width": 1200, "height": 800})
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        with (
            page.expect_response(f"{address}/out/images/detroit-1915.jpg", timeout=60_000) as coloured,
            page.expect_response(f"{address}/in/detroit-1915.jpg", timeout=60_000) as scan,
        ):
            page.goto(f"{address}/index.html")
        assert (coloured.value.status, scan.value.status) == (200, 200)
        page.get_by_text("Coloured by software; the colours are a guess").first.wait_for()
        page.get_by_text("The scan", exact=True).first.wait_for()
        page.screenshot(path=tmp_path / "mirador.png")
        assert problems == []
