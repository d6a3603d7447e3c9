"""A whole export: the rows that count, their objects, and the document. `commands/export.py` calls it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.cli import log
from pipeline.cli.counts import counted
from pipeline.cli.progress import Reporter
from pipeline.config.job import JobConfig
from pipeline.errors import EXIT_DONE, EXIT_FINDINGS, ConfigError, FiatColorError
from pipeline.export.bag import finish_bag, fits_manifest, hidden_folder, pack
from pipeline.export.bag_metadata import bag_info, describe, parse_labels
from pipeline.export.csv_table import write_csv
from pipeline.export.iiif_folder import refuse_taken, write_manifests
from pipeline.export.iiif_places import IiifPlaces
from pipeline.export.objects import DeliveredObjects, find_objects, with_fit_names
from pipeline.export.premis import write_premis
from pipeline.export.refusal import findings_text, write_findings
from pipeline.export.target import Target, open_target, refuse_occupied
from pipeline.ledger.stream import LedgerParts, newest_images, open_ledger
from pipeline.storage import Store, open_store
from pipeline.storage.base import printable

FORMATS = ("csv", "premis", "bagit", "iiif")


@dataclass(frozen=True)
class ExportRequest:
    """The command line of an export; `format`: one of FORMATS. `prefix`: put before each key in PREMIS.

    `bag_info`: LABEL=VALUE for bag-info.txt. `iiif`, `label`: addresses and name of the collection; by
    default the name of the output.
    """

    output: str
    format: str
    to: str
    config: JobConfig
    prefix: str = ""
    bag_info: tuple[str, ...] = ()
    iiif: IiifPlaces = field(default_factory=IiifPlaces)
    label: str | None = None


def run_export(request: ExportRequest) -> int:
    """Export the ledger below `output` to `to`; only reads the output.

    Returns:
        0: exported. 3: objects differ from the ledger, and only a list of them was written; or a bag was
        written without files whose names no manifest can hold, and with a list of these.

    Raises:
        FiatColorError: with the exit status of its class; nothing was written.
    """
    try:
        return _export(request)
    except KeyboardInterrupt:
        raise FiatColorError("interrupted; nothing was exported: run it again") from None


def _export(request: ExportRequest) -> int:
    started = time.monotonic()
    if request.format == "iiif":
        request.iiif.check()
    out = open_store(request.output, request.config.storage)
    out.check_readable()
    target = open_target(request.to, request.config.storage)
    if request.format == "bagit" and target.path is None:
        raise ConfigError(
            f"a bag must be a local folder, and {target.uri} is not; give a local --to and upload it later"
        )
    refuse_occupied(out, target)
    parts = open_ledger(out)
    formats = {"csv": _csv, "premis": _premis, "bagit": _bagit, "iiif": _iiif}
    return formats[request.format](request, parts, target, started)


def _csv(request: ExportRequest, parts: LedgerParts, target: Target, started: float) -> int:
    images = newest_images(parts)
    with target.create("text/csv") as file, _reporter(images.num_rows, "rows") as reporter:
        rows = write_csv(parts, images, file, lambda count: reporter.show(count, 0))
    return _done(counted(rows, "row"), target, started)


def _premis(request: ExportRequest, parts: LedgerParts, target: Target, started: float) -> int:
    objects = find_objects(parts)
    if objects.findings.num_rows:
        return _refused(objects.findings, target, request.config)
    _require_images(request, objects)
    total = objects.present.num_rows
    with target.create("application/xml") as file, _reporter(total, "files") as reporter:
        written = write_premis(
            parts, objects.present, file, lambda count: reporter.show(count, 0), request.prefix
        )
    return _done(counted(written, "file"), target, started)


def _iiif(request: ExportRequest, parts: LedgerParts, target: Target, started: float) -> int:
    """A local folder gets its final name last; in a bucket the collection is written last."""
    objects = find_objects(parts)
    if objects.findings.num_rows:
        return _refused(objects.findings, target, request.config)
    _require_images(request, objects)

    def write(to: Store) -> int:
        label = request.label or parts.out.uri.rstrip("/").rpartition("/")[2]
        threads = request.config.run.threads
        with _reporter(objects.present.num_rows, "files") as reporter:
            return write_manifests(
                parts,
                objects.present,
                to,
                request.iiif,
                threads,
                label,
                lambda count: reporter.show(count, 0),
            )

    if target.path is None:
        to = open_store(target.uri, request.config.storage)
        refuse_taken(to)
        written = write(to)
    else:
        with hidden_folder(target.path, "manifests") as folder:
            written = write(open_store(str(folder), request.config.storage))
            folder.rename(target.path)
    return _done(f"{counted(written, 'manifest')} and their collection", target, started)


def _bagit(request: ExportRequest, parts: LedgerParts, target: Target, started: float) -> int:
    assert target.path is not None
    labels = parse_labels(request.bag_info)
    objects = find_objects(parts)
    _require_images(request, objects)
    objects, unfit = with_fit_names(objects, fits_manifest)
    total, threads = objects.present.num_rows, request.config.run.threads
    with hidden_folder(target.path) as bag:
        with Reporter(total, words=("copying", "files", "findings")) as reporter:
            payload = pack(parts.out, objects.present, bag, threads, reporter.show)
        findings = pa.concat_tables([objects.findings, payload.findings])
        if findings.num_rows or not total:
            return _refused(pa.concat_tables([findings, unfit]), target, request.config)
        describe(parts, objects.present, bag)
        log.say("check", "reading the bag again", stderr=True)
        finish_bag(bag, target.path, [*bag_info(request.output, payload), *labels])
    if objects.unexpected:
        left_out = counted(objects.unexpected, "file")
        log.say("unexpected", f"omitted {left_out} that no ledger part names (see docs/verify.md)")
    if objects.superseded:
        left_out = counted(objects.superseded, "file")
        log.say("superseded", f"omitted {left_out} of superseded results (fiat-color prune lists them)")
    _done(f"a bag of {counted(payload.objects, 'file')}, {payload.bytes / 1e6:,.1f} MB,", target, started)
    return _left_out(unfit, target, request.config) if unfit.num_rows else EXIT_DONE


def _left_out(unfit: pa.Table, target: Target, config: JobConfig) -> int:
    """Report the objects that the finished bag lacks."""
    report = write_findings(unfit, target, config.storage)
    count, first = unfit.num_rows, printable(unfit["key"][0].as_py())
    lacks = f"{counted(count, 'file')} whose names a manifest cannot hold"
    message = f"the bag lacks {lacks}, {first} the first of them"
    log.say("left_out", f"{message}: {report.uri} names them", level="warning", exit_status=EXIT_FINDINGS)
    return EXIT_FINDINGS


def _require_images(request: ExportRequest, objects: DeliveredObjects) -> None:
    if not objects.present.num_rows and not objects.findings.num_rows:
        raise ConfigError(f"{request.output} has no coloured images, so there is nothing to export")


def _refused(findings: pa.Table, target: Target, config: JobConfig) -> int:
    report = write_findings(findings, target, config.storage)
    message = f"{counted(findings.num_rows, 'finding')}; nothing was exported"
    for row in findings.sort_by("key").to_pylist() if log.is_json() else ():
        log.detail("finding", row["message"], level="warning", key=row["key"], finding=row["finding"])
    log.say("summary", message, text=findings_text(findings, report), exit_status=EXIT_FINDINGS)
    return EXIT_FINDINGS


def _done(what: str, target: Target, started: float) -> int:
    log.say("summary", f"exported {what} to {target.uri} in {time.monotonic() - started:.1f} s")
    return EXIT_DONE


def _reporter(total: int, things: str) -> Reporter:
    return Reporter(total, words=("writing", things, "findings"))
