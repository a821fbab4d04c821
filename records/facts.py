"""What of files that lie here may decide which department they are for."""

from collections.abc import Iterable, Iterator

from django.core.files.uploadedfile import UploadedFile

from records.dicom.reading.declared import DeclaredFields
from records.dicom.reading.sniff import Kind, sniff
from records.errors import FileRejected, IntakeFailed
from records.files.upload_handler import SpooledUpload
from records.identify import Peeked
from records.models import RoutingFacts
from records.services import declared_facts


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
        return Peeked(stream).identity.facts
