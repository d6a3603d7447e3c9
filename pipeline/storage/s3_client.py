"""boto3 clients: one per configuration and process, with the configured retries."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from typing import Any

import boto3
import botocore.config
from botocore import exceptions as aws

from pipeline.config.storage import StorageConfig, refuse_credentials
from pipeline.errors import ConfigError

_CHUNK = 2**20
_clients: dict[tuple[StorageConfig, int, int], Any] = {}
_clients_lock = threading.Lock()


def client_of(config: StorageConfig, tries: int | None = None) -> Any:
    """The client with this many tries, or (None) as many as the configuration says.

    Raises:
        ConfigError: no client can be created with this configuration.
    """
    tries = tries or config.retries + 1
    slot = (config, tries, os.getpid())  # a forked child must not share its parent's sockets
    with _clients_lock:
        if slot not in _clients:
            _clients[slot] = _make_client(config, tries)
        return _clients[slot]


def _make_client(config: StorageConfig, tries: int) -> Any:
    """Adaptive mode retries throttling, 5xx and lost connections, and slows down when throttled.

    It never retries a refusal such as access denied.
    """
    settings = botocore.config.Config(
        max_pool_connections=config.pool,
        connect_timeout=config.connect_seconds,
        read_timeout=config.read_seconds,
        retries={"mode": "adaptive", "total_max_attempts": tries},
        request_checksum_calculation=config.checksums,
        response_checksum_validation="when_required",  # `get` requests it for whole objects
        s3={"addressing_style": config.addressing},
        tcp_keepalive=True,
    )
    try:
        client = boto3.session.Session().client(
            "s3",
            endpoint_url=config.endpoint,
            region_name=config.region,
            verify=None if config.verify_tls else False,
            config=settings,
        )
    except (aws.BotoCoreError, ValueError) as error:
        raise ConfigError(f"cannot set up S3 access: {one_line(error)}") from None
    try:
        refuse_credentials(client.meta.endpoint_url)  # from the environment or AWS's configuration files
    except ValueError as error:
        raise ConfigError(f"the S3 endpoint of the environment: {error}") from None
    events = client.meta.events
    if config.request_payer:
        events.register("before-parameter-build.s3", _pay)
    if config.encryption != "bucket":
        events.register("before-parameter-build.s3", _encrypting(config))
    for operation in ("PutObject", "UploadPart"):
        events.register(f"before-call.s3.{operation}", _add_digest)
    return client


def _pay(params: dict[str, Any], model: Any, **_: Any) -> None:
    """Accept request charges in each request that supports it."""
    if "RequestPayer" in model.input_shape.members:
        params.setdefault("RequestPayer", "requester")


def _encrypting(config: StorageConfig) -> Any:
    """Request encryption whenever an object is created, because policies may require it."""

    def encrypt(params: dict[str, Any], model: Any, **_: Any) -> None:
        if "ServerSideEncryption" in model.input_shape.members:
            params.setdefault("ServerSideEncryption", config.encryption)
            if config.kms_key is not None:
                params.setdefault("SSEKMSKeyId", config.kms_key)

    return encrypt


def _add_digest(params: dict[str, Any], **_: Any) -> None:
    """Content-MD5, unless the client sends a checksum already (`storage.checksums`).

    A bucket with object lock requires it for upload parts (S3 API reference, UploadPart), and every server
    checks that the bytes received are those sent.
    """
    headers = params["headers"]
    is_sent = any(name.lower().startswith(("content-md5", "x-amz-checksum-")) for name in headers)
    if is_sent or params["context"].get("checksum", {}).get("request_algorithm"):
        return
    digest = hashlib.md5(usedforsecurity=False)
    body = params["body"]
    if hasattr(body, "read"):
        start = body.tell()
        while chunk := body.read(_CHUNK):
            digest.update(chunk)
        body.seek(start)
    else:
        digest.update(body)
    headers["Content-MD5"] = base64.b64encode(digest.digest()).decode()


def one_line(error: BaseException) -> str:
    """What an error says, without its last full stop."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
