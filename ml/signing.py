"""Ed25519 signatures on bundles: whose keys are trusted, and who signed a manifest.

`manifest.sig` lies beside the manifest: one line for each signature, `ed25519 <key> <signature>`,
where the key is named by the first 16 hexadecimal digits of the SHA-256 of its 32 bytes, and the
signature over the bytes of `manifest.json` is in Base64. The manifest holds the hash of every
other file, so a signature is one over the whole bundle.
"""

import base64
import binascii
import hashlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from ml.errors import BundleInvalid, BundleTampered, SigningKeyInvalid

SIGNATURE = "manifest.sig"
ALGORITHM = "ed25519"
SIGNATURE_BYTES = 64
MAX_BYTES = 64 * 1024
PRODUCT_KEYS = Path(__file__).parent / "trusted_keys"
"""The keys that sign the bundles which ship. They lie in the code, never beside the bundles."""


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key whose signatures count; `id` names it in signatures and records."""

    id: str
    raw: bytes


def load_trusted_keys(places: Iterable[Path] = ()) -> tuple[TrustedKey, ...]:
    """The product's keys, and those of `places`: PEM files, or folders of them.

    Raises SigningKeyInvalid for a place without a key, or with anything but public keys.
    """
    keys = [_load_public(path) for place in (PRODUCT_KEYS, *places) for path in _list_keys(place)]
    return tuple(dict.fromkeys(keys))


@lru_cache(maxsize=1)
def product_keys() -> tuple[TrustedKey, ...]:
    """The keys that come with the product, read once."""
    return load_trusted_keys()


def find_signer(folder: Path, content: bytes, keys: Iterable[TrustedKey]) -> str:
    """Id of the first of `keys` that signed the manifest's `content`, empty if none did.

    Signatures by keys that aren't known say nothing. Raises BundleTampered when one that names a
    known key is not over this manifest, and BundleInvalid for a file that holds no signatures.
    """
    signatures = read_signatures(folder)
    signers = [key for key in keys if key.id in signatures]
    for key in signers:
        try:
            Ed25519PublicKey.from_public_bytes(key.raw).verify(signatures[key.id], content)
        except InvalidSignature as error:
            detail = f"the signature by {key.id} is not over this manifest"
            raise BundleTampered(path=folder, detail=detail) from error
    return signers[0].id if signers else ""


def read_signatures(folder: Path) -> dict[str, bytes]:
    """The bundle's signatures by key id, none when it carries no file of them."""
    path = folder / SIGNATURE
    if not path.exists():
        return {}
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        lines = content.decode("ascii").splitlines() if len(content) <= MAX_BYTES else []
        parsed = [_parse(line) for line in lines]
    except (OSError, ValueError) as error:
        raise BundleInvalid(path=folder, detail=f"{SIGNATURE}: {error}") from error
    signatures = dict(parsed)
    if not parsed or len(signatures) != len(parsed):
        raise BundleInvalid(path=folder, detail=f"{SIGNATURE} must name each signer once")
    return signatures


def sign_manifest(folder: Path, content: bytes, key: Ed25519PrivateKey) -> str:
    """Add the key's signature over the manifest's `content`; returns the key's id."""
    signatures = read_signatures(folder)
    name = name_key(key.public_key())
    signatures[name] = key.sign(content)
    lines = [
        f"{ALGORITHM} {signer} {base64.b64encode(value).decode()}\n"
        for signer, value in signatures.items()
    ]
    _replace(folder / SIGNATURE, "".join(lines).encode())
    return name


def write_key_pair(path: Path) -> tuple[Path, str]:
    """Make a key: the secret half in `path`, the public one beside it; returns that and the id.

    Raises SigningKeyInvalid rather than replacing a file.
    """
    key, public_path = Ed25519PrivateKey.generate(), path.with_suffix(".pub.pem")
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        _write_new(path, secret, 0o600)
        _write_new(public_path, public, 0o644)
    except OSError as error:
        raise SigningKeyInvalid(path=path, detail=error.strerror or error) from error
    return public_path, name_key(key.public_key())


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """The secret half of a key; raises SigningKeyInvalid."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise SigningKeyInvalid(path=path, detail=error) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyInvalid(path=path, detail="it is no Ed25519 key")
    return key


def name_key(key: Ed25519PublicKey) -> str:
    """What a key is called in signatures and records."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _list_keys(place: Path) -> Sequence[Path]:
    paths = sorted(place.glob("*.pem")) if place.is_dir() else [place]
    if not paths:
        raise SigningKeyInvalid(path=place, detail="the folder holds no .pem file")
    return paths


def _load_public(path: Path) -> TrustedKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SigningKeyInvalid(path=path, detail=error) from error
    if not isinstance(key, Ed25519PublicKey):
        raise SigningKeyInvalid(path=path, detail="it is no Ed25519 key")
    return TrustedKey(id=name_key(key), raw=key.public_bytes_raw())


def _parse(line: str) -> tuple[str, bytes]:
    algorithm, key, encoded = line.split(" ")
    if algorithm != ALGORITHM:
        raise ValueError(f"{algorithm} is not {ALGORITHM}")
    try:
        signature = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError("a signature is not Base64") from error
    if len(signature) != SIGNATURE_BYTES:
        raise ValueError(f"a signature has {len(signature)} bytes, not {SIGNATURE_BYTES}")
    return key, signature


def _write_new(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(content)


def _replace(path: Path, content: bytes) -> None:
    """Write beside the path and rename, so that no reader meets half a file."""
    with tempfile.NamedTemporaryFile(dir=path.parent.parent, delete=False) as scratch:
        scratch.write(content)
    os.chmod(scratch.name, 0o644)  # noqa: PTH101, S103 - a bundle is for everyone to read
    Path(scratch.name).replace(path)
