"""What these tests send, and how an independent program judges what they get."""

import json
import subprocess
from pathlib import Path

from pydicom.uid import generate_uid

from tests.dicom.files import make_dicom
from tests.prerequisites import require_program

OBJECTS = 'multipart/related; type="application/dicom"; boundary="a b"'
METADATA = 'multipart/related; type="application/dicom+json"; boundary="a b"'
FAILED, HELD, OTHER_FAILED = "00081198", "00081199", "0008119A"


def store(client, body: bytes, *, path: str = "studies", content_type: str = OBJECTS, **headers):
    return client.post(f"/dicomweb/{path}", data=body, content_type=content_type, headers=headers)


def answer_of(response) -> dict:
    return json.loads(response.content)


def reasons_of(response, tag: str = FAILED) -> list[int]:
    return [item["00081197"]["Value"][0] for item in answer_of(response)[tag]["Value"]]


def body_of(*parts: bytes | tuple[bytes, str]) -> bytes:
    """A body of parts; each may bring its own headers."""
    written = b""
    for part in parts:
        plain = b"Content-Type: application/dicom"
        content, headers = part if isinstance(part, tuple) else (part, plain.decode())
        written += b"--a b\r\n" + headers.encode() + b"\r\n\r\n" + content + b"\r\n"
    return written + b"--a b--\r\n"


def small_study_files(study_uid: str, series_uids: tuple[str, str]) -> dict[str, bytes]:
    """Three CT slices in one series, a localizer in another, by SOP Instance UID."""
    files = {}
    for number in range(4):
        uid = generate_uid()
        files[uid] = make_dicom(
            StudyInstanceUID=study_uid,
            SeriesInstanceUID=series_uids[number // 3],
            SeriesNumber=number // 3 + 1,
            SeriesDescription="Thorax" if number < 3 else "Localizer",
            SOPInstanceUID=uid,
            InstanceNumber=number + 1,
            StudyDate="20240229",
            StudyTime="101530",
            StudyDescription="Chest routine",
            AccessionNumber="A-17",
        )
    return files


def errors_of(content: bytes, folder: Path) -> list[str]:
    """What dciodvfy calls an error."""
    require_program("dciodvfy", "dicom3tools")
    path = folder / "object.dcm"
    path.write_bytes(content)
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return sorted(line for line in done.stderr.splitlines() if line.startswith("Error"))
