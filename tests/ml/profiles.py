"""ICC profiles made for the tests, whose effect nobody can overlook."""

import functools
import struct

from PIL import ImageCms

HEADER_BYTES = 128


@functools.cache  # it says in which second it was made
def swapping_profile() -> bytes:
    """sRGB with its red and blue primaries exchanged: red is shown as blue."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">L", content, HEADER_BYTES)
    places = {
        bytes(content[at : at + 4]): at
        for at in range(HEADER_BYTES + 4, HEADER_BYTES + 4 + 12 * count, 12)
    }
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    content[red : red + 4], content[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(content)


def linear_grey_profile() -> bytes:
    """Grey levels that are proportional to light."""
    white = b"XYZ " + bytes(4) + struct.pack(">3l", 0xF6D6, 0x10000, 0xD32D)
    curve = b"curv" + bytes(4) + struct.pack(">L", 0)
    text = b"desc" + bytes(4) + struct.pack(">L", 2) + b"g\0" + bytes(78)
    copyright_ = b"text" + bytes(4) + b"none\0\0\0\0"
    tags, at, body = [], HEADER_BYTES + 4 + 12 * 4, b""
    for name, data in ((b"desc", text), (b"cprt", copyright_), (b"wtpt", white), (b"kTRC", curve)):
        data += bytes(-len(data) % 4)
        tags.append(name + struct.pack(">LL", at + len(body), len(data)))
        body += data
    size = at + len(body)
    header = struct.pack(">L4sL4s4s4s", size, bytes(4), 0x02200000, b"mntr", b"GRAY", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28)
    header += struct.pack(">3l", 0xF6D6, 0x10000, 0xD32D)
    return header.ljust(HEADER_BYTES, b"\0") + struct.pack(">L", len(tags)) + b"".join(tags) + body
