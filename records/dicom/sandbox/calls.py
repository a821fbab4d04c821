"""How the rest of the product has content read that came from outside.

Every method of a `Sandbox` takes an open file, and raises what reading it in this process would:
the errors of `records.dicom.errors` or of `ml.errors`, as which an overstepped limit and a dead
child appear too.
"""

import contextlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ml import errors as ml_errors
from ml.images import Frame
from records.dicom.errors import (
    DecodingCrashed,
    DecodingExhausted,
    FileRejected,
    ReaderKilled,
    ReadersUnavailable,
)
from records.dicom.reading.declared import DeclaredFields
from records.dicom.reading.limits import ContentLimits
from records.dicom.reading.statements import Statement
from records.dicom.sandbox.jobs import (
    JOBS,
    NAMES,
    Assembled,
    AssembledFile,
    Assembling,
    Conversion,
    Converted,
    Cut,
    Cutting,
    Decoding,
    Description,
    Examination,
    Examined,
    Extracted,
    Extraction,
    Listed,
    Listing,
    Rewriting,
    Rewritten,
    Stated,
    Stating,
    Unpacking,
    Wrapping,
)
from records.dicom.sandbox.pool import (
    ChildDied,
    ChildKilled,
    MemoryExceeded,
    NurseryGone,
    Pool,
    TimeExceeded,
)
from records.dicom.sandbox.wire import (
    OUTPUT_PER_PIXEL,
    ArrayReader,
    ArrayWriter,
    WireError,
    decode,
    encode,
)
from records.dicom.writing.photograph import PhotographUids

logger = logging.getLogger(__name__)

MIB = 1024 * 1024
# What a large file may take where that is more than the limits: it is held while it is read, once
# more in its parts, and its frames beside it. Small ones that unpack to as much may not.
MEMORY_PER_BYTE = 3
MEMORY_BESIDE = 128 * MIB
MEMORY_MOST = 4096 * MIB
# Decoding time beyond the limits. A child gives itself less: see `jobs.examine`.
SECONDS_BESIDE = 2
SECONDS_PER_MIB = 1
SECONDS_MOST = 60
# All of an object but its pixels; whoever asks for more of it gets the file as it is stored.
HEADER_BYTES = 64 * MIB


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What content may announce, and the memory that reading a file of usual size may take."""

    content: ContentLimits
    memory_bytes: int


class DecodingStopped(ml_errors.MLError):
    """A stored image took more to decode than is allowed, or its decoder died of it."""

    code = "decoding_stopped"
    message = "Decoding this image was stopped: {detail}."
    action = "Download the file and open it with the program that made it."


class ChildFailed(RuntimeError):
    """Something unexpected in a child; its place there, without the text, which may name people."""


class _Exhausted(Exception):
    """A limit was passed; says which, for people."""


class Sandbox:
    """Child processes that read files, and what each may take of the machine for it.

    `limits` and `spool` are asked anew for each file: the second is the directory for content
    that isn't in a file yet. `in_words` writes a number of bytes as people do.
    """

    def __init__(
        self,
        children: int,
        *,
        limits: Callable[[], SandboxLimits],
        spool: Callable[[], Path],
        in_words: Callable[[int], str],
    ) -> None:
        """Nothing is started before the first file; a forked process has children of its own."""
        self.pool = Pool(children)
        os.register_at_fork(after_in_child=self.pool.forget)
        self._limits = limits
        self._spool = spool
        self._in_words = in_words

    def examine(self, source: IO[bytes]) -> Examined:
        """Return what a DICOM file says of itself, and whether its pixels can be decoded.

        Raises FileRejected.
        """
        result: Examined = self._ask_about_upload(Examination(self._limits().content), source)
        return result

    def convert(
        self, source: IO[bytes], *, declared: DeclaredFields, uids: PhotographUids, number: int
    ) -> Converted:
        """Return the DICOM file of a picture, examined. Raises FileRejected."""
        question = Conversion(self._limits().content, declared, uids, number)
        result: Converted = self._ask_about_upload(question, source)
        return result

    def find_wrapping(self, source: IO[bytes]) -> bytes:
        """Return what makes a file of the bare data set that follows it. Raises FileRejected."""
        question = Wrapping(self._limits().content.header_seconds)
        return bytes(self._ask_about_upload(question, source).content)

    def decode_frames(self, source: IO[bytes], *, frames: list[int]) -> list[Frame]:
        """Decode frames, counted from 0. Raises the errors of `ml.images`, or DecodingStopped."""
        result: list[Frame] = self._ask_about_stored(Decoding(frames), source).frames
        return result

    def describe(self, source: IO[bytes], *, syntax: str) -> bytes:
        """Return the DICOM JSON of a stored object, packed (`records.dicom.writing.descriptions`).

        Raises DecodingStopped.
        """
        question = Description(syntax)
        return bytes(self._ask_about_stored(question, source, output=HEADER_BYTES).document)

    def extract(self, source: IO[bytes], *, path: str) -> Extracted:
        """Return one binary value of a stored object, or its place. Raises DecodingStopped."""
        result: Extracted = self._ask_about_stored(Extraction(path), source)
        return result

    def cut_frames(
        self, source: IO[bytes], *, frames: list[int], is_as_stored: bool
    ) -> list[NDArray[np.uint8]]:
        """Return the bytes of frames, counted from 0, as stored or as Explicit VR has them.

        Raises the errors of `ml.images`, or DecodingStopped.
        """
        result: Cut = self._ask_about_stored(Cutting(frames, is_as_stored), source)
        return result.frames

    def unpack(self, source: IO[bytes], *, frames: list[int]) -> list[NDArray[np.uint8]]:
        """Return the stored values of frames, counted from 0, colours as RGB, one after another.

        Raises the errors of `ml.images`, or DecodingStopped.
        """
        result: Cut = self._ask_about_stored(Unpacking(frames), source)
        return result.frames

    def state(self, source: IO[bytes]) -> Statement:
        """Return what a DICOM file says, however it is written. Raises DecodingStopped."""
        result: Stated = self._ask_about_stored(Stating(), source, output=HEADER_BYTES)
        try:
            return Statement.from_json(bytes(result.statement))
        except ValueError as error:
            raise DecodingStopped(detail="the decoder broke down") from error

    def rewrite(self, source: IO[bytes], *, syntax: str) -> Rewritten:
        """Return a stored object's file in another syntax, but for its pixels.

        Raises the errors of `ml.images`, or DecodingStopped.
        """
        result: Rewritten = self._ask_about_stored(Rewriting(syntax), source, output=HEADER_BYTES)
        return result

    def list_documents(self, source: IO[bytes], *, first: int, most: int) -> Listed:
        """Return what a text of DICOM JSON holds, some data sets at a time. Raises FileRejected."""
        result: Listed = self._ask_about_upload(Listing(first, most), source)
        return result

    def assemble(
        self,
        source: IO[bytes],
        *,
        first: int,
        syntaxes: list[str],
        text_bytes: int,
        values: dict[str, tuple[int, int]],
    ) -> list[AssembledFile]:
        """Return the files of data sets, at least one. Raises FileRejected.

        `source` holds the text of DICOM JSON, and after it bulk data at the places in `values`.
        """
        question = Assembling(first, syntaxes, text_bytes, values)
        result: Assembled = self._ask_about_upload(question, source)
        return result.files

    def _ask_about_upload(self, question: object, source: IO[bytes]) -> Any:
        try:
            return self._ask(question, source)
        except _Exhausted as error:
            raise DecodingExhausted(limit=str(error)) from error
        except NurseryGone as error:
            logger.error("No child can be had to read an upload")
            raise ReadersUnavailable from error
        except ChildKilled as error:
            # Such as by the system when its memory ends: the file may be sound.
            logger.error("A child that read an upload was killed")
            raise ReaderKilled from error
        except (ChildDied, WireError) as error:
            logger.warning("A child that read an upload died: %s", error)
            raise DecodingCrashed from error
        except ChildFailed as error:
            logger.error("Reading an upload failed unexpectedly: %s", error)
            raise DecodingCrashed from error

    def _ask_about_stored(
        self, question: object, source: IO[bytes], *, output: int | None = None
    ) -> Any:
        try:
            return self._ask(question, source, output=output)
        except _Exhausted as error:
            raise DecodingStopped(detail=f"it took more than {error}") from error
        except (ChildDied, ChildFailed, ChildKilled, WireError) as error:
            logger.warning("A child that read a stored file broke down: %s", error)
            raise DecodingStopped(detail="the decoder broke down") from error

    def _ask(self, question: object, source: IO[bytes], *, output: int | None = None) -> Any:
        """`output` is the most bytes of an answer, by default those of a frame."""
        name = NAMES[type(question)]
        with self._descriptor(source) as file, _new_output() as answers:
            share = self._share_for(os.fstat(file).st_size, output)
            message = {
                "job": name,
                "question": encode(question, ArrayWriter(answers)),
                "share": share,
            }
            try:
                answer = self.pool.ask(message, files=[file, answers], seconds=share["seconds"])
            except TimeExceeded as error:
                raise _Exhausted("the time it may take") from error
            except MemoryExceeded as error:
                raise _Exhausted(f"{self._in_words(share['memory'])} of memory") from error
            _log_notes(answer.get("notes"))
            if "result" not in answer:
                self._raise_known(answer, share)
            return decode(
                JOBS[name].result, answer["result"], ArrayReader(answers, share["output"])
            )

    def _share_for(self, size: int, output: int | None) -> dict[str, int]:
        """What a file of `size` bytes may take: bytes of memory and of output, and seconds."""
        limits = self._limits()
        memory = max(limits.memory_bytes, MEMORY_BESIDE + MEMORY_PER_BYTE * size)
        seconds = limits.content.header_seconds + SECONDS_BESIDE + SECONDS_PER_MIB * size // MIB
        return {
            "memory": min(memory, MEMORY_MOST),
            "seconds": min(seconds, SECONDS_MOST),
            "output": output or OUTPUT_PER_PIXEL * limits.content.frame_pixels,
        }

    def _raise_known(self, answer: dict[str, Any], share: dict[str, int]) -> NoReturn:
        match answer:
            case {"refused": str(code), "context": dict(context)} if code in _REFUSALS:
                raise _REFUSALS[code](**context)
            case {"undecodable": str(code), "context": dict(context)} if code in _UNDECODABLE:
                raise _UNDECODABLE[code](**context)
            case {"exhausted": "memory" | "output" as what}:
                raise _Exhausted(f"{self._in_words(share[what])} of {what}")
            case {"failed": str(place)}:
                raise ChildFailed(place)
        raise WireError("not an answer")

    @contextmanager
    def _descriptor(self, source: IO[bytes]) -> Iterator[int]:
        """The open file behind a stream; content that isn't in a file is put into one."""
        try:
            file = source.fileno()
        except (AttributeError, OSError):
            with tempfile.TemporaryFile(dir=self._spool()) as copy:
                while chunk := source.read(MIB):
                    copy.write(chunk)
                copy.flush()
                yield copy.fileno()
        else:
            yield file


_REFUSALS = {kind.code: kind for kind in FileRejected.__subclasses__()}
_UNDECODABLE = {kind.code: kind for kind in ml_errors.MLError.__subclasses__()}


@contextmanager
def _new_output() -> Iterator[int]:
    """A file in memory that the child writes its arrays into."""
    output = os.memfd_create("decoded", os.MFD_CLOEXEC)
    try:
        yield output
    finally:
        os.close(output)


def _log_notes(notes: object) -> None:
    for note in notes if isinstance(notes, list) else []:
        with contextlib.suppress(TypeError, ValueError):
            level, text = note
            logger.log(level, "%s", text)
