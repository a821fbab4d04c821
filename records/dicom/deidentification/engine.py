"""One image without its patient: every attribute at every depth, the file's wrapping included."""

import io
import struct
from dataclasses import dataclass

from PIL import ImageCms
from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian

from records.dicom.deidentification.marks import put_marks
from records.dicom.deidentification.profile import Action, Options, action_for, is_known
from records.dicom.deidentification.pseudonyms import Pseudonyms
from records.dicom.deidentification.values import (
    TEXT_VRS,
    dummy,
    emptied,
    harmless,
    may_stay,
    shifted,
)
from records.dicom.deidentification.vocabulary import find_code
from records.dicom.errors import ExportUnreadable
from records.dicom.reading.values import PARSE_ERRORS

DEEPEST = 32
_DATED = slice(24, 36)
"""Where the header of an ICC profile says when it was made (ICC.1:2022, 7.2)."""
CODE_KEYWORDS = frozenset({"CodeValue", "LongCodeValue", "URNCodeValue", "CodeMeaning"})


def deidentify(image: Dataset, *, options: Options, pseudonyms: Pseudonyms) -> bytes:
    """Return the file of an image that `open_image` has read and a person or check has cleared.

    What comes out is an allow-list: an attribute is there because the profile keeps it and its
    value could be shown to be harmless. Raises ExportUnreadable.
    """
    try:
        result = _Cleaner(options, pseudonyms).clean(image)
        put_marks(result, options)
        return _written(result)
    except PARSE_ERRORS as error:
        raise ExportUnreadable from error


@dataclass(frozen=True, slots=True)
class _Cleaner:
    options: Options
    pseudonyms: Pseudonyms

    def clean(self, source: Dataset, depth: int = 0) -> Dataset:
        """A copy of `source` that holds only what may leave."""
        result = Dataset()
        for tag in source.keys():  # noqa: SIM118 - iterating a data set decodes every element
            if not is_known(tag):
                continue
            element = _decoded(source, tag)
            cleaned = self._cleaned(element, depth) if element is not None else None
            if cleaned is not None:
                result.add(cleaned)
        return result

    def _cleaned(self, element: DataElement, depth: int) -> DataElement | None:
        if element.keyword == "PixelData":
            return element if depth == 0 else None
        if element.keyword == "ICCProfile":
            return DataElement(element.tag, "OB", _standard_profile())
        vr = dictionary_VR(element.tag)
        action = self._action(element, vr)
        if action is Action.REMOVE:
            return None
        if vr == "SQ":
            items = [] if action is Action.EMPTY else self._items(element, depth)
            return DataElement(element.tag, "SQ", Sequence(items))
        return _made(element, vr, self._value(element, vr, action))

    def _action(self, element: DataElement, vr: str) -> Action | None:
        """What the table says; a text that an option keeps has to be harmless, too."""
        action = action_for(element.tag, vr, self.options)
        is_risky = action is Action.KEEP and vr in TEXT_VRS
        if is_risky and not may_stay(element, self.options):
            return action_for(element.tag, vr)
        return action

    def _value(self, element: DataElement, vr: str, action: Action | None) -> object:
        """The value that stands in the copy; None for an empty one."""
        keyword = element.keyword
        if element.is_empty and keyword != "PatientID":
            return None
        if action is Action.DUMMY:
            return dummy(keyword, vr, self.pseudonyms)
        if action is Action.EMPTY:
            return emptied(keyword, element.value, self.pseudonyms)
        if action is Action.CLEAN:
            return shifted(element, vr, self.pseudonyms)
        return harmless(element, vr, self.options, self.pseudonyms)

    def _items(self, element: DataElement, depth: int) -> list[Dataset]:
        if depth >= DEEPEST or not isinstance(element.value, Sequence):
            return []
        cleaned = [self._item(item, depth + 1) for item in element.value]
        return [item for item in cleaned if len(item)]

    def _item(self, item: Dataset, depth: int) -> Dataset:
        """A coded item keeps a published code, under its published meaning; others go."""
        if not any(keyword in item for keyword in CODE_KEYWORDS):
            return self.clean(item, depth)
        code = find_code(item)
        if code is None:
            return Dataset()
        result = self.clean(item, depth)
        for nested in [entry.tag for entry in result if entry.VR != "SQ"]:
            del result[nested]
        result.CodeValue, result.CodingSchemeDesignator, result.CodeMeaning = code
        return result


def _decoded(source: Dataset, tag: BaseTag) -> DataElement | None:
    try:
        return source[tag]
    except PARSE_ERRORS:
        return None


def _made(element: DataElement, vr: str, value: object) -> DataElement | None:
    """The element with its new value; nothing where even that can't be written."""
    if " or " in vr:
        if value is None:
            return None
        vr = element.VR
    try:
        return DataElement(element.tag, vr, value)
    except PARSE_ERRORS:
        return DataElement(element.tag, vr, None)


def _standard_profile() -> bytes:
    """The colour space most images are in anyway: a camera's own profile may hold text.

    It is dated 2000, not now: an image that is released twice is the same file twice.
    """
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[: _DATED.start] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + made[_DATED.stop :]


def _written(result: Dataset) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = result.SOPClassUID
    meta.MediaStorageSOPInstanceUID = result.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result.file_meta = meta
    result.preamble = b"\0" * 128
    buffer = io.BytesIO()
    dcmwrite(buffer, result, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()
