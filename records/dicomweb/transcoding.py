"""Stored objects as the bytes of DICOM files, in the transfer syntax that was settled on."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Q
from pydicom.uid import AllTransferSyntaxes, ExplicitVRLittleEndian

from records.dicomweb.encoding import LONGEST_PIXELS, pixel_head, swap_words, write_file
from records.dicomweb.frames import UNDECODABLE, decode_frames, frame_count
from records.dicomweb.negotiation import ANY_SYNTAX, NATIVE, InstanceForm
from records.dicomweb.stored import CHUNK_BYTES, StoredObject, opened
from records.errors import NotAcceptable
from records.models import Instance

UNCOMPRESSED = tuple(str(uid) for uid in AllTransferSyntaxes if not uid.is_encapsulated)


def sendable(form: InstanceForm) -> Q:
    """The rows of objects that can be sent in a form: stored so, or decodable."""
    if ANY_SYNTAX in form.syntaxes:
        return Q()
    as_stored = Q(transfer_syntax_uid__in=form.syntaxes)
    if NATIVE not in form.syntaxes:
        return as_stored
    convertible = Q(transfer_syntax_uid__in=UNCOMPRESSED) | ~Q(exclusion__in=UNDECODABLE)
    return as_stored | convertible


def file_pieces(instance: Instance, syntax: str) -> Iterator[bytes]:
    """Yield the bytes of a stored object's file in `syntax`: its own, or Explicit VR LE.

    Raises NotAcceptable, before the first piece, where the pixels can't be decoded.
    """
    if syntax == instance.transfer_syntax_uid:
        with instance.file.open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                yield data
        return
    with opened(instance) as stored:
        stored.load_all()
        yield from _explicit_pieces(stored)


def _explicit_pieces(stored: StoredObject) -> Iterator[bytes]:
    if not stored.syntax.is_little_endian:
        swap_words(stored.dataset)
    pixels = _native_pixels(stored) if stored.pixels is not None else None
    yield from write_file(stored.dataset, syntax=ExplicitVRLittleEndian, pixels=pixels)


def _native_pixels(stored: StoredObject) -> tuple[bytes, Iterable[bytes]]:
    """The head and the pieces of the pixels; the data set is brought into line with them."""
    pixels = stored.pixels
    assert pixels is not None  # noqa: S101
    if stored.syntax.is_little_endian and not pixels.is_encapsulated:
        head = pixel_head(tag=pixels.tag, vr=pixels.vr, length=pixels.length)
        return head, stored.read_range(pixels.start, pixels.end)
    try:
        decoded = decode_frames(stored)
    except Exception as error:  # whatever a decoder raises on this one object
        raise NotAcceptable(offered="the object as it is stored (transfer-syntax=*)") from error
    total = decoded.frame_bytes * frame_count(stored)
    if total > LONGEST_PIXELS:
        raise NotAcceptable(offered="the object as it is stored (transfer-syntax=*)")
    _describe(stored, decoded.properties)
    is_bytes = int(decoded.properties["bits_allocated"]) <= 8
    vr = pixels.vr if pixels.vr in ("OF", "OD") else "OB" if is_bytes else "OW"
    head = pixel_head(tag=pixels.tag, vr=vr, length=total + total % 2)
    return head, _padded(decoded.frames, total)


def _describe(stored: StoredObject, properties: dict[str, Any]) -> None:
    dataset = stored.dataset
    dataset.PhotometricInterpretation = properties["photometric_interpretation"]
    if int(properties["samples_per_pixel"]) > 1:
        dataset.PlanarConfiguration = int(properties.get("planar_configuration", 0))
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]


def _padded(frames: Iterable[bytes], total: int) -> Iterator[bytes]:
    """The frames, exactly as many bytes as the header says; more of them are left out."""
    sent = 0
    for frame in frames:
        if sent + len(frame) > total:
            break
        sent += len(frame)
        yield frame
    if sent != total:
        raise EOFError("the stored file holds fewer frames than it announces")
    yield b"\0" * (total % 2)
