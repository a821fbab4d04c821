"""Stored objects as bytes for whoever asks, in the transfer syntax that was settled on.

What is sent as it is stored is copied; everything else is made in an isolated child.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from pydicom.uid import AllTransferSyntaxes

from ml.errors import MLError
from records.errors import FileRejected, NoSuchBulkData, NotAcceptable, NothingToShow
from records.files.open import open_stored, open_verified
from records.files.pixels import in_batches
from records.files.sandboxed import sandbox
from records.models import Instance

CHUNK_BYTES = 256 * 1024
UNCOMPRESSED = tuple(str(uid) for uid in AllTransferSyntaxes if not uid.is_encapsulated)
PIXELS_UNREADABLE = "pixels_unreadable"
UNDECODABLE = ("unsupported_transfer_syntax", PIXELS_UNREADABLE)
"""The exclusions of objects whose pixels were found undecodable when they came in."""

BULK_PATH = re.compile(r"[0-9A-F]{8}(/[1-9]\d{0,5}/[0-9A-F]{8})*")


def file_pieces(instance: Instance, syntax: str) -> Iterator[bytes]:
    """Yield the bytes of a stored object's file in `syntax`: its own, or a plain one.

    Raises, before the first piece, NotAcceptable where the pixels can't be decoded,
    StoredFileMissing and StoredFileDamaged.
    """
    with open_verified(instance) as stream:
        if syntax == instance.transfer_syntax_uid:
            while data := stream.read(CHUNK_BYTES):
                yield data
            return
        try:
            yield from rewritten_pieces(stream, instance, syntax)
        except (MLError, FileRejected) as error:
            raise NotAcceptable(offered="the object as it is stored (transfer-syntax=*)") from error


def describe_instance(instance: Instance) -> bytes:
    """Return the DICOM JSON of a stored object as `records.dicom.writing.descriptions` packs it.

    Raises NothingToShow, StoredFileMissing and StoredFileDamaged.
    """
    with open_verified(instance) as stream:
        try:
            return sandbox.describe(stream, syntax=instance.transfer_syntax_uid)
        except MLError as error:
            raise NothingToShow(detail="its header can't be read.") from error


def read_bulk_data(instance: Instance, path: str) -> Iterator[bytes]:
    """Return the pieces of a binary value; raises NoSuchBulkData at once."""
    if not BULK_PATH.fullmatch(path):
        raise NoSuchBulkData
    with open_verified(instance) as stream:
        try:
            found = sandbox.extract(stream, path=path)
        except MLError as error:
            raise NoSuchBulkData from error
    if found.place is not None:
        return _stored_range(instance, *found.place)
    if found.content is None:
        raise NoSuchBulkData
    return iter([bytes(found.content)])


def frame_pieces(
    instance: Instance, frames: Sequence[int], *, is_as_stored: bool
) -> Iterator[bytes]:
    """Yield frames, counted from 0: code streams as stored, or as Explicit VR has them.

    Raises NothingToShow, StoredFileMissing and StoredFileDamaged.
    """
    with open_verified(instance) as stream:
        for batch in in_batches(instance, frames):
            try:
                found = sandbox.cut_frames(stream, frames=batch, is_as_stored=is_as_stored)
            except MLError as error:
                raise NothingToShow(detail="its pixels can't be decoded.") from error
            for frame in found:
                yield frame.tobytes()


def rewritten_pieces(stream: IO[bytes], instance: Instance, syntax: str) -> Iterator[bytes]:
    """Yield a file in another syntax, read and decoded in a child.

    Raises the errors of `records.dicom.sandbox.calls`, and EOFError for other pixels than the
    header announces.
    """
    rewritten = sandbox.rewrite(stream, syntax=syntax)
    yield rewritten.before.tobytes()
    if rewritten.copied is not None:
        yield from _padded(_range(stream, *rewritten.copied), rewritten.copied[1])
    elif rewritten.frame_count:
        total = rewritten.frame_count * rewritten.frame_bytes
        yield from _padded(_decoded(stream, instance, rewritten.frame_count), total)
    if rewritten.after is not None:
        yield rewritten.after.tobytes()


def _decoded(stream: IO[bytes], instance: Instance, count: int) -> Iterator[bytes]:
    for batch in in_batches(instance, range(count)):
        for frame in sandbox.cut_frames(stream, frames=batch, is_as_stored=False):
            yield frame.tobytes()


def _padded(pieces: Iterable[bytes], total: int) -> Iterator[bytes]:
    """The pieces, exactly as many bytes as the header says, and one more after an odd number."""
    sent = 0
    for piece in pieces:
        sent += len(piece)
        yield piece
    if sent != total:
        raise EOFError("the stored file holds other pixels than it announces")
    yield b"\0" * (total % 2)


def _stored_range(instance: Instance, start: int, length: int) -> Iterator[bytes]:
    with open_stored(instance) as stream:
        yield from _range(stream, start, length)


def _range(stream: IO[bytes], start: int, length: int) -> Iterator[bytes]:
    stream.seek(start)
    end = start + length
    while start < end:
        data = stream.read(min(CHUNK_BYTES, end - start))
        if not data:
            raise EOFError("the stored file ends early")
        start += len(data)
        yield data
