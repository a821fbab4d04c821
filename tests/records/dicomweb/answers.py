"""What WADO-RS is asked, and its answers taken apart by hand."""

import io
import re

import numpy as np
import pydicom
from pydicom.data import get_testdata_file

from records.models import Instance
from tests.dicom.files import make_dicom

ANY = 'multipart/related; type="application/dicom"; transfer-syntax=*'
LUT = np.arange(4, dtype="<u2")
OCTETS = 'multipart/related; type="application/octet-stream"'


def content_of(response) -> bytes:
    assert response.status_code in (200, 206), response.content
    return b"".join(response.streaming_content)


def parts_of(response) -> list[tuple[str, bytes]]:
    """Content-Type and content of each part, cut by hand."""
    boundary = re.search(r"boundary=(\w+)", response["Content-Type"])[1].encode()
    body = b"\r\n" + content_of(response)
    *parts, end = body.split(b"\r\n--" + boundary)[1:]
    assert end == b"--\r\n"
    found = []
    for part in parts:
        head, content = part.split(b"\r\n\r\n", 1)
        found.append((re.search(rb"Content-Type: ([^\r]+)", head)[1].decode(), content))
    return found


def url_of(instance: Instance) -> str:
    series = instance.series
    return (
        f"/dicomweb/studies/{series.study.study_instance_uid}"
        f"/series/{series.series_instance_uid}/instances/{instance.sop_instance_uid}"
    )


def get(client, path: str, accept: str = ""):
    return client.get(path, headers={"accept": accept} if accept else {})


def read(content: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(content))


def big_endian() -> bytes:
    """A packaged image, with a table whose words have to be swapped."""
    dataset = pydicom.dcmread(get_testdata_file("MR_small_bigendian.dcm"))
    dataset.RedPaletteColorLookupTableData = LUT.byteswap().tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def undecodable() -> bytes:
    """A video, as far as its transfer syntax goes."""
    elements = {"Rows": 16, "Columns": 16, "NumberOfFrames": 1, "BitsAllocated": 8}
    elements |= {"BitsStored": 8, "HighBit": 7, "PhotometricInterpretation": "YBR_PARTIAL_420"}
    pixels = pydicom.encaps.encapsulate([b"\0\0\1\xb3" + bytes(60)])
    return make_dicom(
        syntax="1.2.840.10008.1.2.4.100", SamplesPerPixel=3, PixelData=pixels, **elements
    )
