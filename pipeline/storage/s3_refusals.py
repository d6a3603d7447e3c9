"""Translate botocore's errors, a server's refusals first of all, into messages for the user."""

from __future__ import annotations

import platform

from botocore import exceptions as aws

from pipeline.errors import (
    AccessDenied,
    BadKey,
    ConfigError,
    CredentialsMissing,
    CredentialsRefused,
    FiatColorError,
    ObjectArchived,
    ObjectChanged,
    ObjectMissing,
    StorageError,
)
from pipeline.storage.s3_client import one_line

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


def translated(
    error: aws.ClientError | aws.BotoCoreError, action: str, bucket: str, name: str
) -> FiatColorError:
    """An error of botocore as ours: of a server that refuses, of credentials, of a connection.

    Args:
        action: what was tried, for the message: "cannot {action} {name}".
        name: the printable URI of the object or prefix.
    """
    if isinstance(error, aws.ClientError):
        return refused(error, action, bucket, name)
    if isinstance(error, aws.NoCredentialsError | aws.PartialCredentialsError | aws.CredentialRetrievalError):
        # a role's credentials come and go; credentials that nobody set are missing from the start
        none_there = not isinstance(error, aws.CredentialRetrievalError)
        return (CredentialsMissing if none_there else CredentialsRefused)(
            f"cannot {action} {name}: {one_line(error)}; "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or an instance role"
        )
    if isinstance(error, aws.ParamValidationError):
        return BadKey(f"cannot {action} {name}: {one_line(error)}")
    if isinstance(error, aws.ConnectionError | aws.HTTPClientError):
        answered = isinstance(error, aws.ConnectionClosedError | aws.ReadTimeoutError)
        return (Busy if answered else StorageError)(
            f"cannot reach the S3 server for {name}: {one_line(error)}; "
            "check storage.endpoint and the network, and run the same command again"
        )
    return StorageError(f"cannot {action} {name}: {one_line(error)}")


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
