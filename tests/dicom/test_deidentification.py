"""What comes out of de-identification: the profile's words, whole pixels, valid files."""

import datetime as dt
import io
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageCms
from pydicom import DataElement, Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.uid import EncapsulatedPDFStorage, SegmentationStorage

from records.dicom.deidentification import (
    Options,
    Pseudonyms,
    Rectangle,
    blacken,
    deidentify,
    open_image,
)
from records.dicom.deidentification.dates import shift_date, shift_date_time
from records.dicom.deidentification.profile import rows
from records.dicom.errors import ExportNotAnImage, ExportUnreadable, RegionOutside
from tests.dicom.files import SAMPLES, make_dicom, make_report
from tests.dicom.planting import NAMES, PACKAGED
from tests.dicom.sandboxed import unpacked
from tests.prerequisites import require_program

KEEPING = Options(retain_dates=True, retain_device=True, retain_patient=True)
PATIENT = Pseudonyms(key=b"a key", subject="a patient")


def released(content: bytes, options: Options = Options(), who: Pseudonyms = PATIENT) -> Dataset:  # noqa: B008 - immutable
    image = open_image(io.BytesIO(unpacked(content)))
    return dcmread(io.BytesIO(deidentify(image, options=options, pseudonyms=who)))


# AE-2 of the standards page: what the basic profile says of the attributes everybody knows.
BASIC = {
    "PatientName": "Z",
    "PatientID": "Z/D",
    "PatientBirthDate": "Z",
    "PatientSex": "Z",
    "AccessionNumber": "Z",
    "StudyID": "Z",
    "ReferringPhysicianName": "Z",
    "StudyDate": "Z",
    "StudyTime": "Z",
    "SeriesDate": "X/D",
    "AcquisitionDate": "X/Z",
    "PatientAge": "X",
    "PatientAddress": "X",
    "OtherPatientIDs": "X",
    "MilitaryRank": "X",
    "EthnicGroup": "X",
    "EthnicGroupCodeSequence": "X",
    "GenderIdentityCodeSequence": "X",
    "NameToUse": "X",
    "Occupation": "X",
    "MedicalRecordLocator": "X",
    "InstitutionName": "X/Z/D",
    "InstitutionAddress": "X",
    "StationName": "X/Z/D",
    "OperatorsName": "X/Z/D",
    "StudyDescription": "X",
    "SeriesDescription": "X",
    "PatientComments": "X",
    "ImageComments": "X",
    "SecondaryCaptureDeviceID": "X",
    "UnformattedTextValue": "D",
    "WaveformAnnotationSequence": "X/D",
    "TableTopPositionAlignmentUID": "U",
    "FrameOfReferenceUID": "U",
    "ReferencedSOPInstanceUID": "U",
    "MediaStorageSOPInstanceUID": "U",
    "OverlayData": "X",
    "CurveData": "X",
    "DigitalSignaturesSequence": "X",
}


def test_table_says_of_well_known_attributes_what_the_standard_says():
    table = {row.keyword: row.basic for row in rows().values()}
    assert {keyword: table[keyword] for keyword in BASIC} == BASIC
    assert len(table) > 600


def test_deidentify_removes_the_patient_and_says_so():
    image = released(make_dicom(StudyDate="20200229", PatientAge="040Y", AccessionNumber="A1"))
    assert image.PatientID == image.PatientName == PATIENT.patient
    assert image.AccessionNumber == PATIENT.accession("A1")
    assert not image.PatientBirthDate
    assert not image.StudyDate
    assert not image.PatientSex
    assert "PatientAge" not in image
    assert image.PatientIdentityRemoved == "YES"
    assert image.BurnedInAnnotation == "NO"
    assert image.LongitudinalTemporalInformationModified == "REMOVED"
    codes = [item.CodeValue for item in image.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101"]
    assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID


def test_deidentify_keeps_what_the_options_keep():
    first = make_dicom(StudyDate="20200229", ContentDate="20200301", AcquisitionDateTime="20200229",
                       PatientAge="093Y", PatientWeight="70", Manufacturer="ACME",
                       DeviceSerialNumber="17")  # fmt: skip
    image = released(first, KEEPING)
    shifted = shift_date("20200229", PATIENT.shift)
    assert image.StudyDate == shifted != "20200229"
    assert image.ContentDate == shift_date("20200301", PATIENT.shift)
    assert image.AcquisitionDateTime == shifted
    assert not image.PatientBirthDate
    assert (image.PatientSex, image.PatientAge, image.PatientWeight) == ("F", "090Y", 70)
    assert (image.Manufacturer, image.DeviceSerialNumber) == ("ACME", "17")
    assert image.LongitudinalTemporalInformationModified == "MODIFIED"
    codes = [item.CodeValue for item in image.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101", "113107", "113108", "113109"]


def test_deidentify_keeps_a_device_uid_that_is_one():
    uid = "1.2.276.0.7.9"
    content = make_dicom(DeviceUID=uid, ManufacturerDeviceClassUID=[uid, "1.02.MRN"])
    image = released(content, Options(retain_device=True))
    assert image.DeviceUID == uid
    assert image.ManufacturerDeviceClassUID == [uid, PATIENT.uid("1.02.MRN")]
    assert released(content).DeviceUID == PATIENT.uid(uid)


def test_deidentify_keeps_an_ethnic_group_when_it_is_one():
    keeping = Options(retain_patient=True)
    assert released(make_dicom(EthnicGroup="White"), keeping).EthnicGroup == "White"
    assert "EthnicGroup" not in released(make_dicom(EthnicGroup="Erika"), keeping)
    assert "EthnicGroup" not in released(make_dicom(EthnicGroup="White"))


def test_deidentify_gives_a_device_no_dates_when_the_others_go():
    content = make_dicom(DateOfLastCalibration="20200229", CalibrationDateTime="20200229")
    image = released(content, Options(retain_device=True))
    assert "DateOfLastCalibration" not in image
    assert not image.CalibrationDateTime
    assert "DateOfLastCalibration" in released(content, KEEPING)


@pytest.mark.parametrize(
    ("keyword", "number", "left"),
    [
        ("SeriesNumber", "4912345678", None),
        ("SeriesNumber", "491234", None),
        ("SeriesNumber", "0000049123", 49123),
        ("SeriesNumber", "-1", -1),
        ("KVP", "123456789", None),
        ("KVP", "123456789e-7", None),
        ("KVP", "1.2e8", None),
        ("KVP", "120.0000000001", 120.0000000001),
        ("ImagePositionPatient", "-19595.5\\0\\4912345678", None),
        ("CountsAccumulated", "123456789", 123456789),
        ("CountsAccumulated", "1234567891", None),
        ("RadionuclideTotalDose", "3.7e8", 3.7e8),
    ],
)
def test_deidentify_keeps_a_number_when_it_is_as_long_as_its_attribute_needs(keyword, number, left):
    assert released(make_dicom(**{keyword: number}), KEEPING).get(keyword) == left


@pytest.mark.parametrize(
    ("keyword", "written", "left"),
    [
        ("RescaleSlope", "2,5", 2.5),
        ("NumberOfFrames", "1,0", 1),
        ("WindowCenter", "40,5\\N/A", [40.5, ""]),
        ("ImagePositionPatient", "1,5\\0\\here", None),
    ],
)
def test_deidentify_writes_numbers_as_the_standard_has_them(keyword, written, left):
    dataset = dcmread(io.BytesIO(make_dicom()))
    tag = tag_for_keyword(keyword)
    dataset[tag] = DataElement(tag, dictionary_VR(tag), written, already_converted=True)
    buffer = io.BytesIO()
    dataset.save_as(buffer)

    assert released(buffer.getvalue(), KEEPING).get(keyword) == left


def test_deidentify_gives_the_same_uids_under_the_same_key_only():
    content = make_dicom(StudyInstanceUID="1.2.3.4", FrameOfReferenceUID="1.2.840.10008.1.4.1.1")
    one, again = (released(content, who=Pseudonyms(b"a key", "1")) for _ in range(2))
    other = released(content, who=Pseudonyms(b"another", "1"))
    assert one.StudyInstanceUID == again.StudyInstanceUID
    assert one.StudyInstanceUID.startswith("2.25.")
    assert len(one.StudyInstanceUID) <= 64
    assert other.StudyInstanceUID != one.StudyInstanceUID
    assert one.FrameOfReferenceUID == "1.2.840.10008.1.4.1.1"


def test_deidentify_gives_the_same_file_at_any_time():
    """A colour profile says when it was made; two that differ would be two files of one UID."""
    profile = released(make_dicom(ICCProfile=b"a camera's own")).ICCProfile
    assert profile[24:36] == struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    assert ImageCms.getProfileName(ImageCms.ImageCmsProfile(io.BytesIO(profile))).strip()


def test_deidentify_keeps_references_between_two_objects():
    uid = "1.2.276.0.7.1"
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    reference.ReferencedSOPInstanceUID = uid
    target = released(make_dicom(SOPInstanceUID=uid))
    source = released(make_dicom(SourceImageSequence=[reference]))
    assert source.SourceImageSequence[0].ReferencedSOPInstanceUID == target.SOPInstanceUID


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("20240301", "20240131"),
        ("20240301101112.5+0100", "20240131101112.5+0100"),
        ("202403", "202401"),
        ("2024", "2023"),
        ("20249901", ""),
        ("Smith", ""),
        ("", ""),
    ],
)
def test_shift_date_time_moves_whole_days(text, moved):
    assert shift_date_time(text, dt.timedelta(days=-30)) == moved


PDF = {"SOPClassUID": EncapsulatedPDFStorage, "EncapsulatedDocument": b"%PDF", "PixelData": None}


@pytest.mark.parametrize(
    "content",
    [
        make_report(),
        make_dicom(**PDF),
        make_dicom(PixelData=None),
        make_dicom(SOPClassUID="1.2.276.0.7230010.3.1"),
        make_dicom(SOPClassUID=SegmentationStorage),
    ],
    ids=["report", "document", "no pixels", "private class", "segmentation"],
)
def test_open_image_refuses_what_is_no_image(content):
    with pytest.raises(ExportNotAnImage):
        open_image(io.BytesIO(content))


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "ExplVR_BigEnd.dcm", "MR_small_implicit.dcm"])
def test_open_image_refuses_what_was_not_unpacked_apart(name):
    path = get_testdata_file(name)
    with pytest.raises(ExportUnreadable):
        open_image(io.BytesIO(Path(path).read_bytes()))


def test_open_image_refuses_too_few_pixels():
    with pytest.raises(ExportUnreadable):
        open_image(io.BytesIO(make_dicom(PixelData=b"\0" * 100)))


@pytest.mark.parametrize("name", NAMES)
def test_deidentify_changes_no_pixel(name):
    content = (PACKAGED / name).read_bytes()
    before, after = dcmread(io.BytesIO(content)), released(content)
    assert after.file_meta.TransferSyntaxUID.name == "Explicit VR Little Endian"
    mask = (1 << before.BitsStored) - 1
    shown = [np.asarray(one.pixel_array).astype("i8") & mask for one in (before, after)]
    # pydicom's own decoder of 12-bit JPEG is one off dcmtk's, as which ours decodes it.
    assert np.abs(shown[0] - shown[1]).max() <= (name == "JPGExtended.dcm")


def test_open_image_drops_an_overlay_in_the_unused_bits():
    pixels = np.arange(256, dtype="<u2")
    hidden = pixels | np.uint16(0x8000)
    image = released(make_dicom(BitsStored=12, HighBit=11, PixelData=hidden.tobytes()))
    assert image.PixelData == pixels.tobytes()


def test_blacken_overwrites_every_frame():
    bright = np.full((2, 16, 16), 900, "<u2")
    bright[0, 0, 0] = 5
    content = make_dicom(NumberOfFrames=2, PixelData=bright.tobytes())
    image = open_image(io.BytesIO(content))
    blacken(image, [Rectangle(4, 2, 8, 3)])
    after = dcmread(io.BytesIO(deidentify(image, options=Options(), pseudonyms=PATIENT)))
    expected = bright.copy()
    expected[:, 2:5, 4:12] = 5
    assert np.array_equal(after.pixel_array, expected)


@pytest.mark.parametrize("rectangle", [(0, 0, 17, 1), (-1, 0, 2, 2), (3, 3, 0, 1), (0, 15, 1, 2)])
def test_blacken_refuses_what_lies_outside(rectangle):
    image = open_image(io.BytesIO(make_dicom()))
    with pytest.raises(RegionOutside):
        blacken(image, [Rectangle(*rectangle)])


VALIDATED = [  # dciodvfy reads no deflated file, so it finds other errors in that one
    *(PACKAGED / name for name in NAMES if name != "image_dfl.dcm"),
    *sorted(SAMPLES.glob("*/01.dcm"))[::4],
]


@pytest.mark.slow
@pytest.mark.parametrize("path", VALIDATED, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.parametrize("options", [Options(), KEEPING], ids=["basic", "keeping"])
def test_deidentify_adds_no_error_to_a_valid_file(tmp_path, path, options):
    require_program("dciodvfy", "dicom3tools")
    after = tmp_path / "after.dcm"
    image = open_image(io.BytesIO(unpacked(path.read_bytes())))
    after.write_bytes(deidentify(image, options=options, pseudonyms=PATIENT))
    assert errors_of(after) - errors_of(path) == set()


def errors_of(path: Path) -> set[str]:
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, errors="replace")
    return {line for line in done.stderr.splitlines() if line.startswith("Error")}
