"""Whole runs: `colorize` and `verify`, as the commands of the same names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

    from pipeline.config.job import JobConfig

Place = str | PathLike[str]
"""A folder, a file, or `s3://bucket/prefix`."""


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        exit_status: 0 all is done; 3 some images failed; 4 more of them than run.max_failed allows.
        message: that in one line.
        counts: rows of this run by status, such as "colorized" and "failed"; empty where nothing was to do.
        record: all of summary.json; None where nothing was to do.
    """

    exit_status: int
    message: str
    counts: dict[str, int]
    record: dict[str, Any] | None


def colorize(
    input: Place | Sequence[Place],
    output: Place,
    *,
    weights: str | None = None,
    method: str | None = None,
    guides: str | None = None,
    keys: str | Sequence[str] | None = None,
    limit: int | None = None,
    recolor: Literal["changed-model", "changed-settings"] | None = None,
    config: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Summary:
    """Colour what is not done yet of a folder, a bucket or single photographs; the input is only read.

    It prints its progress. It starts processes of its own, for many images a Ray, or joins the cluster that
    RAY_ADDRESS names.

    Args:
        input: one folder or `s3://bucket/prefix`, or photographs.
        weights: name of weights that ship, path or URI; None: "faithful".
        method: a colouring method; None: that of the weights.
        guides: path or URI of a table of guides.
        keys: the only keys to colour, or a file with one a line.
        limit: work on the first so many that are not done.
        recolor: whether what another model coloured is coloured again.
        config: a YAML file or the name of a shipped one, such as "archive-scan".
        settings: more values, such as {"output.format": "tiff", "output.quality": 95}.

    Raises:
        pipeline.errors.ConfigError: an argument is wrong; nothing was started.
        pipeline.errors.FiatColorError: the run did not finish; the same call goes on where it stopped.
    """
    from pipeline.run.start import request_of, run_to_its_end

    chosen: dict[str, Any] = {
        "model.weights": weights, "model.method": method, "guides.file": guides, "plan.limit": limit,
        "plan.keys": keys if keys is None or isinstance(keys, str) else list(keys), "plan.recolor": recolor,
    }  # fmt: skip
    loaded = _loaded(config, {key: value for key, value in chosen.items() if value is not None}, settings)
    places = [input] if isinstance(input, str | PathLike) else input
    outcome = run_to_its_end(request_of([fspath(place) for place in places], fspath(output), loaded))
    summary = outcome.summary
    record = None if summary is None else summary.model_dump(mode="json")
    counts = {} if summary is None else dict(summary.counts)
    return Summary(outcome.exit_status, outcome.message, counts, record)


@dataclass(frozen=True)
class Verification:
    """What a verification found out.

    Attributes:
        ok: whether every delivered file is as the ledger says.
        findings: one row for each that is not, with the columns of findings.parquet.
        report: the folder of findings.parquet and summary.json.
    """

    ok: bool
    findings: pa.Table
    report: str


def verify(
    output: Place,
    input: Place | None = None,
    *,
    config: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Verification:
    """Compare every delivered image with the SHA-256 in the ledger; with `input` every source, too.

    Raises:
        pipeline.errors.ConfigError: an argument is wrong, or there is no ledger.
        pipeline.errors.FiatColorError: it did not finish, and nothing is known.
    """
    import pyarrow.parquet as pq

    from pipeline.cli.run_id import make_run_id
    from pipeline.ledger.keys import FINDINGS, run_folder
    from pipeline.storage import open_store
    from pipeline.verify.verification import VerifyRequest, run_verify

    loaded, out = _loaded(config, {}, settings), fspath(output)
    report = f"{out.rstrip('/')}/{run_folder(make_run_id('verify'))}".rstrip("/")
    source = None if input is None else fspath(input)
    status = run_verify(VerifyRequest(out, loaded, source, report))
    data = open_store(report, loaded.storage).get(FINDINGS).data
    return Verification(status == 0, pq.read_table(_buffer(data)), report)


def _buffer(data: bytes) -> Any:
    import pyarrow as pa

    return pa.BufferReader(data)


def _loaded(config: str | None, chosen: Mapping[str, Any], settings: Mapping[str, Any] | None) -> JobConfig:
    """The configuration of a job. Raises ConfigError for an unknown key, a bad value, and no such file."""
    from argparse import ArgumentTypeError

    from pipeline.cli.shipped import shipped_config
    from pipeline.config.job import JobConfig
    from pipeline.config.loading import load
    from pipeline.errors import ConfigError

    values = {**(settings or {}), **chosen}
    try:
        file = None if config is None else shipped_config("colorize", config)
        return load(JobConfig, file, [f"{key}={json.dumps(value)}" for key, value in values.items()])
    except (ArgumentTypeError, TypeError) as error:  # TypeError: a value that JSON does not know
        raise ConfigError(str(error)) from None
