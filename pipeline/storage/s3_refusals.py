"""Translate a server's refusals into messages for the user."""

from __future__ import annotations

import platform

from botocore import exceptions as aws

from pipeline.errors import (
    AccessDenied,
    BadKey,
    ConfigError,
    CredentialsRefused,
    ObjectArchived,
    ObjectChanged,
    ObjectMissing,
    StorageError,
)

#: The server did not receive the bytes that were sent: checksum or signature differ.
_OTHER_BYTES = {"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidDigest"}

#: Wrong or expired credentials; a policy that denies one object has another code.
_CREDENTIALS = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidToken",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
_BUSY = {"RequestTimeout", "RequestTimeoutException", "SlowDown", "Throttling", "ThrottlingException"}
_GOES_ON = "run the same command again to continue"


class Busy(StorageError):
    """The server is reachable but busy or has an internal error: worth all retries of a run."""


class Conflict(StorageError):
    """409: neither done nor finally refused; a conditional put retries."""

    retried = False


class PreconditionFailed(ObjectChanged):
    """412: the condition of the request does not hold."""

    retried = False
    """For both: the client had sent the request before without an answer, so it may have succeeded."""


class UploadGone(StorageError):
    """The server has no such multipart upload: it was completed (but the answer lost) or aborted."""


class ArrivedDamaged(StorageError):
    """The server refuses the bytes of a put because they are not those that were sent. Nothing is stored."""


def refused(error: aws.ClientError, action: str, bucket: str, name: str) -> StorageError | ConfigError:
    """The error for a refused request to `action` the object `name`."""
    answer = error.response.get("Error", {})
    code = str(answer.get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchBucket":
        return ConfigError(f"there is no bucket {bucket!r}; check its name and the endpoint, or create it")
    if status in (409, 412):
        words = f"another request is changing {name} ({code})"
        unmet = f"{name} is not the requested version"
        conflict = Conflict(words) if status == 409 else PreconditionFailed(unmet)
        conflict.retried = error.response["ResponseMetadata"].get("RetryAttempts", 0) > 0
        return conflict
    if code == "NoSuchUpload":
        return UploadGone(f"the upload of {name} was lost")
    if status == 404:
        return ObjectMissing(f"{name} does not exist")
    if code == "InvalidObjectState":
        return ObjectArchived(f"{name} is archived in a Glacier class and cannot be read; restore it")
    if status == 401 or code in _CREDENTIALS:
        return CredentialsRefused(
            f"the S3 server refuses the credentials for {name} ({code}): renew them; {_GOES_ON}"
        )
    if code in _CLOCK:
        return CredentialsRefused(
            f"the S3 server refuses the request for {name} ({code}): the clock of {platform.node()} is "
            f"wrong; set it by NTP; {_GOES_ON}"
        )
    if status == 403:
        return AccessDenied(f"not allowed to {action} {name} ({code}); check the credentials and policy")
    if status == 301 or code in ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
        return ConfigError(f"the bucket {bucket!r} is in another region ({code}); set storage.region")
    if code.startswith("KMS."):
        return AccessDenied(
            f"not allowed to {action} {name}: its KMS key refuses ({code}); give the job kms:Decrypt and "
            "kms:GenerateDataKey for it"
        )
    if code in ("KeyTooLongError", "InvalidObjectName", "InvalidURI"):
        return BadKey(f"{name[:80]}... cannot be a key on this server ({code})")
    text = f"cannot {action} {name}: {code} {answer.get('Message') or ''} (HTTP {status})"
    if status >= 500 or status == 429 or code in _BUSY:
        return Busy(f"{text}; run the same command again when the server has recovered")
    return ArrivedDamaged(text) if code in _OTHER_BYTES else StorageError(text)
