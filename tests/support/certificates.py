"""A certificate authority for tests and a signer below it, by the certificate profile of C2PA 2.2 (14.5)."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_USAGES = "content_commitment key_encipherment data_encipherment key_agreement encipher_only decipher_only"


def make_signer(folder: Path) -> tuple[Path, Path]:
    """PEM files of the chain, the signer's certificate first, and of its private key."""
    authority, signer = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    chain = [_certificate("signer", signer, authority), _certificate("authority", authority, authority)]
    chain_file, key_file = folder / "chain.pem", folder / "key.pem"
    chain_file.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in chain))
    key_file.write_bytes(signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return chain_file, key_file


def _name(text: str) -> x509.Name:
    parts = {NameOID.ORGANIZATION_NAME: "An archive", NameOID.COMMON_NAME: text}
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts.items()])


def _certificate(
    name: str, key: EllipticCurvePrivateKey, authority: EllipticCurvePrivateKey
) -> x509.Certificate:
    is_authority, day = key is authority, datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    usage = dict.fromkeys(_USAGES.split(), False) | {"digital_signature": not is_authority}
    output = (
        x509.CertificateBuilder(
            _name("authority"), _name(name), key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(now - day)
        .not_valid_after(now + 30 * day)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(**usage, key_cert_sign=is_authority, crl_sign=is_authority), critical=True
        )
    )
    if not is_authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        output = output.add_extension(purpose, critical=False)
    return output.sign(authority, hashes.SHA256())
