"""What these tests send, and how an independent program judges what they get."""

import subprocess
from pathlib import Path

from pydicom.uid import generate_uid

from tests.prerequisites import require_program
from tests.records.files import make_dicom


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
