"""Whether an object's pixels can be read, proved by decoding frames of it."""

import logging
import time
from collections.abc import Iterator
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
from ml.images import iterate_frames
from records.errors import ImageTooLarge
from records.intake.header import DicomHeader

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


UNREADABLE = Exclusion("pixels_unreadable", "Its pixels are damaged or can't be decoded here.")


def find_exclusion(content: bytes, header: DicomHeader) -> Exclusion:
    """Tell why a network must not be shown this object, or that it may be.

    Raises ImageTooLarge, and MemoryError where decoding takes more than there is.
    """
    if not header.geometry.frames or header.sop_class_uid in RESULTS:
        return Exclusion("not_an_image", _describe(header))
    try:
        is_constant = _prove_frames(content, header.geometry.frames)
    except UnsupportedTransferSyntax:
        name = UID(header.transfer_syntax_uid).name
        return Exclusion(
            "unsupported_transfer_syntax",
            f"Its transfer syntax ({name[:200]}) can't be decoded here.",
        )
    except DecoderImageTooLarge as error:
        raise ImageTooLarge(size=f"{error.context['pixels']} pixels") from error
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
    if is_constant:
        return Exclusion("constant_image", "All of its pixels have the same value.")
    return Exclusion()


def _prove_frames(content: bytes, count: int) -> bool:
    """Decode the middle, first and last frame, and more as time allows; tell whether all are blank.

    Raises the errors of `ml.images.iterate_frames`.
    """
    is_blank, until = True, time.process_time() + PROOF_SECONDS
    for number, frame in enumerate(iterate_frames(content, _spread(count)), start=1):
        is_blank = is_blank and frame.is_constant
        if number >= ALWAYS_PROVED and time.process_time() > until:
            break
    return is_blank


def _spread(count: int) -> Iterator[int]:
    """Every frame once: the middle, first and last one, then those between, ever closer."""
    steps = (count >> halvings for halvings in range(1, count.bit_length()))
    closer = chain.from_iterable(range(0, count, step) for step in steps)
    seen = set[int]()
    for index in chain((count // 2, 0, count - 1), closer):
        if index not in seen:
            seen.add(index)
            yield index


def _describe(header: DicomHeader) -> str:
    kind = UID(header.sop_class_uid).name.removesuffix(" Storage")[:200]
    if "Image" in kind:
        return f"It is the header of an image ({kind}) without the pixels."
    return f"It is not an image but: {kind}."
