"""Who a member of a network is: an Ed25519 key with its self-signed certificate (TLS and messages), and an X25519 key
to which things are sealed so that the hub, which carries them, cannot read them.

Nothing is certified by anybody: every certificate is pinned by its SHA-256 on the other side.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

from estran.model.errors import StoreError, UsageError

_YEARS = 10
_KEY, _BOX, _CERTIFICATE = "key.pem", "box.pem", "certificate.pem"
_NO_NONCE = bytes(12)  # the key of a sealed thing is used once


@dataclass(frozen=True)
class Public:
    """What others know of a member: its certificate (PEM) and its X25519 key (hexadecimal)."""

    certificate: str
    box: str

    def __post_init__(self) -> None:
        """UsageError when these are no keys."""
        try:
            self.key, self._box  # noqa: B018 (read to be checked)
        except (ValueError, TypeError):
            raise UsageError("These are no keys of a member of a network.") from None

    @cached_property
    def key(self) -> Ed25519PublicKey:
        """The key that signs this member's messages."""
        found = x509.load_pem_x509_certificate(self.certificate.encode()).public_key()
        if not isinstance(found, Ed25519PublicKey):
            raise TypeError("the certificate holds another kind of key")
        return found

    @cached_property
    def _box(self) -> X25519PublicKey:
        return X25519PublicKey.from_public_bytes(bytes.fromhex(self.box))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate."""
        return fingerprint(ssl.PEM_cert_to_DER_cert(self.certificate))

    @property
    def box_fingerprint(self) -> str:
        """SHA-256 of the X25519 key, for people to compare."""
        return hashlib.sha256(bytes.fromhex(self.box)).hexdigest()

    def seal(self, plain: bytes, place: str) -> bytes:
        """`plain`, for this member's eyes only and for `place` only (X25519, HKDF-SHA256, ChaCha20-Poly1305)."""
        once = X25519PrivateKey.generate()
        public = once.public_key().public_bytes_raw()
        key = _shared(once.exchange(self._box), public, bytes.fromhex(self.box))
        return public + ChaCha20Poly1305(key).encrypt(_NO_NONCE, plain, place.encode())


@dataclass(frozen=True)
class Identity:
    """The private side, in a folder of mode 0700; the keys are encrypted when there is a password."""

    folder: Path
    password: bytes | None
    public: Public
    key: Ed25519PrivateKey
    box: X25519PrivateKey

    @classmethod
    def create(cls, folder: Path, name: str, password: bytes | None = None) -> Identity:
        """New keys; StoreError when some are there."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, box = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        for file, private in ((_KEY, key), (_BOX, box)):
            _write(folder / file, private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, _locked(password)))
        _write(folder / _CERTIFICATE, certificate(key, name).encode())
        return cls.open(folder, password)

    @classmethod
    def open(cls, folder: Path, password: bytes | None = None) -> Identity:
        """The keys in `folder`; StoreError when they are missing, or locked with another password."""
        try:
            key = form.load_pem_private_key((folder / _KEY).read_bytes(), password)
            box = form.load_pem_private_key((folder / _BOX).read_bytes(), password)
            text = (folder / _CERTIFICATE).read_text("ascii")
        except (OSError, ValueError, TypeError):
            raise StoreError(
                "The keys of this member cannot be read.",
                where=str(folder),
                hint="put the right key file beside the site",
            ) from None
        if not isinstance(key, Ed25519PrivateKey) or not isinstance(box, X25519PrivateKey):
            raise StoreError("The keys of this member are of another kind.", where=str(folder))
        return cls(folder, password, Public(text, box.public_key().public_bytes_raw().hex()), key, box)

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """What was sealed to this member for `place`; UsageError when it does not open."""
        public, rest = sealed[:32], sealed[32:]
        try:
            shared = self.box.exchange(X25519PublicKey.from_public_bytes(public))
            return ChaCha20Poly1305(_shared(shared, public, bytes.fromhex(self.public.box))).decrypt(
                _NO_NONCE, rest, place.encode()
            )
        except (InvalidTag, ValueError):
            raise UsageError("What was sealed does not open: it is for another member, or was altered.") from None

    def present(self, context: ssl.SSLContext) -> None:
        """Have a TLS context present this member's certificate."""
        context.load_cert_chain(self.folder / _CERTIFICATE, self.folder / _KEY, self.password or None)


def fingerprint(certificate_der: bytes) -> str:
    """By which a certificate is pinned."""
    return hashlib.sha256(certificate_der).hexdigest()


def certificate(key: Ed25519PrivateKey, name: str) -> str:
    """A self-signed certificate, good from yesterday on so that a slow clock does not refuse it."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=365 * _YEARS))
        .sign(key, None)
    )
    return built.public_bytes(form.Encoding.PEM).decode()


def _shared(exchanged: bytes, sender: bytes, receiver: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"estran-hub-1/seal" + sender + receiver).derive(exchanged)


def _locked(password: bytes | None) -> form.KeySerializationEncryption:
    return form.BestAvailableEncryption(password) if password else form.NoEncryption()


def _write(path: Path, data: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise StoreError("Keys are already there; they are never overwritten.", where=str(path)) from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
