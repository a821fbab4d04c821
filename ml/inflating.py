"""Unpacking what somebody else deflated (RFC 1951), within a bound: it can hide a thousandfold."""

import zlib
from enum import Enum, auto


class Fault(Enum):
    """Why packed data gives nothing."""

    TOO_LARGE = auto()
    CUT_SHORT = auto()
    BROKEN = auto()


class NotInflated(ValueError):
    """Packed data unpacks to more than the limit, ends early, or isn't deflated at all."""

    def __init__(self, fault: Fault) -> None:
        """Say which of them it is."""
        super().__init__(fault.name.replace("_", " ").lower())
        self.fault = fault


def inflate(
    packed: bytes | memoryview, *, limit: int, is_zlib: bool = False, is_start: bool = False
) -> bytes:
    """Unpack deflated data of at most `limit` bytes; raises NotInflated.

    `is_zlib` takes data in zlib's own wrapping (RFC 1950). With `is_start` the first `limit` bytes
    are enough: whatever follows is left packed, and the data may end early.
    """
    inflater = zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
    try:
        # One byte more tells what is too large; zlib takes a limit of 0 for none.
        content = inflater.decompress(packed, limit + 1)
    except zlib.error as error:
        raise NotInflated(Fault.BROKEN) from error
    if is_start:
        return content[:limit]
    if len(content) > limit:
        raise NotInflated(Fault.TOO_LARGE)
    if not inflater.eof:
        raise NotInflated(Fault.CUT_SHORT)
    return content
