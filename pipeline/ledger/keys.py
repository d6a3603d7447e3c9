"""All keys below OUT, the output of colouring runs.

    images/<source key>[.<suffix>]             colour images; pipeline.plan.outputs has the rule for the name
    images/<source key>/page-0001.<suffix>     colour images of the pages of a TIFF, where each is a file
    derivatives/<the same>[.<suffix>]          second files, for access
    ledger/<job digest>/part-<shard id>.parquet
    ledger/<job digest>/part-merged-<time>-<digest>.parquet   the rows of many parts (pipeline.ledger.merge)
    runs/<run id>/plan/shards.parquet
    runs/<run id>/config.yaml                  the effective configuration
    runs/<run id>/start.json                   how and when it began, for a later run that closes it
    runs/<run id>/ledger.parquet               the compacted ledger, for people
    runs/<run id>/summary.json                 written last: the run has finished
    runs/<run id>/report/index.html, contact-sheet.png
    runs/<run id>/doubt/<shard id>.parquet     where the network was unsure (pipeline.ledger.doubt_maps)
    runs/<time>-verify/findings.parquet, summary.json
    lease/at-work-<number>.json                the lease of the run that is at work, or of the last one
    gallery/index.html                         all images in one page, with the files that it reads below it
    gallery/thumbs/<side>/<2 digits>/<name>.jpg   thumbnails; the name is of the SHA-256 of what one shows
    decisions/<time>-<id>.json                 what a person decided about one image; never changed
    decisions/cache.parquet                    a copy of them, to be read faster

Folders end in "/". A function whose arguments are "*" gives a glob pattern.
"""

from __future__ import annotations

IMAGES = "images/"
DERIVATIVES = "derivatives/"
LEDGER = "ledger/"
RUNS = "runs/"
LEASE = "lease/"
GALLERY = "gallery/"
THUMBNAILS = f"{GALLERY}thumbs/"
DECISIONS = "decisions/"
#: Folders that hold only files named by a ledger.
DELIVERED = (IMAGES, DERIVATIVES)
#: Folders in which only colouring runs may write.
RESERVED = (*DELIVERED, LEDGER)
#: Names of files in the folder of a run or of a verification.
SUMMARY, FINDINGS = "summary.json", "findings.parquet"

_PART_SUFFIX = ".parquet"
_DOUBT = "doubt/"


def ledger_folder(job_digest: str) -> str:
    """The folder of the ledger parts of a job digest."""
    return f"{LEDGER}{job_digest}/"


def part_key(job_digest: str, shard_id: str) -> str:
    """The key of the ledger part of a shard."""
    return f"{ledger_folder(job_digest)}part-{shard_id}{_PART_SUFFIX}"


def merged_key(job_digest: str, time: str, digest: str) -> str:
    """The key of a merged part."""
    return part_key(job_digest, f"merged-{time}-{digest}")


def is_part(key: str) -> bool:
    """Whether a key in the ledger's folder is a ledger part; other objects are left alone."""
    return key.endswith(_PART_SUFFIX)


def job_digest_of(part: str) -> str:
    """The job digest in the key of a ledger part."""
    return part.removeprefix(LEDGER).partition("/")[0]


def run_folder(run_id: str) -> str:
    """The folder for what a run or a verification writes besides images and ledger."""
    return f"{RUNS}{run_id}/"


def run_id_of(key: str) -> str | None:
    """The run whose folder contains a key; None if no run's folder does."""
    run_id, slash, _ = key.removeprefix(RUNS).partition("/")
    return run_id if slash and key.startswith(RUNS) else None


def plan_key(run_id: str) -> str:
    """The shards of the run's plan."""
    return f"{run_folder(run_id)}plan/shards.parquet"


def config_key(run_id: str) -> str:
    """The run's effective configuration."""
    return f"{run_folder(run_id)}config.yaml"


def start_key(run_id: str) -> str:
    """What the run records about itself when its workers are ready."""
    return f"{run_folder(run_id)}start.json"


def compacted_key(run_id: str) -> str:
    """The compact ledger of the run's job digest."""
    return f"{run_folder(run_id)}ledger.parquet"


def doubt_maps_key(run_id: str, shard_id: str) -> str:
    """Where the network was unsure, in the results of a shard."""
    return f"{run_folder(run_id)}{_DOUBT}{shard_id}{_PART_SUFFIX}"


def is_doubt_maps(key: str) -> bool:
    """Whether a key below a run's folder is one of `doubt_maps_key`."""
    return key.partition("/")[2].partition("/")[2].startswith(_DOUBT) and key.endswith(_PART_SUFFIX)


def summary_key(run_id: str) -> str:
    """The run's summary; a run without one has not finished."""
    return run_folder(run_id) + SUMMARY


def page_key(run_id: str) -> str:
    """The report of the run as an HTML page."""
    return f"{run_folder(run_id)}report/index.html"


def sheet_key(run_id: str) -> str:
    """The contact sheet, beside the page."""
    return f"{run_folder(run_id)}report/contact-sheet.png"


def thumbnail_key(side: int, name: str) -> str:
    """The key of a gallery thumbnail with this longest side (pixels), named after the file that it shows."""
    return f"{THUMBNAILS}{side}/{name[:2]}/{name}.jpg"


def thumbnail_name(sha256: str) -> str:
    """The name of the thumbnail of a file with this SHA-256: 32 hex digits."""
    return sha256[:32]
