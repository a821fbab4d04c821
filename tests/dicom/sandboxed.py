"""A sandbox with limits that are the tests' own: the library knows no settings."""

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from records.dicom.reading.limits import ContentLimits
from records.dicom.sandbox.calls import Sandbox, SandboxLimits
from tests.dicom.bombs import MIB

SPOOL = Path(tempfile.gettempdir())


@dataclass(slots=True)
class Limits:
    """What a test may change of the limits under which a file is read."""

    memory_bytes: int = 448 * MIB
    seconds: int = 3

    def read(self) -> SandboxLimits:
        """The limits as they are now."""
        content = ContentLimits(
            file_bytes=1024 * MIB,
            file_size="1 GB",
            frame_pixels=64_000_000,
            image_pixels=512_000_000,
            inflate_ratio=200,
            header_seconds=self.seconds,
        )
        return SandboxLimits(content, memory_bytes=self.memory_bytes)


limits = Limits()
sandbox = Sandbox(
    1, limits=limits.read, spool=lambda: SPOOL, in_words=lambda number: f"{number} bytes"
)


def unpacked(content: bytes) -> bytes:
    """A file in Explicit VR Little Endian, as a child rewrites it for whoever asks for that."""
    header = dcmread(io.BytesIO(content), stop_before_pixels=True)
    if header.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian:
        return content
    rewritten = sandbox.rewrite(io.BytesIO(content), syntax=ExplicitVRLittleEndian)
    if rewritten.copied is not None:
        start, length = rewritten.copied
        pixels = content[start : start + length]
    else:
        frames = list(range(rewritten.frame_count))
        cut = sandbox.cut_frames(io.BytesIO(content), frames=frames, is_as_stored=False)
        pixels = b"".join(frame.tobytes() for frame in cut)
    after = b"" if rewritten.after is None else rewritten.after.tobytes()
    return rewritten.before.tobytes() + pixels + b"\0" * (len(pixels) % 2) + after
