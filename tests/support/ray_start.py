"""Ray's command line, for nodes whose jobs may have forked workers."""

from __future__ import annotations

from ray.scripts.scripts import main

from tests.support.worker_client import lend

if __name__ == "__main__":
    lend()
    main()
