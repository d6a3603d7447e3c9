"""The decoder's child: every worker pays for what it loads, in memory and at each restart."""

from __future__ import annotations

import subprocess
import sys

_LIGHT = """
import sys
import pipeline.codecs.isolated.child
print(*sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)))
"""


def test_the_child_loads_no_heavy_library() -> None:
    done = subprocess.run([sys.executable, "-c", _LIGHT], capture_output=True, text=True, check=True)
    assert {"numpy", "PIL", "pipeline"} <= set(done.stdout.split())
    assert not {"pyarrow", "numba", "scipy", "torch", "imagecodecs", "pydantic"} & set(done.stdout.split())
