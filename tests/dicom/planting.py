"""Real images with somebody's identifiers planted in every kind of place a file has."""

import io
import random
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom import DataElement, Dataset, dcmread
from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.dicom.files import SAMPLES

PACKAGED = Path(pydicom.__file__).parent / "data" / "test_files"
NAMES = (
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_RLE.dcm",
    "JPEG2000.dcm",
    "JPGExtended.dcm",
    "693_J2KI.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_small_odd.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_overlay.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
    "image_dfl.dcm",
    "ExplVR_BigEnd.dcm",
    "GDCMJ2K_TextGBR.dcm",
)
SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
)
# By name: gdcm's own RLE encoder aborts the whole process on some of these images.
ENCODERS = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"}
CHARSETS = (
    ("ISO_IR 192", "utf-8", "Žofie漢字"),
    ("ISO_IR 100", "latin-1", "ÄäöüéÖß"),
    ("ISO_IR 144", "iso8859-5", "Иванович"),
    ("ISO_IR 166", "tis_620", "สมชายใจดี"),
    ("GB18030", "gb18030", "王小东李明华"),
)
TEXT_VRS = ("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
ASCII_VRS = ("AE", "SH", "UR")  # too short for more than a token, or plain by definition
TEXT_KEYWORDS = sorted(
    keyword
    for keyword, tag in keyword_dict.items()
    if tag >= 0x00080000 and keyword != "SpecificCharacterSet" and dictionary_VR(tag) in TEXT_VRS
)
CODE_KEYWORDS = sorted(
    keyword
    for keyword, tag in keyword_dict.items()
    if 0x00080000 < tag < 0x00280000
    and dictionary_VR(tag) == "CS"
    and keyword not in ("SpecificCharacterSet", "QueryRetrieveLevel")
)
NUMBER_KEYWORDS = sorted(
    keyword
    for keyword, tag in keyword_dict.items()
    if tag >= 0x00080000 and keyword != "NumberOfFrames" and dictionary_VR(tag) in ("DS", "IS")
)
UID_KEYWORDS = (
    "FrameOfReferenceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "InstanceCreatorUID",
    "IrradiationEventUID",
    "DeviceUID",
    "CreatorVersionUID",
)
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "PatientBirthDate")


@dataclass
class Planted:
    """A file, and every identifier in it as bytes that a search must not find again."""

    name: str
    content: bytes
    encoding: str
    syntax: str
    tokens: dict[str, str] = field(default_factory=dict)

    def needles(self, token: str) -> set[bytes]:
        """The bytes by which a token could still be found."""
        return {token.encode(name) for name in ("utf-8", "utf-16-le", "utf-16-be")} | {
            token.encode(self.encoding, "ignore")
        }


class Planter:
    """Plants unique tokens into one data set and remembers where."""

    def __init__(self, image: Dataset, seed: int) -> None:
        self.image = image
        self.tokens: dict[str, str] = {}
        self.random = random.Random(seed)
        charset, self.encoding, self.word = CHARSETS[seed % len(CHARSETS)]
        self.tokens["word"] = self.word
        image.SpecificCharacterSet = charset

    def token(self, place: str, length: int = 16) -> str:
        letters = "".join(self.random.choices("BCDFGHJKLMNPQRSTVWXZ23456789", k=12))
        self.tokens[place] = letters
        return f"Q{letters}"[:length]

    def words(self, place: str) -> str:
        """A token, and a word in the file's own characters."""
        return f"{self.token(place)} {self.word}"

    def uid(self, place: str) -> str:
        number = "".join(self.random.choices("123456789", k=14))
        self.tokens[place] = number
        return f"1.2.276.0.99.{number}"

    def digits(self, place: str) -> str:
        number = f"19{self.random.randint(10, 79)}{self.random.randint(10, 12)}" + str(
            self.random.randint(10, 28)
        )
        self.tokens[place] = number
        return number

    def long(self, place: str) -> str:
        self.tokens[place] = "".join(self.random.choices("123456789", k=10))
        return self.tokens[place]

    def plant_text(self, count: int) -> None:
        """Somewhere in the whole dictionary of texts, the table's or not."""
        always = [
            "PatientName",
            "PatientID",
            "PatientComments",
            "StudyDescription",
            "InstitutionName",
            "ImageComments",
            "OperatorsName",
            "Manufacturer",
        ]
        for keyword in [*always, *self.random.sample(TEXT_KEYWORDS, count)]:
            vr = dictionary_VR(keyword)
            text = self.token(keyword) if vr in ASCII_VRS else self.words(keyword)
            self.put(self.image, keyword_dict[keyword], vr, text)

    def plant_codes(self) -> None:
        for keyword in self.random.sample(CODE_KEYWORDS, 12):
            if keyword not in ("PhotometricInterpretation",):
                self.put(self.image, keyword_dict[keyword], "CS", self.token(keyword))

    def plant_uids_and_dates(self) -> None:
        for keyword in UID_KEYWORDS:
            self.put(self.image, keyword_dict[keyword], "UI", self.uid(keyword))
        for keyword in DATES:
            self.put(self.image, keyword_dict[keyword], "DA", self.digits(keyword))

    def plant_numbers(self) -> None:
        """A patient's number typed in where a device would measure or count."""
        always = ["SeriesNumber", "AcquisitionNumber", "InstanceNumber", "KVP", "PatientWeight"]
        for keyword in [*always, *self.random.sample(NUMBER_KEYWORDS, 12)]:
            self.put(self.image, keyword_dict[keyword], dictionary_VR(keyword), self.long(keyword))

    def plant_private(self) -> None:
        block = self.image.private_block(0x0099, self.token("private creator"), create=True)
        for number, vr in enumerate(("LO", "UT", "UN", "OB", "PN", "LT")):
            text = self.token(f"private {vr}")
            block.add_new(number, vr, text.encode() if vr in ("UN", "OB") else text)

    def plant_nested(self) -> None:
        """Five deep, under a sequence that stays: text, a private group, a UID, a wrong code."""
        deepest = Dataset()
        deepest.PatientName = self.words("nested PatientName")
        deepest.ImageComments = self.words("nested ImageComments")
        deepest.ReferencedSOPInstanceUID = self.uid("nested UID")
        deepest.private_block(0x0011, self.token("nested creator"), create=True).add_new(
            1, "LO", self.token("nested private")
        )
        code = Dataset()
        code.CodeValue = self.token("code value")
        code.CodingSchemeDesignator = "99LOCAL"
        code.CodeMeaning = self.words("code meaning")
        known = Dataset()
        known.CodeValue, known.CodingSchemeDesignator = "T-D3000", "SRT"
        known.CodeMeaning = self.words("meaning of a known code")
        deepest.PurposeOfReferenceCodeSequence = [code, known]
        for keyword in (
            "ReferencedImageSequence",
            "SourceImageSequence",
            "ReferencedInstanceSequence",
            "ReferencedSeriesSequence",
        ):
            outer = Dataset()
            setattr(outer, keyword, Sequence([deepest]))
            deepest = outer
        self.image.ReferencedStudySequence = Sequence([deepest])
        self.image.SourceImageSequence = Sequence([deepest])
        request = Dataset()
        request.RequestedProcedureDescription = self.words("request")
        self.image.RequestAttributesSequence = [request]

    def plant_odd_places(self) -> None:
        """Overlays, curves, icons, signatures, unknown attributes, wrong types, padding."""
        for group in (0x6000, 0x6002):
            self.put(self.image, Tag(group, 0x0022), "LO", self.words(f"overlay {group:X}"))
            self.put(self.image, Tag(group, 0x4000), "LT", self.words(f"overlay text {group:X}"))
            data = (self.token(f"overlay data {group:X}") * 4).encode()
            self.put(self.image, Tag(group, 0x3000), "OB", data[:64])
        self.put(self.image, Tag(0x5000, 0x2500), "LO", self.words("curve"))
        icon = Dataset()
        icon.Rows = icon.Columns = 8
        icon.PixelData = (self.token("icon") * 8).encode()[:64]
        icon["PixelData"].VR = "OB"
        self.image.IconImageSequence = [icon]
        self.put(self.image, Tag(0xFFFC, 0xFFFC), "OB", self.token("padding").encode() + b"\0")
        self.put(self.image, Tag(0x0019, 0x0010), "LO", self.token("lonely creator"))
        self.put(self.image, Tag(0x0008, 0x9999), "LO", self.token("unknown attribute"))
        self.put(
            self.image, Tag(0x0028, 0x9999), "UN", self.token("unknown bytes").encode() + b"\0"
        )
        signature = Dataset()
        signature.CertificateOfSigner = self.token("signature").encode() + b"\0"
        self.image.DigitalSignaturesSequence = [signature]
        encrypted = Dataset()
        encrypted.EncryptedContent = self.token("encrypted").encode() + b"\0"
        self.image.EncryptedAttributesSequence = [encrypted]
        self.put(
            self.image, keyword_dict["ICCProfile"], "OB", self.token("profile").encode() + b"\0"
        )

    def plant_wrong_types(self) -> None:
        """Explicit files may state any type: a text where a number or a code belongs."""
        for keyword in (
            "KVP",
            "ExposureTime",
            "PatientPosition",
            "SliceThickness",
            "PatientAge",
            "SmallestImagePixelValue",
            "AcquisitionNumber",
        ):
            self.tokens.pop(keyword, None)
            self.put(self.image, keyword_dict[keyword], "LO", self.token(f"{keyword} as LO"))

    def put(self, target: Dataset, tag: int, vr: str, value: object) -> None:
        target.add(DataElement(tag, vr, value, validation_mode=pydicom.config.IGNORE))


def make_corpus(count: int) -> list[Planted]:
    """`count` files from real ones, each with its own tokens; the same at every call."""
    sources = [PACKAGED / name for name in NAMES] + sorted(SAMPLES.glob("*/01.dcm"))
    return [_planted(sources[number % len(sources)], number) for number in range(count)]


def _planted(source: Path, number: int) -> Planted:
    image = dcmread(source)
    syntax = SYNTAXES[(number // 7 + number) % len(SYNTAXES)]
    _recode(image, syntax)
    syntax = image.file_meta.TransferSyntaxUID
    planter = Planter(image, number)
    planter.plant_text(40)
    planter.plant_codes()
    planter.plant_uids_and_dates()
    planter.plant_numbers()
    planter.plant_private()
    planter.plant_nested()
    planter.plant_odd_places()
    if syntax != ImplicitVRLittleEndian:
        planter.plant_wrong_types()
    _plant_in_pixels(image, planter)
    content = _write(image, planter)
    name = f"{number:03d} {source.parent.name} {source.stem}"
    return Planted(name, content, planter.encoding, syntax.name, planter.tokens)


def _recode(image: Dataset, syntax: pydicom.uid.UID) -> None:
    """Another syntax, where the image's kind allows it; else it stays as it is."""
    if image.file_meta.TransferSyntaxUID.is_compressed:
        return
    if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        is_plain = str(image.PhotometricInterpretation) in ("MONOCHROME1", "MONOCHROME2", "RGB")
        is_little = image.file_meta.TransferSyntaxUID != ExplicitVRBigEndian
        if is_plain and is_little and image.BitsAllocated <= 16:
            plugin = ENCODERS[syntax]
            with suppress(RuntimeError):  # an encoder's own limit: the image stays unpacked
                image.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
        return
    is_same_order = (syntax == ExplicitVRBigEndian) == (
        image.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    )
    if is_same_order:
        image.file_meta.TransferSyntaxUID = syntax


def _plant_in_pixels(image: Dataset, planter: Planter) -> None:
    """Behind the last pixel of a native image, in a comment or after the end of a packed one."""
    text = (planter.token("behind the pixels") + "  ").encode()
    content = image["PixelData"].value
    if not image.file_meta.TransferSyntaxUID.is_encapsulated:
        image["PixelData"].value = content + text[: len(text) // 2 * 2]
        return
    if int(image.get("NumberOfFrames") or 1) == 1:
        frame = next(pydicom.encaps.generate_frames(content, number_of_frames=1))
        image["PixelData"].value = encapsulate([_commented(frame, text)])
        image["PixelData"].is_undefined_length = True
    else:
        del planter.tokens["behind the pixels"]


def _commented(frame: bytes, text: bytes) -> bytes:
    if frame[:2] == b"\xff\xd8":  # a comment right after the start of a JPEG
        return frame[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + frame[2:]
    return frame + text


def _write(image: Dataset, planter: Planter) -> bytes:
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.SourceApplicationEntityTitle = planter.token("file meta AE title")
    image.file_meta.PrivateInformationCreatorUID = planter.uid("file meta creator")
    image.file_meta.PrivateInformation = planter.token("file meta private").encode() + b"\0"
    image.preamble = (planter.token("preamble") * 12).encode()[:128]
    buffer = io.BytesIO()
    dcmwrite(buffer, image, enforce_file_format=True)
    return buffer.getvalue()
