"""The headers of tus 1.0.0, the protocol of resumable uploads (https://tus.io)."""

import base64
import binascii
import re
from typing import NamedTuple

from django.conf import settings
from django.utils.http import http_date
from rest_framework.request import Request

from records.bodies import is_chunked
from records.errors import (
    TusContentTypeInvalid,
    TusHeaderInvalid,
    TusMetadataInvalid,
    TusVersionUnsupported,
)
from records.models import Upload
from records.services.uploads import CHECKSUMS, Checksum

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,expiration,termination,checksum"
CONTENT_TYPE = "application/offset+octet-stream"
METADATA = frozenset({"filename", "filetype", "fingerprint"})
"""What tus clients say of a file. `filetype` is theirs by default; a file's content decides."""
FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class Creation(NamedTuple):
    """What a sender states about a file before its first byte."""

    size: int
    name: str
    fingerprint: str


def check_version(request: Request) -> None:
    """Refuse a request that doesn't say that it speaks our version."""
    if request.headers.get("Tus-Resumable") != VERSION:
        raise TusVersionUnsupported


def read_creation(request: Request) -> Creation:
    """Read the size and the metadata that this server knows: filename and fingerprint."""
    metadata = _read_metadata(request.headers.get("Upload-Metadata", ""))
    fingerprint = metadata.get("fingerprint", "")
    if fingerprint and not FINGERPRINT.fullmatch(fingerprint):
        raise TusHeaderInvalid(name="Upload-Metadata")
    return Creation(
        size=read_number(request, "Upload-Length"),
        name=metadata.get("filename", ""),
        fingerprint=fingerprint,
    )


def read_number(request: Request, name: str) -> int:
    """Read a header that counts bytes."""
    text = request.headers.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise TusHeaderInvalid(name=name)
    return int(text)


def read_body_length(request: Request) -> int | None:
    """How many bytes of the file come with this request; None where only their end will tell."""
    if is_chunked(request._request):
        length = None
    elif request.headers.get("Content-Length"):
        length = read_number(request, "Content-Length")
    else:
        length = 0
    if length != 0 and request.content_type != CONTENT_TYPE:
        raise TusContentTypeInvalid
    return length


def read_checksum(request: Request) -> Checksum | None:
    """Read what the sender counted over the bytes of this request, if anything."""
    text = request.headers.get("Upload-Checksum")
    if text is None:
        return None
    name, _, value = text.partition(" ")
    if name not in CHECKSUMS:
        raise TusHeaderInvalid(name="Upload-Checksum")
    return name, _decoded(value, header="Upload-Checksum")


def server_headers() -> dict[str, str]:
    """What this server can do."""
    return {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(settings.INTAKE_MAX_FILE_BYTES),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }


def upload_headers(upload: Upload) -> dict[str, str]:
    """How far an upload has come, and how long it can be gone on with."""
    return {
        "Upload-Offset": str(upload.offset),
        "Upload-Length": str(upload.size_bytes),
        "Upload-Expires": http_date(upload.expires_at.timestamp()),
        "Cache-Control": "no-store",
    }


def _read_metadata(text: str) -> dict[str, str]:
    pairs = [pair.strip().partition(" ") for pair in text.split(",") if pair.strip()]
    keys = [key for key, _, _ in pairs]
    if not set(keys) <= METADATA or len(set(keys)) < len(keys):
        raise TusMetadataInvalid(known=", ".join(sorted(METADATA)))
    try:
        found = {
            key: _decoded(value.strip(), header="Upload-Metadata").decode("utf-8")
            for key, _, value in pairs
        }
    except UnicodeDecodeError as error:
        raise TusHeaderInvalid(name="Upload-Metadata") from error
    if any("\0" in value for value in found.values()):
        raise TusHeaderInvalid(name="Upload-Metadata")
    return found


def _decoded(value: str, *, header: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise TusHeaderInvalid(name=header) from error
