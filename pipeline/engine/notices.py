"""What Ray's core prints on stderr as it starts, less the one line that nobody needs."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_NOTICE = b"Set ray log level from environment variable"


@contextmanager
def without_level_notice() -> Iterator[None]:
    """Hold back stderr, of C++ too, and give it back at the end without Ray's word that it read its level."""
    sys.stderr.flush()
    own = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(own, 2)
            os.close(own)
            held.seek(0)
            os.write(2, b"".join(line for line in held if _NOTICE not in line))
