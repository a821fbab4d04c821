"""An object's DICOM JSON, made once and kept: all of it but the addresses of whoever asks.

Two lines of members, those before Retrieve URL (0008,1190) and those after it, packed. Addresses
of bulk data begin where the object's own address ends.
"""

import hashlib
import zlib
from pathlib import Path

import pydicom
from pydicom.dataelem import RawDataElement

from ml.inflating import inflate
from records.dicom.reading import stored
from records.dicom.reading.stored import StoredObject, read_stored, vr_of
from records.dicom.reading.values import PARSE_ERRORS
from records.dicom.writing import dicom_json
from records.dicom.writing.dicom_json import BINARY_VRS, JsonObject, element, metadata, to_text

RETRIEVE_URL = "00081190"
BULK_DATA = '"BulkDataURI":"'
"""Nothing but an address of bulk data reads so: a quotation mark inside of a text has a stroke."""
LONGEST_KEPT = 256 * 1024
LONGEST = 64 * 1024 * 1024


def _version() -> str:
    """A digest of all that decides what is written here, so that no older text outlives it."""
    digest = hashlib.sha256(pydicom.__version__.encode())
    for source in (__file__, dicom_json.__file__, stored.__file__):
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()[:16]


VERSION = _version()


def describe(content: bytes, *, syntax: str) -> bytes:
    """Describe a stored file, whose transfer syntax is `syntax`, in packed form.

    Raises what pydicom does for a broken file.
    """
    return _pack(read_stored(content), syntax)


def describe_briefly(content: bytes, *, syntax: str) -> bytes | None:
    """The same, or None where the header is too long to be kept or can't be read so."""
    try:
        found = read_stored(content)
        if _left_texts(found) > LONGEST_KEPT:
            return None
        packed = _pack(found, syntax)
    except (*PARSE_ERRORS, MemoryError):
        return None
    return packed if len(packed) <= LONGEST_KEPT else None


def compose(packed: bytes, *, url: str) -> str:
    """The JSON text of an object at the address `url`. Raises ValueError for no description."""
    text = inflate(packed, limit=LONGEST, is_zlib=True).decode()
    before, line, after = text.partition("\n")
    if not line:
        raise ValueError("it is no description")
    addressed = to_text(dict([element("RetrieveURL", url)]))[1:-1]
    bulk_url = to_text(f"{url}/bulkdata")[1:-1]
    members = (part.replace(BULK_DATA, BULK_DATA + bulk_url) for part in (before, after))
    first, last = members
    return "{" + ",".join(filter(None, (first, addressed, last))) + "}"


def _pack(found: StoredObject, syntax: str) -> bytes:
    document = metadata(found, bulk_url="")
    document |= [element("AvailableTransferSyntaxUID", syntax)]
    document.pop(RETRIEVE_URL, None)
    before = {tag: value for tag, value in document.items() if tag < RETRIEVE_URL}
    after = {tag: value for tag, value in sorted(document.items()) if tag > RETRIEVE_URL}
    return zlib.compress(f"{_members(before)}\n{_members(after)}".encode(), level=4)


def _members(document: JsonObject) -> str:
    return to_text(document)[1:-1]


def _left_texts(found: StoredObject) -> int:
    """Bytes of long values that are written out, and not given as an address."""
    return sum(
        raw.length
        for raw in found.dataset.values()
        if isinstance(raw, RawDataElement) and raw.value is None and vr_of(raw) not in BINARY_VRS
    )
