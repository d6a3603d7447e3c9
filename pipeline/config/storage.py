"""How to reach object stores: the section `storage` of every job."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from pipeline.config.section import Section


class StorageConfig(Section):
    """How to reach S3; not needed for local folders. Credentials come from boto3's usual places."""

    endpoint: str | None = Field(None, description="URL of a non-AWS server; null: AWS or AWS_ENDPOINT_URL")
    region: str | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"
    checksums: Literal["when_supported", "when_required"] = Field(
        "when_required",
        description="when_supported adds CRC trailers to large files, which older servers refuse",
    )
    verify_reads: bool = Field(
        True,
        description="compare read data with the server's checksums; "
        "false: for a server whose ETags look like MD5 but are not",
    )
    connect_seconds: float = Field(10.0, gt=0)
    read_seconds: float = Field(60.0, gt=0)
    retries: int = Field(8, ge=0, le=100, description="tries after the first, for transient errors only")
    pool: int = Field(32, ge=1, le=1024, description="connections per process")
    verify_tls: bool = True
    encryption: Literal["bucket", "AES256", "aws:kms", "aws:kms:dsse"] = Field(
        "bucket", description="encryption to request for each written object; bucket: the bucket's default"
    )
    kms_key: str | None = Field(None, description="id or ARN of the KMS key; null: the bucket's or AWS's own")
    request_payer: bool = Field(
        False, description="pay for requests to other people's requester-pays buckets"
    )

    @model_validator(mode="after")
    def _key_of_kms(self) -> StorageConfig:
        if self.kms_key is not None and not self.encryption.startswith("aws:kms"):
            raise ValueError("kms_key needs encryption=aws:kms or aws:kms:dsse: set it, or leave the key out")
        return self

    @field_validator("endpoint")
    @classmethod
    def _no_secret(cls, endpoint: str | None) -> str | None:
        refuse_credentials(endpoint)
        return endpoint


def refuse_credentials(endpoint: str | None) -> None:
    """Raises ValueError for `http://user:password@host`: S3 does not accept it, and URLs are printed."""
    if "@" in urlsplit(endpoint or "").netloc:
        raise ValueError("do not put credentials into a URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
