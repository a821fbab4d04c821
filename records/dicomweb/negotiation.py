"""What a client accepts: media types, single or multipart, and transfer syntaxes (PS3.18 8.7)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from django.db.models import Q
from django.http import HttpRequest
from django.utils.http import parse_header_parameters
from pydicom.pixels import get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian

from records.errors import NotAcceptable
from records.files.sending import UNCOMPRESSED, UNDECODABLE

MULTIPART = "multipart/related"
DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
JSON = "application/json"
DICOM_XML = "application/dicom+xml"
OCTET_STREAM = "application/octet-stream"
JPEG = "image/jpeg"
ANY_SYNTAX = "*"
NATIVE = str(ExplicitVRLittleEndian)

COMPRESSED_TYPES: dict[str, tuple[str, ...]] = {
    JPEG: (
        "1.2.840.10008.1.2.4.70",
        "1.2.840.10008.1.2.4.50",
        "1.2.840.10008.1.2.4.51",
        "1.2.840.10008.1.2.4.57",
    ),
    "image/dicom-rle": ("1.2.840.10008.1.2.5",),
    "image/jls": ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),
    "image/jp2": ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"),
    "image/jpx": ("1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93"),
    "image/jphc": (
        "1.2.840.10008.1.2.4.201",
        "1.2.840.10008.1.2.4.202",
        "1.2.840.10008.1.2.4.203",
    ),
}
"""Media types of compressed frames and the transfer syntaxes they stand for (Table 8.7.3-5).

The first of each is meant where a client or a sender names none.
"""

OLD_NAMES = {
    "image/x-dicom-rle": "image/dicom-rle",
    "image/x-jls": "image/jls",
    "image/j2c": "image/jp2",
}
LIST_SEPARATOR = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One thing that a client accepts; `media_type` may hold wildcards.

    `is_multipart` is None where the client leaves it open (`*/*`). `syntax` is a UID, "*" for
    any, or "" where none is named.
    """

    media_type: str
    is_multipart: bool | None
    syntax: str
    quality: float

    def matches(self, media_type: str) -> bool:
        """Tell whether this range takes in `media_type`."""
        return fnmatchcase(media_type, self.media_type)


def accepted_ranges(request: HttpRequest) -> list[MediaRange]:
    """What the client accepts, the dearest first; the query's `accept` wins over the header."""
    given = ",".join(request.GET.getlist("accept")) or request.headers.get("Accept", "")
    ranges = [_read_range(part) for part in LIST_SEPARATOR.split(given) if part.strip()]
    wanted = [each for each in ranges if each.quality > 0]
    if not wanted and not ranges:
        return [MediaRange("*/*", None, "", 1.0)]
    return sorted(wanted, key=lambda each: -each.quality)


def choose_document(ranges: Iterable[MediaRange]) -> str:
    """Return the media type in which metadata and answers are sent; raises NotAcceptable."""
    for each in ranges:
        if each.is_multipart:
            if each.matches(DICOM_XML):
                return DICOM_XML
            continue
        for media_type in (DICOM_JSON, JSON):
            if each.matches(media_type):
                return media_type
    raise NotAcceptable(offered=f'{DICOM_JSON}, {JSON} and {MULTIPART}; type="{DICOM_XML}"')


def choose_type(ranges: Iterable[MediaRange], offered: tuple[str, ...]) -> MediaRange:
    """Return the client's first range with its media type settled; raises NotAcceptable."""
    for each in ranges:
        for media_type in offered:
            if each.matches(media_type):
                return MediaRange(media_type, each.is_multipart, each.syntax, each.quality)
    raise NotAcceptable(offered=", ".join(offered))


@dataclass(frozen=True, slots=True)
class InstanceForm:
    """In what form instances are sent: one part or many, and in which transfer syntaxes."""

    is_multipart: bool
    syntaxes: frozenset[str]

    def syntax_for(self, stored: str) -> str | None:
        """The syntax in which to send an object: as it is stored wherever that is accepted."""
        if stored in self.syntaxes or ANY_SYNTAX in self.syntaxes:
            return stored
        return NATIVE if NATIVE in self.syntaxes else None


def choose_instance_form(ranges: Iterable[MediaRange]) -> InstanceForm:
    """Settle how instances are sent; raises NotAcceptable.

    Explicit VR Little Endian is meant where no syntax is named. A client that takes both a
    multipart and a plain answer gets the multipart one.
    """
    fitting = [each for each in ranges if each.matches(DICOM)]
    if not fitting:
        raise NotAcceptable(offered=f'{MULTIPART}; type="{DICOM}" and {DICOM}')
    is_multipart = any(each.is_multipart is not False for each in fitting)
    used = [each for each in fitting if (each.is_multipart is not False) == is_multipart]
    return InstanceForm(is_multipart, frozenset(each.syntax or NATIVE for each in used))


def sendable(form: InstanceForm) -> Q:
    """The rows of objects that can be sent in a form: stored so, or decodable."""
    if ANY_SYNTAX in form.syntaxes:
        return Q()
    as_stored = Q(transfer_syntax_uid__in=form.syntaxes)
    if NATIVE not in form.syntaxes:
        return as_stored
    convertible = Q(transfer_syntax_uid__in=UNCOMPRESSED) | ~Q(exclusion__in=UNDECODABLE)
    return as_stored | convertible


@dataclass(frozen=True, slots=True)
class FrameForm:
    """In what form pixels are sent: as they are stored, or decoded; in one part or many."""

    media_type: str
    syntax: str
    is_multipart: bool
    is_as_stored: bool

    @property
    def part_type(self) -> str:
        """The Content-Type of each part."""
        return f"{self.media_type}; transfer-syntax={self.syntax}"


def choose_frame_form(
    ranges: Iterable[MediaRange], *, stored: str, is_decodable: bool
) -> FrameForm:
    """Settle how the frames of an object are sent; raises NotAcceptable.

    `application/octet-stream` means decoded frames unless the client takes the stored syntax;
    an image type means the code streams as they are stored.
    """
    own_type = compressed_type(stored)
    for each in ranges:
        is_multipart = each.is_multipart is not False
        if each.matches(OCTET_STREAM):
            if own_type and each.syntax in (stored, ANY_SYNTAX):
                return FrameForm(OCTET_STREAM, stored, is_multipart, is_as_stored=True)
            if is_decodable and each.syntax in ("", NATIVE, ANY_SYNTAX):
                return FrameForm(OCTET_STREAM, NATIVE, is_multipart, is_as_stored=False)
        if own_type not in ("", OCTET_STREAM) and _takes_stored(each, own_type, stored):
            return FrameForm(own_type, stored, is_multipart, is_as_stored=True)
    offered = ([OCTET_STREAM] if is_decodable else []) + ([own_type] if own_type else [])
    raise NotAcceptable(offered=", ".join(offered) or "nothing of this object")


def compressed_type(syntax: str) -> str:
    """The media type of frames in a compressed transfer syntax; octets where none is named."""
    for media_type, syntaxes in COMPRESSED_TYPES.items():
        if syntax in syntaxes:
            return media_type
    return OCTET_STREAM if UID(syntax).is_encapsulated else ""


def has_decoder(syntax: str) -> bool:
    """Whether pixels in a transfer syntax can be decoded at all, where they are whole."""
    try:
        return bool(get_decoder(UID(syntax)).is_available)
    except NotImplementedError:
        return False


def _takes_stored(wanted: MediaRange, own_type: str, stored: str) -> bool:
    """Tell whether a range takes the stored code streams.

    An image type without a syntax means its default, but a client that names none mostly means
    "as it is": the part says which syntax it got.
    """
    return wanted.matches(own_type) and wanted.syntax in ("", stored, ANY_SYNTAX)


def _read_range(text: str) -> MediaRange:
    media_type, params = parse_header_parameters(text.strip())
    is_multipart: bool | None = media_type == MULTIPART
    if media_type == MULTIPART:
        media_type = params.get("type", "*/*").lower()
    elif media_type == "*/*":
        is_multipart = None
    try:
        quality = float(params.get("q", 1))
    except ValueError:
        quality = 0.0
    media_type = OLD_NAMES.get(media_type, media_type)
    return MediaRange(media_type, is_multipart, params.get("transfer-syntax", ""), quality)
