"""Every file at hand against dcmtk, against its uncompressed twin, and each decoder's answer."""

import io
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.pixels import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLSLossless,
)

from ml.errors import MLError
from ml.images import read_frames, to_display
from ml.images.codestream import sniff_codestream
from ml.images.decoders import DECODERS, Decode, decode_with_pydicom
from ml.images.encapsulation import UNDEFINED_LENGTH, read_fragments, split_frames
from ml.images.image_pixel import read_image_pixel
from ml.images.pixel_data import find_pixel_element
from tests.ml.dcmtk import decompress_with_dcmtk, render_with_dcmtk
from tests.prerequisites import require_shared

pytestmark = pytest.mark.slow

FOLDERS = ("assorted", "charsets", "chest", "transfer-syntaxes")
# Compressions that dcmtk 3.6.7 has no decoder for; their twins and other decoders judge them.
UNKNOWN_TO_DCMTK = {
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
    "1.2.840.10008.1.2.8.1": "frames deflated one by one, of 2023",
}
# Where dcmtk and these files don't go together, and what proves them instead.
APART = {
    # PS3.5 7.3 swaps OW in words of 16 bits, and 8.1.1 lays the lower word of a 32-bit cell first.
    # These two were swapped in cells of 32 bits, so by the text they hold other values than their
    # little endian twin. dcmtk follows the text; pydicom, gdcm and this room follow the files.
    "rtdose_expb.dcm": "its little endian twin",
    "rtdose_expb_1frame.dcm": "its little endian twin",
    "SC_rgb_jpeg.dcm": "dcmtk stumbles over its header; the decoders agree",
    "JLSL_08_07_0_1F.dcm": "dcmtk refuses 7 bits; the decoders agree",
}
TWINS = {
    "transfer-syntaxes/CT2_UNC": ("CT2_J2KR", "CT2_JLSL", "CT2_JPLL", "CT2_RLE"),
    "transfer-syntaxes/MR4_UNC": ("MR4_J2KR", "MR4_JLSL", "MR4_JPLL", "MR4_RLE"),
    "transfer-syntaxes/NM1_UNC": ("NM1_J2KR", "NM1_JLSL", "NM1_JPLL", "NM1_RLE"),
    "transfer-syntaxes/US1_RLE": ("../assorted/examples_jpeg2k.dcm",),
    "transfer-syntaxes/CTImage.dcm_LittleEndianExplicitTransferSyntax_1.2.840.10008.1.2.1.dcm": (
        "CTImage.dcm_BigEndianExplicitTransferSyntax_1.2.840.10008.1.2.2.dcm",
        "CTImage.dcm_JPEGLSLosslessTransferSyntax_1.2.840.10008.1.2.4.80.dcm",
        "CTImage.dcm_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm",
        "CTImage.dcm_JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57.dcm",
        "CTImage.dcm_LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2.dcm",
        "CTImage.dcm_RLELosslessTransferSyntax_1.2.840.10008.1.2.5.dcm",
    ),
    "transfer-syntaxes/CT0012.not_fragmented_no_bot_rle.dcm": (
        "CT0012.fragmented_no_bot_jpeg_lossless.57.dcm",
        "CT0012.fragmented_no_bot_jpeg_lossless.70.dcm",
        "CT0012.fragmented_no_bot_jpeg_ls.80.dcm",
        "CT0012.not_fragmented_bot_jpeg_ls.80.dcm",
        "CT0012.not_fragmented_bot_rle.dcm",
        "CT0012.not_fragmented_no_bot_jpeg_ls.80.dcm",
    ),
    "assorted/MR_small.dcm": (
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
    ),
    "assorted/rtdose.dcm": ("rtdose_expb.dcm", "rtdose_rle.dcm"),
    "assorted/rtdose_1frame.dcm": ("rtdose_expb_1frame.dcm", "rtdose_rle_1frame.dcm"),
    "assorted/liver_1frame.dcm": ("liver_expb_1frame.dcm",),
    "assorted/SC_rgb_rle.dcm": (
        "SC_rgb_gdcm_KY.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_rle_16bit.dcm",
    ),
}
LOSSY = {
    "CT2_J2KI": "CT2_UNC",
    "CT2_JLSN": "CT2_UNC",
    "MR4_J2KI": "MR4_UNC",
    "MR4_JLSN": "MR4_UNC",
    "MR4_JPLY": "MR4_UNC",
    "NM1_J2KI": "NM1_UNC",
    "NM1_JLSN": "NM1_UNC",
}


def find_images(folder: str) -> list[tuple[Path, UID]]:
    """The files of a folder that hold pixels which can be read, and the syntax each one names."""
    found = []
    for path in sorted(require_shared(f"dicom/{folder}").iterdir()):
        try:
            read_frames(path, frames=[0])
        except MLError:
            continue
        found.append((path, dcmread(path, stop_before_pixels=True, force=True)))
    return [(path, UID(header.file_meta.get("TransferSyntaxUID", ""))) for path, header in found]


def print_row(text: str) -> None:
    """A row of the table that `pytest -s` shows."""
    sys.stdout.write(f"{text}\n")


@pytest.mark.parametrize("folder", FOLDERS)
def test_to_display_is_within_one_level_of_dcmtk_for_every_file(folder: str) -> None:
    """`pytest -s` prints the table: file, syntax, what judged it, largest difference."""
    wrong = []
    for path, uid in find_images(folder):
        frames = read_frames(path)
        expected = [
            render_with_dcmtk(path, frame, number)
            for number, frame in enumerate(frames[:2], start=1)
            if path.name not in APART
        ]
        if not expected or expected[0] is None:
            judge = APART.get(path.name) or UNKNOWN_TO_DCMTK.get(uid, "")
            print_row(f"{path.name[:60]:60} {uid:24} not by dcmtk: {judge}")
            assert judge, f"{path.name} was judged by nothing"
            continue
        pairs = zip(frames, expected, strict=False)
        # Of some fragmented series dcmtk finds the first frame alone.
        judged = [(frame, shown) for frame, shown in pairs if shown is not None]
        largest = max(int(np.abs(to_display(frame) - shown).max()) for frame, shown in judged)
        print_row(f"{path.name[:60]:60} {uid:24} dcmtk {largest:3}")
        wrong += [(path.name, largest)] if largest > 1 else []
    assert not wrong


@pytest.mark.parametrize(
    ("reference", "copy"),
    [(reference, copy) for reference, copies in TWINS.items() for copy in copies],
)
def test_read_frames_gives_the_very_values_when_compression_is_lossless(
    reference: str, copy: str
) -> None:
    path = require_shared("dicom") / reference
    expected, found = read_frames(path), read_frames(path.parent / copy)
    assert not expected[0].is_constant
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("copy", LOSSY)
def test_read_frames_gives_nearly_the_values_when_compression_is_lossy(copy: str) -> None:
    folder = require_shared("dicom/transfer-syntaxes")
    found, expected = (read_frames(folder / name)[0].pixels for name in (copy, LOSSY[copy]))
    assert np.abs(found - expected).mean() < 0.25 * expected.std()
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.9


def test_read_frames_gives_the_same_colours_by_htj2k_lossy_and_lossless() -> None:
    folder = require_shared("dicom/chest")
    lossless, lossy = (
        to_display(read_frames(folder / name)[0]).astype(int)
        for name in ("HTJ2KLossless_08_RGB.dcm", "HTJ2K_08_RGB.dcm")
    )
    assert np.abs(lossless - lossy).max() <= 16
    assert np.abs(lossless - lossy).mean() < 1


def test_read_frames_inflates_frames_that_were_deflated_one_by_one() -> None:
    folder = require_shared("dicom")
    deflated = read_frames(folder / "transfer-syntaxes" / "liver_deflate.dcm")
    (first,) = read_frames(folder / "assorted" / "liver_1frame.dcm")
    assert len(deflated) == 3
    np.testing.assert_array_equal(deflated[0].pixels, first.pixels)


def second_opinions(kind: str) -> dict[str, Decode]:
    """Libraries that decode a kind too, and are not asked in earnest: see DECODERS."""
    uids = {"JPEG lossless": JPEGLossless, "JPEG LS": JPEGLSLossless, "JPEG 8": JPEGBaseline8Bit}
    uid = (uids | {"J2K": JPEG2000}).get(kind)
    if uid is None:
        return {}
    names = get_decoder(uid).available_plugins
    return {f"({name})": partial(decode_with_pydicom, uid, name) for name in names}


def decode_with_each(path: Path) -> tuple[str, dict[str, NDArray[np.float64] | str]] | None:
    """The kind of a compressed file, and its first frame by every decoder or what that one said."""
    content = path.read_bytes()
    stream = io.BytesIO(content)
    dataset = dcmread(stream, stop_before_pixels=True, force=True)
    element = find_pixel_element(content, stream.tell(), is_implicit=False, is_little_endian=True)
    if element is None or element.length != UNDEFINED_LENGTH:
        return None
    image = read_image_pixel(dataset, element.keyword, wanted=1)
    (data,) = split_frames(dataset, *read_fragments(content, element.start), image.frames, [0])
    codestream = sniff_codestream(data)
    if codestream is None:
        return None
    found: dict[str, NDArray[np.float64] | str] = {}
    for name, decode in (DECODERS[codestream.kind] | second_opinions(codestream.kind)).items():
        try:
            found[name] = decode(data, codestream, image).astype(np.float64)
        except Exception as error:  # noqa: BLE001 - a decoder may raise anything
            found[name] = str(error)
    return codestream.kind, found


@pytest.mark.parametrize(
    ("folder", "fewest"), [("assorted", 35), ("chest", 4), ("transfer-syntaxes", 40)]
)
def test_decoders_agree_with_one_another(folder: str, fewest: int) -> None:
    """`pytest -s` prints the table: file, kind, each decoder's difference from the first one."""
    wrong, compared = [], 0
    for path, _ in find_images(folder):
        if (decoded := decode_with_each(path)) is None:
            continue
        kind, results = decoded
        arrays = {name: one for name, one in results.items() if not isinstance(one, str)}
        # The order of DECODERS holds: none but damaged or odd streams need the second one.
        assert next(iter(arrays)) == next(iter(DECODERS[kind]))
        first = next(iter(arrays.values()))
        apart = {name: float(np.abs(one - first).max()) for name, one in arrays.items()}
        refused = sorted(set(results) - set(arrays))
        print_row(f"{path.name[:60]:60} {kind:14} {apart} {refused or ''}")
        compared += 1
        # Two inverse cosine transforms may round a value differently, or three to a colour.
        limit = {"JPEG 12": 1, "JPEG 8": 3}.get(kind, 0)
        wrong += [(path.name, name) for name, largest in apart.items() if largest > limit]
    assert compared >= fewest
    assert not wrong


@pytest.mark.parametrize(
    "name",
    [
        "CT2_JPLL",
        "MR4_JLSL",
        "MR4_JPLY",
        "MR4_RLE",
        "CTImage.dcm_JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55.dcm",
        "CTImage.dcm_JPEGProcess2_4TransferSyntax_1.2.840.10008.1.2.4.51.dcm",
        "CTImage.dcm_JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53.dcm",
        "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm",
        "CT0012.fragmented_no_bot_jpeg_ls.81.dcm",
    ],
)
def test_read_frames_gives_the_values_that_dcmtk_decompresses(name: str, tmp_path: Path) -> None:
    path = require_shared("dicom/transfer-syntaxes") / name
    expected = decompress_with_dcmtk(path, tmp_path)
    assert expected is not None
    np.testing.assert_array_equal(read_frames(path, frames=[0])[0].pixels, expected)
