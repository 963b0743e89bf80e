"""The hub's word on a bundle: a signature over its digest, by the key that signs the hub's messages."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from estran.model.errors import UsageError

_CONTEXT = b"estran-learning-1\n"
_DAYS = 30


def sign(digest: str, key: Ed25519PrivateKey) -> str:
    """The signature, base64."""
    return base64.b64encode(key.sign(_CONTEXT + digest.encode())).decode()


def check(digest: str, signature: str, key: Ed25519PublicKey) -> None:
    """UsageError when the hub did not sign this bundle."""
    try:
        key.verify(base64.b64decode(signature, validate=True), _CONTEXT + digest.encode())
    except (InvalidSignature, ValueError):
        raise UsageError("The bundle is not signed by the hub of this network.") from None


def door_certificate(folder: Path, host: str) -> None:
    """A key and a certificate for the SuperLink at `host`, known to sites by its very bytes; `key.pem` and `door.pem`."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "estran-learning")])
    built = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    _private(folder / "key.pem", key, form.PrivateFormat.PKCS8)
    (folder / "door.pem").write_bytes(built.public_bytes(form.Encoding.PEM))


def node_key(path: Path) -> str:
    """A key for a node (P-384), and its public side in OpenSSH's form."""
    key = ec.generate_private_key(ec.SECP384R1())
    _private(path, key, form.PrivateFormat.OpenSSH)
    return key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH).decode()


def _names(host: str) -> list[x509.GeneralName]:
    # The hub's own processes come over the loopback.
    found: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    try:
        address = x509.IPAddress(ipaddress.ip_address(host))
        return found if address in found else [*found, address]
    except ValueError:
        return found if host == "localhost" else [*found, x509.DNSName(host)]


def _private(path: Path, key: ec.EllipticCurvePrivateKey, kind: form.PrivateFormat) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(form.Encoding.PEM, kind, form.NoEncryption()))
