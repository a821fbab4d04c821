"""Files of a form or an API call on their way in: written once, where intake wants them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler

from records.errors import FileRejected
from records.intake.storage import Spool, Spooled


class SpooledUpload(UploadedFile):
    """A file that lies beside the store, or the reason why it doesn't."""

    def __init__(self, spool: Spool | None, refusal: FileRejected | None, **described: Any) -> None:
        """Hold what the handler has written; `described` is what its sender says of it."""
        super().__init__(file=None, **described)
        self._spool = spool
        self._refusal = refusal

    @contextmanager
    def lent(self) -> Iterator[Spooled]:
        """Lend the file once; it may be taken over. Raises why it isn't there."""
        if self._refusal is not None or self._spool is None:
            raise self._refusal or ValueError("nothing was written")
        try:
            yield self._spool.finish()
        finally:
            self.close()

    def close(self) -> None:
        """Remove the file, as Django asks for at the end of the request."""
        if self._spool is not None:
            self._spool.discard()


class SpoolUploadHandler(FileUploadHandler):
    """Writes each file of a request to the spool. What is wrong with it is said when it is read.

    The rest of a file that can't be taken is read and dropped, so that its sender gets to hear
    the verdicts on the others.
    """

    chunk_size = 512 * 1024

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin a file."""
        super().new_file(*args, **kwargs)
        self._spool: Spool | None = None
        self._refusal: FileRejected | None = None
        try:
            self._spool = Spool(limit=settings.INTAKE_MAX_FILE_BYTES)
        except FileRejected as refusal:
            self._refusal = refusal

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write what came."""
        if self._spool is None:
            return
        try:
            self._spool.write(raw_data)
        except FileRejected as refusal:
            self._refusal = refusal
            self._drop()

    def file_complete(self, file_size: int) -> SpooledUpload:
        """Hand the file over, closed: a request may have thousands."""
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.finish()
        return SpooledUpload(
            spool,
            self._refusal,
            name=self.file_name,
            content_type=self.content_type,
            size=file_size,
            charset=self.charset,
            content_type_extra=self.content_type_extra,
        )

    def upload_interrupted(self) -> None:
        """Remove the file whose sender broke off."""
        self._drop()

    def _drop(self) -> None:
        if self._spool is not None:
            self._spool.discard()
            self._spool = None
