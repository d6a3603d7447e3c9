"""Filter one useless line from what Ray's core prints on stderr at its start."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_NOTICE = b"Set ray log level from environment variable"


@contextmanager
def without_level_notice() -> Iterator[None]:
    """Hold back stderr, of C++ too, and print it at the end without Ray's line on its log level."""
    sys.stderr.flush()
    own = os.dup(2)
    with tempfile.TemporaryFile() as output:
        os.dup2(output.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(own, 2)
            os.close(own)
            output.seek(0)
            os.write(2, b"".join(line for line in output if _NOTICE not in line))
