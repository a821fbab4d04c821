"""Files made to do harm: small ones that ask for more than there is."""

import random
import struct
import zlib

from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless

from tests.dicom.files import make_dicom, make_jpeg

MIB = 1024 * 1024


def nested(depth: int) -> bytes:
    """Sequences inside sequences, all of undefined length."""
    opening = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    whole = make_dicom()
    return whole[: whole.index(b"\xe0\x7f\x10\x00")] + opening * depth


def with_huge_value() -> bytes:
    """An element that announces 4 GB, and a few bytes after it."""
    whole = make_dicom()
    huge = struct.pack("<HH2sHI", 0x0009, 0x1001, b"UN", 0, 0xFFFFFFF0)
    return whole[: whole.index(b"\x10\x00\x10\x00PN")] + huge + b"few"


def with_meta_length(length: int) -> bytes:
    whole = bytearray(make_dicom(syntax=DeflatedExplicitVRLittleEndian))
    struct.pack_into("<I", whole, 140, length)
    return bytes(whole)


def deflated(megabytes: int) -> bytes:
    """A deflated data set of zeros: a thousandth of what it unpacks to."""
    whole = make_dicom(syntax=DeflatedExplicitVRLittleEndian, PixelData=b"")
    start = 144 + struct.unpack_from("<I", whole, 140)[0]
    elements = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, megabytes * MIB)
    parts = [packer.compress(zeros)] + [packer.compress(bytes(MIB)) for _ in range(megabytes)]
    return whole[:start] + b"".join(parts) + packer.compress(elements) + packer.flush()


def rle(side: int, *, more: int = 0) -> bytes:
    """Blank 16-bit pixels in runs of 128, two bytes each; `side` is a multiple of 128."""
    runs = b"\x81\x00" * (side * side // 128 + more)
    offsets = [64, 64 + len(runs)] + [0] * 13
    frame = struct.pack("<16I", 2, *offsets) + runs + runs
    return make_dicom(
        syntax=RLELossless,
        Rows=side,
        Columns=side,
        RescaleSlope="1.5",
        RescaleIntercept="-1024",
        PixelData=encapsulate([frame]),
    )


def jpeg_of_another_size() -> bytes:
    """A JPEG that announces 65,500 x 65,500 pixels inside an image of 16 x 16."""
    picture = bytearray(make_jpeg())
    start = picture.index(b"\xff\xc0")
    struct.pack_into(">HH", picture, start + 5, 65500, 65500)
    return make_dicom(
        syntax=JPEGBaseline8Bit,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="YBR_FULL_422",
        PixelData=encapsulate([bytes(picture)]),
    )


def padded(content: bytes, megabytes: int) -> bytes:
    """A file with bytes behind it that belong to nothing and can't be packed."""
    return content + random.Random(1).randbytes(megabytes * MIB)


def with_elements(megabytes: int) -> bytes:
    """A header of private elements without a value, eight bytes each."""
    elements = b"".join(
        struct.pack("<HH2sH", 0x0011 + 2 * (number // 0xF000), 0x1000 + number % 0xF000, b"LO", 0)
        for number in range(megabytes * MIB // 8)
    )
    whole = make_dicom()
    return whole[: whole.index(b"\xe0\x7f\x10\x00")] + elements


def with_items(megabytes: int) -> bytes:
    """A sequence of undefined length whose items are empty, eight bytes each."""
    opening = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * (megabytes * MIB // 8)
    whole = make_dicom()
    return whole[: whole.index(b"\xe0\x7f\x10\x00")] + opening + items


def with_fragments(megabytes: int) -> bytes:
    """Pixel data of empty fragments, eight bytes each."""
    item = b"\xfe\xff\x00\xe0\0\0\0\0"
    whole = make_dicom(syntax=RLELossless, PixelData=encapsulate([b"few"]))
    start = whole.rindex(b"\xe0\x7f\x10\x00") + 12
    return whole[:start] + item * (megabytes * MIB // 8)
