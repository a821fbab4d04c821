"""Whether an object's pixels can be read, proved by decoding frames of it."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from pydicom.uid import (
    UID,
    ParametricMapStorage,
    RTDoseStorage,
    SegmentationStorage,
)

from ml.errors import ImageTooLarge as DecoderImageTooLarge
from ml.errors import MLError, UnsupportedTransferSyntax
from ml.images import Frame, ProfileUse, iterate_frames
from ml.images.absence import Absence
from records.dicom.errors import ImageTooLarge
from records.dicom.reading.header import DicomHeader
from records.dicom.reading.limits import pixels_in_words
from records.dicom.reading.remarks import remarks_on_object

# Pixels that were drawn or computed from an image; their labels are somebody's words.
RESULTS = frozenset({ParametricMapStorage, RTDoseStorage, SegmentationStorage})
# Middle, first and last frame; beyond these, what time allows in an object of many.
ALWAYS_PROVED = 3
PROOF_SECONDS = 0.5

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Why a stored object can't be classified: a stable code and a sentence; both may be empty."""

    code: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What reading an object's pixels gave: whether it may be classified, and sentences on them."""

    exclusion: Exclusion
    remarks: list[str]


@dataclass(slots=True)
class _Seen:
    """What the frames that were decoded had in common."""

    is_blank: bool = True
    profile_use: ProfileUse = ProfileUse.NONE


UNREADABLE = Exclusion("pixels_unreadable", "Its pixels are damaged or can't be decoded here.")


def prove_object(content: bytes, header: DicomHeader, *, check: Callable[[Frame], None]) -> Proof:
    """Tell why a network must not be shown this object, or that it may be.

    `check` raises for a decoded frame that couldn't be handed to whoever asks for it later. Raises
    ImageTooLarge, and MemoryError where decoding takes more than there is.
    """
    seen = _Seen()
    exclusion = _find_exclusion(content, header, seen, check)
    return Proof(exclusion, remarks_on_object(header, seen.profile_use))


def _find_exclusion(
    content: bytes, header: DicomHeader, seen: _Seen, check: Callable[[Frame], None]
) -> Exclusion:
    if not header.geometry.frames or header.sop_class_uid in RESULTS:
        return _describe_absence(header)
    try:
        _prove_frames(content, header.geometry.frames, seen, check)
    except UnsupportedTransferSyntax:
        name = UID(header.transfer_syntax_uid).name
        return Exclusion(
            "unsupported_transfer_syntax",
            f"Its transfer syntax ({name[:200]}) can't be decoded here.",
        )
    except DecoderImageTooLarge as error:
        raise too_large(error) from error
    except MLError as error:
        logger.info("Instance %s: %s", header.sop_instance_uid, error.code)
        return UNREADABLE
    except MemoryError:
        raise
    except BaseException:
        # A decoder's own failure on one image; the file is whole and is kept. Decoders that are
        # written in Rust panic with what is no Exception.
        logger.exception("A decoder failed on instance %s", header.sop_instance_uid)
        return UNREADABLE
    if seen.is_blank:
        return Exclusion("constant_image", "All of its pixels have the same value.")
    return Exclusion()


def too_large(error: DecoderImageTooLarge) -> ImageTooLarge:
    """The refusal of an image that a decoder finds too large."""
    size, limit = (pixels_in_words(error.context[name]) for name in ("pixels", "limit"))
    return ImageTooLarge(size=size, limit=limit)


def _prove_frames(content: bytes, count: int, seen: _Seen, check: Callable[[Frame], None]) -> None:
    """Decode the middle, first and last frame, and more as time allows, as they would be shown.

    Raises the errors of `ml.images.iterate_frames`, and those of `check`.
    """
    until = time.process_time() + PROOF_SECONDS
    for number, frame in enumerate(iterate_frames(content, _spread(count)), start=1):
        check(frame)
        seen.is_blank = seen.is_blank and frame.is_constant
        seen.profile_use = frame.profile_use
        if number >= ALWAYS_PROVED and time.process_time() > until:
            break


def _spread(count: int) -> Iterator[int]:
    """Every frame once: the middle, first and last one, then those between, ever closer."""
    steps = (count >> halvings for halvings in range(1, count.bit_length()))
    closer = chain.from_iterable(range(0, count, step) for step in steps)
    seen = set[int]()
    for index in chain((count // 2, 0, count - 1), closer):
        if index not in seen:
            seen.add(index)
            yield index


def _describe_absence(header: DicomHeader) -> Exclusion:
    kind = UID(header.sop_class_uid).name.removesuffix(" Storage")[:200]
    match header.geometry.absence:
        case Absence.ON_A_SERVER:
            return Exclusion(
                "pixels_elsewhere",
                "Its pixels lie on another server, from where they are fetched by JPIP.",
            )
        case Absence.IN_A_PRIVATE_ELEMENT:
            return Exclusion(
                "pixels_elsewhere",
                "Its pixels lie in a private element of its manufacturer (ELSCINT1), which can't "
                "be decoded here.",
            )
        case Absence.HEADER_ALONE:
            return Exclusion(
                "no_pixels",
                f"It is the header of an image ({kind}) without the pixels; if there is a picture "
                "where it came from, send it again.",
            )
    if "Image" in kind:
        return Exclusion("no_pixels", f"It is the header of an image ({kind}) without the pixels.")
    return Exclusion("not_an_image", f"It is not an image but: {kind}.")
