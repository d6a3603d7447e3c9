"""The graph that the job is measured with, and the loop it is compared with, on a small graph."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipeline import IMPORT_ROOT
from pipeline.benchmark.onnx_loop import color_in_a_loop, color_in_a_worker, write_heavy
from pipeline.benchmark.sample_photographs import photographs
from pipeline.models.methods.onnx.weights import read_onnx


@pytest.mark.slow
def test_the_graph_is_one_that_the_job_takes_and_the_loop_colours_with_it(tmp_path: Path) -> None:
    graph = tmp_path / "heavy.onnx"
    small = ((4, 4, 1), (8, 2, 1))
    assert write_heavy(graph, small) == 3 * 4 * 16 + 4 * 4 * 9 + 4 * 8 * 4 + 8 * 8 * 9 + 8 * 2 + 4
    assert 1 < read_onnx(str(graph)).probe().mean_chroma < 50
    source = photographs(IMPORT_ROOT / "tests" / "photos", tmp_path / "photographs", "512", 2)
    report = color_in_a_loop(graph, source, tmp_path / "out")
    assert 0 < report["graph"] < report["loop"]
    assert report["cpu"] > 0
    assert color_in_a_worker(graph, source, tmp_path / "job")["cpu"] > 0
    assert len(list((tmp_path / "job" / "images").iterdir())) == 2
    for file in sorted(source.iterdir()):
        with Image.open(tmp_path / "out" / file.name) as colored:
            assert (colored.mode, colored.size) == ("RGB", (512, 512))
