"""Process one shard in one process, without Ray: fetch, decode, predict, compose, put, commit."""
