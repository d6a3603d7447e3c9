"""The exception classes, and the codes with which an image can fail.

Every error that a user can cause carries one line that says what is wrong and what to do. The jobs print that
line and exit with the class's `exit_status`, so a traceback always means a bug of ours.
"""

from __future__ import annotations

import re
from enum import StrEnum

EXIT_DONE = 0
EXIT_UNFINISHED = 1
EXIT_USAGE = 2
EXIT_FAILED_IMAGES = 3
EXIT_FINDINGS = 3  # of verify and export: something is wrong with the files
EXIT_TOO_MANY_FAILED = 4


#: Replaces a secret in messages.
HIDDEN = "***"
_IN_URLS = (
    (re.compile(r"(\w://)[^/\s'\"]*@"), rf"\1{HIDDEN}@"),  # scheme://user:password@host
    (
        re.compile(r"(?i)((?:signature|credential|token|secret|password|apikey|sig)=)[^&\s'\"]+"),
        rf"\1{HIDDEN}",
    ),
)


def without_secrets(text: str) -> str:
    """Hide the credentials in URLs: user and password before the host, and the values in signed queries."""
    for pattern, instead in _IN_URLS:
        text = pattern.sub(instead, text)
    return text


class FiatColorError(Exception):
    """Base of all errors this project raises on purpose; `str(error)` is one line for the user.

    The line goes to logs, ledgers, reports and webhooks, so it hides credentials in URLs.
    """

    exit_status = EXIT_UNFINISHED

    def __init__(self, *args: object) -> None:
        super().__init__(*(without_secrets(each) if isinstance(each, str) else each for each in args))


class ConfigError(FiatColorError):
    """A bad argument, configuration key or value: names the key, the value and what is allowed."""

    exit_status = EXIT_USAGE


class WeightsError(ConfigError):
    """Weights that are missing, damaged, for the wrong method, or do not have the requested digest."""


class StorageError(FiatColorError):
    """A folder or bucket cannot be listed, read or written, even after retries."""


class ObjectMissing(StorageError):
    """The object does not exist, or no longer exists."""


class AccessDenied(StorageError):
    """The store refuses these credentials for this object or bucket; never retried."""


class CredentialsRefused(StorageError):
    """The store refuses the credentials, or there are none, so no object can be read or written."""


class CredentialsMissing(CredentialsRefused):
    """This process has no credentials. The user must provide some before any work can start."""

    exit_status = EXIT_USAGE


class ObjectArchived(AccessDenied):
    """The object is in an archive storage class and must be restored before it can be read."""


class AlreadyExists(StorageError):
    """A conditional put failed: another attempt has written the object. For a commit this is no error."""


class ObjectChanged(StorageError):
    """The object is no longer the requested version (ETag)."""


class ObjectDamaged(StorageError):
    """The store returns other bytes than it accepted, even after several reads."""


class DamagedLedgerPart(StorageError):
    """A ledger part is damaged. Without it, its images count as not done."""


class BadKey(StorageError):
    """A key that not every store can hold: "..", empty parts, too long, a file where a folder is needed."""


class RunError(FiatColorError):
    """The run cannot continue (too many lost workers, no progress). Committed work stays; run it again."""


class FailureCode(StrEnum):
    """Why an image has no colour result. docs/troubleshooting.md has a line for each."""

    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED = "unsupported"
    CORRUPT = "corrupt"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    DECODER_CRASHED = "decoder_crashed"
    SOURCE_MISSING = "source_missing"
    SOURCE_DENIED = "source_denied"
    SOURCE_CHANGED = "source_changed"
    SOURCE_DAMAGED = "source_damaged"
    GUIDE_INVALID = "guide_invalid"
    BAD_KEY = "bad_key"
    OUTPUT_COLLISION = "output_collision"
    ENCODE_FAILED = "encode_failed"
    WORKER_LOST = "worker_lost"
    INTERNAL_ERROR = "internal_error"


#: Failures that the storage caused, not the image. The next run retries these images by itself.
STORAGE_FAILED = (FailureCode.SOURCE_DENIED, FailureCode.SOURCE_DAMAGED)


class ImageFailure(FiatColorError):
    """One image cannot be coloured. It becomes a ledger row with this code and message; the job goes on."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[ImageFailure], tuple[FailureCode, str]]:
        return type(self), (self.code, self.message)
