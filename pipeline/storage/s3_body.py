"""Read the bodies of S3's answers, and check that they are the bytes that were stored.

A whole object is checked by its length, by the checksum that the answer states (botocore does that, for
CRC-32, SHA-1 and SHA-256 over the whole object), and by its ETag where that is the MD5 of the object: 32 hex
digits, and not encrypted with keys of KMS or of the customer (Amazon S3 API Reference, "Object", ETag). The
ETag of an object of several parts is checked, too, if the parts have the same size
(`pipeline.storage.s3_parts`). For a range only the length can be checked, unless the range is the whole
object.
"""

from __future__ import annotations

import hashlib
import re
from mmap import mmap
from typing import Any

import urllib3.exceptions
from botocore import exceptions as aws

from pipeline.storage.base import OTHER_PARTS, GetResult, wrong_md5
from pipeline.storage.s3_client import one_line
from pipeline.storage.s3_parts import differs

_MD5 = re.compile(r"[0-9a-f]{32}")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class BrokenBody(Exception):
    """The answer started well and was then interrupted; botocore retries only earlier failures."""


class WrongBody(BrokenBody):
    """A complete answer that is not the object."""


def fetch(client: Any, query: dict[str, Any], wanted: int | None, verify: bool) -> GetResult:
    """One GET.

    Args:
        wanted: number of bytes expected; None: unknown.
        verify: whether checksums are compared.

    Raises:
        BrokenBody: the body was interrupted or is wrong. Others as boto3.
    """
    whole = "Range" not in query
    try:
        answer = client.get_object(**query, **({"ChecksumMode": "ENABLED"} if whole and verify else {}))
    except aws.ClientError as error:
        # a range of an empty object, or one that starts after the end, is invalid
        if error.response.get("Error", {}).get("Code") != "InvalidRange":
            raise
        head = client.head_object(**{k: v for k, v in query.items() if k != "Range"})
        return GetResult(
            b"", head["ETag"].strip('"'), head.get("ContentType"), _md5_of(head) if verify else None
        )
    stated = _RANGE.fullmatch(answer.get("ContentRange", ""))
    if stated:
        first, last, total = map(int, stated.groups())
        whole, wanted = last - first + 1 == total, last - first + 1 if wanted is None else wanted
    _check_length(answer.get("ContentLength", wanted), wanted)
    try:
        data = answer["Body"].read()
    except aws.FlexibleChecksumError as error:
        raise WrongBody(one_line(error)) from None
    except (aws.BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
        raise BrokenBody(one_line(error)) from None
    _check_length(len(data), wanted)
    if whole and verify:
        check_md5(data, answer)
        plain = {k: v for k, v in query.items() if k != "Range"}
        if _encrypted_by_server_alone(answer) and differs(client, plain, data, answer["ETag"].strip('"')):
            raise WrongBody(OTHER_PARTS)
    return GetResult(
        data, answer["ETag"].strip('"'), answer.get("ContentType"), _md5_of(answer) if verify else None
    )


def fits_parts(client: Any, query: dict[str, Any], data: bytes | mmap) -> bool:
    """Whether the object named by `query` has these bytes, according to the MD5s of its parts."""
    answer = client.head_object(**query)
    if not _encrypted_by_server_alone(answer):
        return True
    return not differs(client, query, data, answer["ETag"].strip('"'))


def _md5_of(answer: Any) -> str | None:
    """The MD5 of the object in hex, if the ETag of an answer is one."""
    etag = str(answer.get("ETag", "")).strip('"')
    return etag if _encrypted_by_server_alone(answer) and _MD5.fullmatch(etag) else None


def _encrypted_by_server_alone(answer: Any) -> bool:
    """Also true without encryption. With KMS or customer keys the ETag is not an MD5."""
    return answer.get("ServerSideEncryption") in (None, "AES256") and not answer.get("SSECustomerAlgorithm")


def check_md5(data: bytes, answer: Any) -> None:
    """Raises WrongBody if the answer's ETag is an MD5 but not that of these bytes."""
    if (expected := _md5_of(answer)) is None:
        return
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if digest != expected:
        raise WrongBody(wrong_md5(digest, expected))


def _check_length(size: int | None, wanted: int | None) -> None:
    if wanted is not None and size != wanted:
        raise WrongBody(f"{size:,} bytes were read, but {wanted:,} are stored")
