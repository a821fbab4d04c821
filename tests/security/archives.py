"""Archives that cost more than they seem to, made by hand where a library would refuse."""

import io
import struct
import zipfile
import zlib

from tests.dicom.files import make_zip

MIB = 1024 * 1024


def nested_zeros(*, size: int = 50 * MIB, each: int = 50, outer: int = 5) -> bytes:
    """Zeros in an archive in an archive: a few KiB that unpack to gigabytes."""
    inner = make_zip({"zeros": bytes(size)})
    middle = make_zip({f"{number}.zip": inner for number in range(each)})
    return make_zip({f"{number}.zip": middle for number in range(outer)})


def chain(depth: int, ratio: int) -> bytes:
    """Archives inside each other, each of a small ratio of its own."""
    content = bytes(ratio * MIB)
    for _ in range(depth):
        content = make_zip({str(number): content for number in range(12)})
    return content


def self_like(copies: int) -> bytes:
    """An archive of archives of archives that are all the same."""
    content = make_zip({"a": b"not an image"})
    for _ in range(3):
        content = make_zip({f"{number}.zip": content for number in range(copies)})
    return content


class Forged:
    """An archive whose list of entries says what we like."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.listed: list[bytes] = []

    def local(self, name: str, packed: bytes, size: int, crc: int, method: int = 8) -> int:
        """Add bytes with a local header; returns where it begins."""
        start = len(self.body)
        head = struct.pack(
            "<IHHHHHIIIHH", 0x04034B50, 20, 0, method, 0, 33, crc, len(packed), size, len(name), 0
        )
        self.body += head + name.encode() + packed
        return start

    def list(
        self, name: str, start: int, packed: int, size: int, crc: int, method: int = 8
    ) -> None:
        """Name an entry in the list."""
        head = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, method, 0, 33, crc, packed,
                           size, len(name), 0, 0, 0, 0, 0, start)  # fmt: skip
        self.listed.append(head + name.encode())

    def close(self) -> bytes:
        """The whole archive."""
        entries = b"".join(self.listed)
        count = min(len(self.listed), 0xFFFF)
        end = struct.pack(
            "<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(entries), len(self.body), 0
        )
        return bytes(self.body) + entries + end


def deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


def one_entry_many_names(count: int, content: bytes, *, method: int = 8) -> bytes:
    """One set of bytes that `count` entries of the list point to."""
    forged, crc = Forged(), zlib.crc32(content)
    packed = deflate(content) if method == 8 else content
    start = forged.local("000000", packed, len(content), crc, method)
    for _ in range(count):
        forged.list("000000", start, len(packed), len(content), crc, method)
    return forged.close()


def quoting(count: int, kernel: bytes) -> bytes:
    """Each entry's stored bytes hold the local headers of all that come after it."""
    packed, crc = deflate(kernel), zlib.crc32(kernel)
    tail = Forged()
    tail.local(f"{count:06}", packed, len(kernel), crc)
    body, starts = bytes(tail.body), []
    for number in range(count - 1, 0, -1):
        one = Forged()
        one.local(f"{number:06}", body, len(body), zlib.crc32(body), 0)
        starts.append((number, len(one.body), len(body), zlib.crc32(body)))
        body = bytes(one.body)
    forged = Forged()
    forged.body += body
    for number, length, size, checksum in starts:
        forged.list(f"{number:06}", len(body) - length, size, size, checksum, 0)
    return forged.close()


def lying_sizes(content: bytes) -> bytes:
    """An entry that says to unpack to ten bytes, and unpacks to all of `content`."""
    forged, packed = Forged(), deflate(content)
    start = forged.local("a", packed, 10, zlib.crc32(content))
    forged.list("a", start, len(packed), 10, zlib.crc32(content))
    return forged.close()


def folders(count: int) -> bytes:
    """Nothing but folders."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            archive.writestr(zipfile.ZipInfo(f"{number}/"), b"")
    return buffer.getvalue()
