"""One shard in one process: fetch, decode, predict, compose, put, commit. Plain Python without Ray."""
