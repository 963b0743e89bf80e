"""What travels from a site to a pool: a sealed package of tables with a signed manifest, or the ids to take out.

Both sides use this: the site writes, the hub reads. The package is sealed to the pool's own key, so that only the hub
opens it, and nobody once that key is destroyed.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from estran.exchange import parcel
from estran.exchange.whole import passing_folder
from estran.hub.pooling.routes import FOR
from estran.model.errors import InputRefused, UsageError
from estran.projects.datamarts.manifest import sha256
from estran.projects.datamarts.reading import SpecFile, read_spec

KIND, LIFE = "pool", "pool-life"  # kinds of jobs
PARCEL = "parcel"  # the file of an answer
MANIFEST, IDS = "manifest.json", "withdrawn.json"
VERSION = 1
MOST = 250 * 2**20  # bytes of a package in one message: with what is around it, below what a hub takes
PIECE = 32 * 2**20  # bytes of a piece of a package
WHOLE = 8 * 2**30  # bytes of a package in pieces
_MOST_OPEN = 2 * WHOLE  # bytes of what is in it
_TIMES, _ROOM = 16, 256 * 2**20  # Parquet is compressed already: this often the bytes that came, or these in any case
MOST_LIST = 2 * MOST  # bytes of the ids to take out
_MOST_MANIFEST = 16 * 2**20
Manifest = dict[str, Any]
_SIGNED = b"estran-pool-1\n"


@dataclass(frozen=True)
class Asked:
    """What a hub asks of a site: the datamart of its own project `project`, as agreed, sealed to `key`; `pieces` when it takes
    packages in pieces, as hubs of earlier releases do not; `via` names the hub, when it is not the one that the site joined."""

    pool: str
    project: str
    agreed: SpecFile
    key: X25519PublicKey
    pieces: bool = False
    via: str = ""

    @classmethod
    def read(cls, body: dict[str, Any]) -> Asked:
        """UsageError when it cannot be read."""
        try:
            key = X25519PublicKey.from_public_bytes(bytes.fromhex(str(body["key"])))
            pool, project = str(body["pool"]), str(body["project"])
        except (KeyError, ValueError):
            raise UsageError("The hub asks for a pool in a way that cannot be read.") from None
        if not pool.isalnum() or len(pool) > 64:
            raise UsageError("A pool is named by letters and digits.")
        via = str(body.get(FOR, ""))[:60]
        return cls(pool, project, read_spec(body.get("agreed")), key, body.get("pieces") is True, via)


def pack(folder: Path, manifest: Manifest, signer: Ed25519PrivateKey, recipient: X25519PublicKey) -> tuple[Path, str]:
    """The folder with its manifest, sealed beside it, and the signature of the manifest."""
    files = [
        {"path": path.relative_to(folder).as_posix(), "bytes": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted(folder.rglob("*")) if path.is_file()
    ]  # fmt: skip
    said = orjson.dumps(manifest | {"version": VERSION, "files": files}, option=orjson.OPT_SORT_KEYS)
    (folder / MANIFEST).write_bytes(said)
    sealed = folder.with_name(f"{folder.name}.parcel")
    with parcel.whole_file(sealed) as stream:
        parcel.seal(folder, stream, recipient)
    return sealed, base64.b64encode(signer.sign(_SIGNED + said)).decode()


def size_of(sealed: Path, most: int) -> int:
    """Bytes of a package; UsageError when they are more than `most`."""
    size = sealed.stat().st_size
    if size > most:
        raise UsageError(
            f"The package of {size >> 20} MiB is larger than may be sent ({most >> 20} MiB).",
            hint="pool fewer variables, or one project per part",
        )
    return size


def most_of(sealed: Path) -> int:
    """Bytes that the tables of a package may be, once it is open."""
    return min(_MOST_OPEN, max(_ROOM, _TIMES * sealed.stat().st_size))


def unpack(
    sealed: Path, signature: str, signer: Ed25519PublicKey, key: X25519PrivateKey, folder: Path, most: int
) -> Manifest:
    """Open a package of at most so many bytes into a folder: its manifest, once seal, signature and every file are right;
    InputRefused otherwise."""
    parcel.open_parcel(sealed, key, folder, most)
    try:
        if (folder / MANIFEST).stat().st_size > _MOST_MANIFEST:
            raise InputRefused("The manifest cannot be read.")
        said = (folder / MANIFEST).read_bytes()
        signer.verify(base64.b64decode(signature, validate=True), _SIGNED + said)
        manifest: Manifest = orjson.loads(said)
    except (OSError, binascii.Error, InvalidSignature, orjson.JSONDecodeError):
        raise InputRefused("The manifest is not signed by the site that sent it.") from None
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise InputRefused("This version of packages is not known.")
    try:
        parcel.prove(folder, manifest)
    except (AttributeError, KeyError, TypeError):
        raise InputRefused("The manifest cannot be read.") from None
    return manifest


def pack_ids(
    beside: Path, ids: list[str], manifest: Manifest, signer: Ed25519PrivateKey, to: X25519PublicKey
) -> tuple[bytes, str]:
    """The ids of those to be taken out, as a package."""
    with passing_folder(beside) as scratch:
        folder = scratch / "content"
        folder.mkdir()
        (folder / IDS).write_bytes(orjson.dumps(sorted(ids)))
        sealed, signature = pack(folder, manifest, signer, to)
        size_of(sealed, MOST)
        return sealed.read_bytes(), signature


def read_ids(folder: Path) -> list[str]:
    """The ids in an unpacked package; InputRefused when there are none."""
    try:
        found = orjson.loads((folder / IDS).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        found = None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise InputRefused("The package holds no list of ids.")
    return found
