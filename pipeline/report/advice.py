"""All advice: what a person can do about each failure code, and what each exit status means.

`python -m pipeline.report.advice_table` generates the two tables of docs/troubleshooting.md from it.
"""

from __future__ import annotations

from pipeline.errors import (
    EXIT_DONE,
    EXIT_FAILED_IMAGES,
    EXIT_TOO_MANY_FAILED,
    EXIT_UNFINISHED,
    EXIT_USAGE,
    FailureCode,
)

ADVICE: dict[str, str] = {
    FailureCode.NOT_AN_IMAGE: "It has an image's name, but is not an image: fix it, or leave it out with "
    "--set 'plan.exclude=[\"NAME\"]'.",
    FailureCode.UNSUPPORTED: "Convert it to TIFF or PNG; both keep 16 bits.",
    FailureCode.CORRUPT: "The file is damaged: restore it from a backup or scan it again.",
    FailureCode.TRUNCATED: "The file ends too early: copy it again.",
    FailureCode.TOO_LARGE: "Raise limits.pixels (and limits.memory) if the image really is this large.",
    FailureCode.OUT_OF_MEMORY: "Raise limits.memory, or use fewer run.workers on this machine.",
    FailureCode.TIMEOUT: "Raise limits.seconds if the file is worth the wait.",
    FailureCode.DECODER_CRASHED: "The file crashes the decoder: convert it with other software first.",
    FailureCode.SOURCE_MISSING: "It was deleted or renamed during the run: run again.",
    FailureCode.SOURCE_DENIED: "Make the file readable, or give the job's credentials read access; the next "
    "run retries it.",
    FailureCode.SOURCE_CHANGED: "It was replaced during the run: run again.",
    FailureCode.SOURCE_DAMAGED: "The storage returns wrong bytes: check it; the next run retries the file.",
    FailureCode.GUIDE_INVALID: "Its guide is damaged, empty or does not fit the image: see docs/guided.md.",
    FailureCode.BAD_KEY: "Rename the file: an output file cannot have its name.",
    FailureCode.OUTPUT_COLLISION: "Two sources would have the same output name: rename one.",
    FailureCode.ENCODE_FAILED: "The output format cannot hold it: choose another output.format.",
    FailureCode.WORKER_LOST: "Its worker died, often for lack of memory: use fewer run.workers, and set "
    "plan.retry_failed=true.",
    FailureCode.INTERNAL_ERROR: "A bug in Fiat Color: report it, with the file if you may share it.",
}

EXIT_MEANING = {
    EXIT_DONE: "everything is done",
    EXIT_UNFINISHED: "the run did not finish (storage, cluster or interruption); what is in the ledger "
    "stays; fix what the last line reports, and run the same command again",
    EXIT_USAGE: "bad usage or configuration; nothing was started",
    EXIT_FAILED_IMAGES: "finished, but some images failed",
    EXIT_TOO_MANY_FAILED: "finished, but a larger share of images failed than run.max_failed allows",
}
