"""What the beginning of a file says that may decide which department it is for."""

from collections.abc import Iterable, Iterator

from django.core.files.uploadedfile import UploadedFile

from records.dicom.reading.declared import DeclaredFields
from records.dicom.reading.identity import FIRST_BYTES, identify
from records.dicom.reading.sniff import Kind, sniff
from records.errors import FileRejected, IntakeFailed
from records.files.spool import Readable
from records.files.upload_handler import SpooledUpload
from records.models import RoutingFacts
from records.services import declared_facts


class Peeked:
    """A stream whose first bytes were looked at; `identity` is what they say."""

    def __init__(self, source: Readable) -> None:
        """Read the first bytes."""
        self._source = source
        self._first = bytearray()
        while len(self._first) < FIRST_BYTES:
            data = source.read(FIRST_BYTES - len(self._first))
            if not data:
                break
            self._first += data
        self.identity = identify(bytes(self._first))

    def read(self, size: int = -1, /) -> bytes:
        """Return the first bytes again, then those that follow."""
        if not self._first:
            return self._source.read(size)
        taken = bytes(self._first[:size] if size > 0 else self._first)
        del self._first[: len(taken)]
        return taken

    @property
    def facts(self) -> RoutingFacts:
        """What of the object may decide where it is filed."""
        said = self.identity
        return RoutingFacts(said.modality.upper(), said.body_part.upper(), said.source_ae_title)


def facts_of_uploads(
    uploads: Iterable[UploadedFile], declared: DeclaredFields
) -> Iterator[RoutingFacts]:
    """Tell of each file in turn; of pictures and archives, what was declared with them.

    Where there is no file yet, what was declared is all there is.
    """
    stated = declared_facts(declared)
    uploads = list(uploads)
    for upload in uploads:
        yield _header_facts(upload).or_else(stated)
    if not uploads:
        yield stated


def _header_facts(upload: UploadedFile) -> RoutingFacts:
    """What the first bytes of a DICOM file say; nothing of any other."""
    if not isinstance(upload, SpooledUpload):
        return RoutingFacts()
    try:
        path = upload.path
        if sniff(path) not in (Kind.DICOM, Kind.BARE_DICOM):
            return RoutingFacts()
    except (FileRejected, IntakeFailed):
        return RoutingFacts()
    with path.open("rb") as stream:
        return Peeked(stream).facts
