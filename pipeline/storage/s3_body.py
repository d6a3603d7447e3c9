"""Bodies of S3's answers, and whether they are the bytes that the server once took in.

A whole object is checked by its length, by the checksum that the answer states (botocore does that, for
CRC-32, SHA-1 and SHA-256 over the whole object), and by its ETag where that is the MD5 of the object: 32 hex
digits, and not encrypted with keys of KMS or of the customer (Amazon S3 API Reference, "Object", ETag). So
is the ETag of an object of several parts, where these have one size (`pipeline.storage.s3_parts`). Of a
range only the length can be checked, unless it is the whole object after all.
"""

from __future__ import annotations

import hashlib
import re
from mmap import mmap
from typing import Any

import urllib3.exceptions
from botocore import exceptions as aws

from pipeline.storage.base import OTHER_PARTS, Fetched, wrong_md5
from pipeline.storage.s3_client import one_line
from pipeline.storage.s3_parts import differs

_MD5 = re.compile(r"[0-9a-f]{32}")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class BrokenBody(Exception):
    """The answer began well and then broke off; botocore retries only what fails before that."""


class WrongBody(BrokenBody):
    """An answer that is complete in itself, and not the object."""


def fetch(client: Any, query: dict[str, Any], wanted: int | None, verify: bool) -> Fetched:
    """One GET.

    Args:
        wanted: bytes that must come; None: not known.
        verify: whether checksums are compared.

    Raises:
        BrokenBody: the body broke off, or is not what it should be. Others as boto3.
    """
    whole = "Range" not in query
    try:
        answer = client.get_object(**query, **({"ChecksumMode": "ENABLED"} if whole and verify else {}))
    except aws.ClientError as error:
        # no range of an empty object, nor one that starts behind the end, can be satisfied
        if error.response.get("Error", {}).get("Code") != "InvalidRange":
            raise
        head = client.head_object(**{k: v for k, v in query.items() if k != "Range"})
        return Fetched(
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
    return Fetched(
        data, answer["ETag"].strip('"'), answer.get("ContentType"), _md5_of(answer) if verify else None
    )


def fits_parts(client: Any, query: dict[str, Any], data: bytes | mmap) -> bool:
    """Whether the object that `query` names has these bytes, as far as the MD5s of its parts tell."""
    answer = client.head_object(**query)
    if not _encrypted_by_server_alone(answer):
        return True
    return not differs(client, query, data, answer["ETag"].strip('"'))


def _md5_of(answer: Any) -> str | None:
    """The MD5 of the object, in hex, where the ETag of an answer is that."""
    etag = str(answer.get("ETag", "")).strip('"')
    return etag if _encrypted_by_server_alone(answer) and _MD5.fullmatch(etag) else None


def _encrypted_by_server_alone(answer: Any) -> bool:
    """Or not at all: with keys of KMS or of the customer the ETag is no MD5."""
    return answer.get("ServerSideEncryption") in (None, "AES256") and not answer.get("SSECustomerAlgorithm")


def check_md5(data: bytes, answer: Any) -> None:
    """Raises WrongBody where the answer's ETag is an MD5, and not that of these bytes."""
    if (expected := _md5_of(answer)) is None:
        return
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if digest != expected:
        raise WrongBody(wrong_md5(digest, expected))


def _check_length(size: int | None, wanted: int | None) -> None:
    if wanted is not None and size != wanted:
        raise WrongBody(f"{size:,} bytes come, and {wanted:,} are stored")
