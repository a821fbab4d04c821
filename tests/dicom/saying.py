"""An object that says something of every attribute of the table, and what it says."""

from typing import Any

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from records.dicom.attributes import ATTRIBUTES, READ, Attribute, inside
from tests.dicom.files import make_dicom, make_item

BY_VR = {
    "DA": "20240315",
    "TM": "103015.500000",
    "IS": 7,
    "PN": "Said^Name=山田^太郎=やまだ^たろう",
}
OF_ITS_OWN = {
    "TimezoneOffsetFromUTC": "+0100",
    "Modality": "CT",
    "ModalitiesInStudy": "CT",
    "PhotometricInterpretation": "MONOCHROME2",
    "PatientSex": "F",
    "SOPClassUID": CTImageStorage,
    "AvailableTransferSyntaxUID": ExplicitVRLittleEndian,
    "InstanceAvailability": "ONLINE",
    "NumberOfStudyRelatedSeries": 1,
    "NumberOfStudyRelatedInstances": 1,
    "NumberOfSeriesRelatedInstances": 1,
    "Rows": 16,
    "Columns": 16,
    "BitsStored": 16,
    "NumberOfFrames": 1,
}
"""What a CT slice of `make_dicom` can say alone, and what is counted of one."""


def say(attribute: Attribute) -> Any:
    """What the object says: a text of the attribute's own, where its VR leaves that open."""
    if attribute.keyword in OF_ITS_OWN:
        return OF_ITS_OWN[attribute.keyword]
    if attribute.vr == "UI":
        return generate_uid(entropy_srcs=[attribute.keyword])
    return BY_VR.get(attribute.vr, f"SAID{attribute.tag[-8:]}")


def make_telling_dicom() -> bytes:
    """The object as a file."""
    of_others = {"PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate"}
    of_others |= {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"}
    said = {one.keyword: say(one) for one in ATTRIBUTES if one.keyword in of_others}
    said |= {one.keyword: say(one) for one in READ if one.vr != "SQ"}
    for sequence in (one for one in READ if one.vr == "SQ"):
        item = {one.own_keyword: say(one) for one in inside(sequence)}
        said[sequence.keyword] = [make_item(**item)]
    return make_dicom(**said)
