"""The exception tree and the codes under which an image can fail.

Every error that a user can cause carries one line that says what is wrong and what to do. The jobs print that
line and exit with the class's `exit_status`; a traceback therefore always means a defect of ours.
"""

from __future__ import annotations

import re
from enum import StrEnum

EXIT_DONE = 0
EXIT_UNFINISHED = 1
EXIT_USAGE = 2
EXIT_FAILED_IMAGES = 3
EXIT_TOO_MANY_FAILED = 4


#: What stands in place of a secret.
HIDDEN = "***"
_IN_URLS = (
    (re.compile(r"(\w://)[^/\s'\"]*@"), rf"\1{HIDDEN}@"),  # scheme://user:password@host
    (
        re.compile(r"(?i)((?:signature|credential|token|secret|password|apikey|sig)=)[^&\s'\"]+"),
        rf"\1{HIDDEN}",
    ),
)


def without_secrets(text: str) -> str:
    """The text without credentials in URLs: what comes before the host, and the values of signed queries."""
    for pattern, instead in _IN_URLS:
        text = pattern.sub(instead, text)
    return text


class FiatColorError(Exception):
    """Base of all errors this project raises on purpose; `str(error)` is one line for the user.

    It goes to logs, ledgers, reports and webhooks, so credentials in URLs are left out of it.
    """

    exit_status = EXIT_UNFINISHED

    def __init__(self, *args: object) -> None:
        super().__init__(*(without_secrets(each) if isinstance(each, str) else each for each in args))


class ConfigError(FiatColorError):
    """A bad argument, configuration key or value: names the key, the value and what is allowed."""

    exit_status = EXIT_USAGE


class WeightsError(ConfigError):
    """Weights that are missing, of the wrong method, damaged, or not of the digest that was asked for."""


class StorageError(FiatColorError):
    """A folder or bucket that cannot be listed, read or written, after the retries that made sense."""


class ObjectMissing(StorageError):
    """The object is not there (any more)."""


class AccessDenied(StorageError):
    """The store refuses these credentials for this object or bucket; never retried."""


class CredentialsRefused(StorageError):
    """The store refuses the credentials themselves, or there are none: no object can be had with them."""


class CredentialsMissing(CredentialsRefused):
    """This process has no credentials: it has to be given some before anything can begin."""

    exit_status = EXIT_USAGE


class ObjectArchived(AccessDenied):
    """The object is in an archive storage class, and nothing of it can be read before it is restored."""


class AlreadyExists(StorageError):
    """A conditional put lost: another attempt has written the object. Not an error for a commit."""


class ObjectChanged(StorageError):
    """The object is no longer the version (ETag) that was asked for."""


class ObjectDamaged(StorageError):
    """What comes of the object is not what the store took in, however often it is read."""


class DamagedLedgerPart(StorageError):
    """A ledger part whose bytes are not those of a ledger part; its images count as not done without it."""


class BadKey(StorageError):
    """A key that not every store can hold: "..", empty parts, too long, a file where a folder is needed."""


class RunError(FiatColorError):
    """The run cannot go on (workers lost too often, no progress); what is committed stays, run it again."""


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


#: Where the storage was at fault and not the image: the next run tries these again, without being asked.
STORAGE_FAILED = (FailureCode.SOURCE_DENIED, FailureCode.SOURCE_DAMAGED)


class ImageFailure(FiatColorError):
    """One image cannot be coloured: becomes a ledger row with this code and message, never a failed job."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __reduce__(self) -> tuple[type[ImageFailure], tuple[FailureCode, str]]:
        return type(self), (self.code, self.message)
