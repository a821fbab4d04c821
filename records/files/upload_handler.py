"""Files of a form or an API call on their way in: written once, where intake wants them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler

from accounts.errors import KnownError
from records.errors import FileRejected, IntakeFailed
from records.files.spool import Spool
from records.files.stores import Spooled


class SpooledUpload(UploadedFile):
    """A file that lies beside the store, or the reason why it doesn't."""

    def __init__(self, content: Spool | FileRejected | IntakeFailed, **described: Any) -> None:
        """Hold what the handler has written; `described` is what its sender says of it."""
        super().__init__(file=None, **described)
        self._content = content

    @property
    def sha256(self) -> str:
        """The hash of what came, empty where it was refused. Raises why it couldn't be kept."""
        if isinstance(self._content, IntakeFailed):
            raise self._content
        return self._content.finish().sha256 if isinstance(self._content, Spool) else ""

    @property
    def path(self) -> Path:
        """Where it lies, to be looked at. Raises why it isn't there."""
        if isinstance(self._content, KnownError):
            raise self._content
        return self._content.finish().path

    @contextmanager
    def lent(self) -> Iterator[Spooled]:
        """Lend the file once; it may be taken over. Raises why it isn't there."""
        if isinstance(self._content, KnownError):
            raise self._content
        try:
            yield self._content.finish()
        finally:
            self.close()

    def close(self) -> None:
        """Remove the file, as Django asks for at the end of the request."""
        if isinstance(self._content, Spool):
            self._content.discard()


class SpoolUploadHandler(FileUploadHandler):
    """Writes each file of a request to the spool. What is wrong with it is said when it is read.

    The rest of a file that can't be taken is read and dropped, so that its sender gets to hear
    the verdicts on the others.
    """

    chunk_size = 512 * 1024

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin a file."""
        super().new_file(*args, **kwargs)
        self._content: Spool | FileRejected | IntakeFailed
        try:
            self._content = Spool(limit=settings.INTAKE_MAX_FILE_BYTES)
        except (FileRejected, IntakeFailed) as refusal:
            self._content = refusal

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write what came."""
        if isinstance(self._content, Spool):
            try:
                self._content.write(raw_data)
            except (FileRejected, IntakeFailed) as refusal:
                self._content.discard()
                self._content = refusal

    def file_complete(self, file_size: int) -> SpooledUpload:
        """Hand the file over, closed: a request may have thousands."""
        if isinstance(self._content, Spool):
            self._content.finish()
        return SpooledUpload(
            self._content,
            name=self.file_name,
            content_type=self.content_type,
            size=file_size,
            charset=self.charset,
            content_type_extra=self.content_type_extra,
        )

    def upload_interrupted(self) -> None:
        """Remove the file whose sender broke off."""
        if isinstance(self._content, Spool):
            self._content.discard()
