"""Which library decodes which compression, in which order, and why in that order."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from ml.errors import ImageTruncated
from ml.images.codestream import Codestream, keep_essentials
from ml.images.colour import finish_colours
from ml.images.image_pixel import ImagePixel
from ml.images.native import clear_unused_bits
from ml.images.scans import decode_whole

Stored = NDArray[Any]
Decode = Callable[[bytes, Codestream, ImagePixel], Stored]

# gdcm tries its 8-bit JPEG library first and complains of every deeper image.
gdcm.Trace.WarningOff()
gdcm.Trace.ErrorOff()


class AllDecodersFailed(Exception):
    """No decoder could read the frame; `args` hold what each said, in their order."""


def decode_with_pydicom(
    uid: UID, plugin: str, data: bytes, stream: Codestream, image: ImagePixel
) -> Stored:
    """One frame by the named plugin of pydicom, of the kind that `uid` stands for."""
    depth = stream.precision or image.bits_allocated
    allocated = image.bits_allocated if stream.kind == "RLE" else _container_bits(depth)
    options: dict[str, Any] = {
        "pixel_keyword": "PixelData",
        "rows": image.rows,
        "columns": image.columns,
        "number_of_frames": 1,
        "samples_per_pixel": image.samples,
        "planar_configuration": int(image.is_planar),
        "photometric_interpretation": image.photometric,
        "pixel_representation": int(image.is_signed),
        "bits_allocated": allocated,
        "bits_stored": depth,
    }
    pixels, description = get_decoder(uid).as_array(
        encapsulate([data], has_bot=False),
        index=0,
        raw=True,
        validate=False,
        decoding_plugin=plugin,
        **options,
    )
    lying = lie_in_stream(stream, image)
    values = clear_unused_bits(np.asarray(pixels), lying)
    if image.samples == 1:
        return values
    # The stream may hold other colours than the header says, and JPEG 2000's come out as RGB.
    photometric = str(description["photometric_interpretation"])
    if stream.has_colour_transform:
        photometric = "RGB"
    return finish_colours(values, lying.bits_stored, photometric, keeps_depth=image.keeps_depth)


def lie_in_stream(stream: Codestream, image: ImagePixel) -> ImagePixel:
    """The image with Bits Stored and High Bit as they are in the samples of its stream.

    Samples of more than Bits Stored are whole cells, compressed with whatever else lies in them.
    Otherwise, and where the header keeps what was true before compression, the stream decides.
    """
    depth = stream.precision or image.bits_allocated
    if image.bits_stored < depth <= image.bits_allocated and image.high_bit < depth:
        return image
    return replace(image, bits_stored=depth, high_bit=depth - 1)


def _decode_with_gdcm(data: bytes, stream: Codestream, image: ImagePixel) -> Stored:
    """One grey frame of a JPEG of 12 bits, which pydicom's plugin refuses to ask gdcm for.

    gdcm carries the Independent JPEG Group's library built for 12 bits, as dcmtk does. It ends the
    process over a header that this library warns of, so it gets no more of one than it needs.
    """
    if image.samples != 1 or stream.precision != 12:
        raise NotImplementedError(f"{image.samples} samples of {stream.precision} bits")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(keep_essentials(data))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    picture = gdcm.Image()
    picture.SetNumberOfDimensions(2)
    picture.SetDimensions((image.columns, image.rows, 1))
    picture.SetDataElement(element)
    picture.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    )
    syntax = gdcm.TransferSyntax.GetTSType(str(JPEGExtended12Bit))
    picture.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    picture.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, 0))
    decoded = picture.GetBuffer()
    if decoded is None:
        raise ValueError("gdcm can't decode it")
    values = np.frombuffer(decoded.encode("utf-8", "surrogateescape"), np.uint16)
    signed = values.view(np.int16 if image.is_signed else np.uint16)
    return clear_unused_bits(
        signed.reshape(image.rows, image.columns), lie_in_stream(stream, image)
    )


def _container_bits(depth: int) -> int:
    return 8 if depth <= 8 else 16 if depth <= 16 else 32


def _through(uid: UID, plugin: str) -> Decode:
    return partial(decode_with_pydicom, uid, plugin)


def _whole(decode: Decode, *, is_strict: bool = False) -> Decode:
    """The same decoder, told to refuse a JPEG that it would show with something made up."""

    def decode_stream(data: bytes, stream: Codestream, image: ImagePixel) -> Stored:
        return decode_whole(data, lambda one: decode(one, stream, image), is_strict=is_strict)

    return decode_stream


# Chosen by tests/ml/test_transfer_syntaxes.py: agreement with dcmtk first, then whether a damaged
# stream is noticed (a later decoder must not show what an earlier one refused), then speed.
# gdcm decodes nearly all of them, and ends the whole process over some damaged ones: it gets but
# what no other library decodes as well, and is the second opinion of the tests.
DECODERS: dict[str, dict[str, Decode]] = {
    # pylibjpeg's transform differs from dcmtk's by up to 3 levels, and it shows a cut stream.
    "JPEG 8": {"pillow": _whole(_through(JPEGBaseline8Bit, "pillow"))},
    # gdcm gives dcmtk's values exactly, of progressive scans too; pylibjpeg may be one off, and
    # notices where a scan of these ends early.
    "JPEG 12": {
        "gdcm": _whole(_decode_with_gdcm, is_strict=True),
        "pylibjpeg": _through(JPEGExtended12Bit, "pylibjpeg"),
    },
    "JPEG lossless": {"pylibjpeg": _whole(_through(JPEGLossless, "pylibjpeg"))},
    # pylibjpeg decodes these too, and a damaged stream as noise.
    "JPEG LS": {"pyjpegls": _through(JPEGLSNearLossless, "pyjpegls")},
    # OpenJPEG in two versions, the newer one first.
    "J2K": {"pylibjpeg": _through(JPEG2000, "pylibjpeg"), "pillow": _through(JPEG2000, "pillow")},
    "HTJ2K": {"pylibjpeg": _through(HTJ2K, "pylibjpeg")},
    # Both exact; pylibjpeg's is compiled.
    "RLE": {
        "pylibjpeg": _through(RLELossless, "pylibjpeg"),
        "pydicom": _through(RLELossless, "pydicom"),
    },
}


def decode_codestream(data: bytes, stream: Codestream, image: ImagePixel) -> Stored:
    """A frame's values (HxW) or RGB colours (HxWx3), by the first decoder that can.

    Raises AllDecodersFailed, ImageTruncated where a later one might show what is missing, and
    MemoryError.
    """
    failures = []
    for name, decode in DECODERS[stream.kind].items():
        try:
            return decode(data, stream, image)
        except (ImageTruncated, MemoryError):
            raise
        except BaseException as error:
            # A panic of a decoder written in Rust is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            failures.append(f"{name}: {error}")
    raise AllDecodersFailed(*failures)
