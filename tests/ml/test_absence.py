"""Objects whose pixels are elsewhere, and files that were cut short: each told for what it is."""

import io
import zlib

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    HEVCMP51,
    MPEG2MPML,
    MPEG4HP41,
    UID,
    JPEGBaseline8Bit,
)

from ml.errors import ImageHasNoPixels, ImageTruncated, UnsupportedTransferSyntax
from ml.images import read_frames
from tests.ml.pictures import encode_picture, make_dicom, make_encapsulated, save

JPIP_REFERENCED, JPIP_REFERENCED_DEFLATE = "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95"

STORED = np.arange(48, dtype=np.uint16).reshape(6, 8)


def without_pixels(**fields) -> bytes:
    dataset = dcmread(io.BytesIO(make_dicom(STORED)))
    del dataset.PixelData
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    return save(dataset)


def test_header_without_pixels_is_no_truncated_file() -> None:
    content = without_pixels()
    with pytest.raises(ImageHasNoPixels, match="header of an image without its pixels"):
        read_frames(content)
    for end in (content[:-3], content + b"\xe0\x7f\x10\x00"):
        with pytest.raises(ImageTruncated):
            read_frames(end)


@pytest.mark.parametrize("syntax", [JPIP_REFERENCED, JPIP_REFERENCED_DEFLATE])
def test_pixels_on_a_server_are_said_to_be_there(syntax) -> None:
    dataset = dcmread(io.BytesIO(without_pixels(PixelDataProviderURL="http://pacs/jpip?1")))
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    content = save(dataset)
    if syntax == JPIP_REFERENCED_DEFLATE:
        content = deflated(content)
    with pytest.raises(ImageHasNoPixels, match="JPIP"):
        read_frames(content)


def deflated(content: bytes) -> bytes:
    start = 144 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(wbits=-15)
    return content[:start] + packer.compress(content[start:]) + packer.flush()


def test_pixels_in_a_private_element_are_said_to_be_there() -> None:
    dataset = dcmread(io.BytesIO(without_pixels()))
    block = dataset.private_block(0x07A1, "ELSCINT1", create=True)
    block.add_new(0x0A, "OB", bytes(64))
    block.add_new(0x11, "CS", "PMSCT_RLE1")
    with pytest.raises(ImageHasNoPixels, match="private element"):
        read_frames(save(dataset))


@pytest.mark.parametrize("syntax", [MPEG2MPML, MPEG4HP41, HEVCMP51, "1.2.840.10008.1.2.4.110"])
@pytest.mark.parametrize("photometric", ["YBR_PARTIAL_420", "YBR_FULL_422", "RGB"])
def test_video_is_a_syntax_that_is_not_decoded_whatever_else_it_says(syntax, photometric) -> None:
    content = make_encapsulated(
        [b"\0\0\1\xba" + bytes(400)],
        np.zeros((6, 8, 3), np.uint8),
        syntax=syntax,
        NumberOfFrames=50,
        PhotometricInterpretation=photometric,
    )
    with pytest.raises(UnsupportedTransferSyntax):
        read_frames(content)


def test_stated_frames_are_read_where_more_are_stored() -> None:
    pictures = [np.full((8, 8), level, np.uint8) for level in (10, 120, 240)]
    streams = [encode_picture(one, "JPEG", quality=95) for one in pictures]
    halves = [part for one in streams for part in (one[:100], one[100:])]
    for fragments in (streams, halves):
        for count in (1, 2):
            content = make_encapsulated(
                fragments, pictures[0], syntax=JPEGBaseline8Bit, NumberOfFrames=count
            )
            levels = [int(frame.pixels.mean()) for frame in read_frames(content)]
            assert levels == [10, 120][:count]
