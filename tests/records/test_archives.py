"""ZIP archives: every entry gets a verdict, none gets out, none costs more than it may."""

import io
import zipfile

import pytest

from records.choices import SubmissionState
from records.files import allowance, archive
from records.models import Instance
from tests.dicom.files import make_dicom, make_zip

pytestmark = pytest.mark.django_db


def test_archive_gives_a_verdict_for_every_file(send):
    inner = make_zip({"deep/c.dcm": make_dicom()})

    submission = send(
        ("study.zip", make_zip({"a.dcm": make_dicom(), "b.txt": b"words", "inner.zip": inner}))
    )

    verdicts = {file.name: file.code for file in submission.files.all()}
    assert verdicts == {
        "study.zip/a.dcm": "stored",
        "study.zip/b.txt": "unknown_format",
        "study.zip/inner.zip/deep/c.dcm": "stored",
    }
    assert submission.state == SubmissionState.PARTLY_STORED


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.dcm",
        "/etc/evil.dcm",
        "C:\\evil.dcm",
        "..\\evil.dcm",
        "a/../../evil.dcm",
        "evil\x00.dcm",
    ],
)
def test_entry_that_points_outside_is_refused_alone(send, name):
    submission = send(("x.zip", make_zip({name: make_dicom(), "good.dcm": make_dicom()})))

    codes = sorted(submission.files.values_list("code", flat=True))
    assert codes == ["stored", "zip_unsafe_path"]


def test_files_of_the_desktop_are_told_and_spoil_nothing(send):
    submission = send(
        (
            "x.zip",
            make_zip(
                {
                    "a.dcm": make_dicom(),
                    "__MACOSX/._a.dcm": b"\0\5\x16\7",
                    ".DS_Store": b"\0\0\0\1Bud1",
                    "Thumbs.db": b"x",
                }
            ),
        )
    )

    codes = sorted(submission.files.values_list("code", flat=True))
    assert codes == ["stored", "system_file", "system_file", "system_file"]
    assert submission.state == SubmissionState.STORED


def test_encrypted_entry_is_refused_alone(send):
    content = bytearray(make_zip({"a.dcm": make_dicom(), "b.dcm": make_dicom()}))
    # The general purpose flag of the first entry, in both of its headers.
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1

    submission = send(("x.zip", bytes(content)))

    assert sorted(submission.files.values_list("code", flat=True)) == ["stored", "zip_encrypted"]


def test_entry_of_unknown_packing_is_refused_alone(send):
    content = bytearray(make_zip({"a.dcm": make_dicom(), "b.dcm": make_dicom()}))
    content[8] = 99
    content[content.index(b"PK\x01\x02") + 10] = 99

    submission = send(("x.zip", bytes(content)))

    assert sorted(submission.files.values_list("code", flat=True)) == ["stored", "zip_method"]


def test_archive_with_too_many_entries_is_refused_before_unpacking(send, settings):
    settings.INTAKE_ZIP_MAX_ENTRIES = 3

    submission = send(("x.zip", make_zip({str(number): make_dicom() for number in range(4)})))

    assert submission.files.get().code == "zip_bomb"
    assert not Instance.objects.exists()


def test_archive_that_unpacks_to_too_much_is_stopped(send, settings):
    settings.INTAKE_ZIP_MAX_BYTES = 1_000_000

    submission = send(
        ("x.zip", make_zip({"good": make_dicom(), "zeros": bytes(2_000_000), "late": b"x"}))
    )

    assert list(submission.files.values_list("code", flat=True)) == ["stored", "zip_bomb"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_entry_whose_unpacking_has_no_bounds_is_refused_alone(send, method):
    """Some bytes of bzip2 become gigabytes in one call."""
    buffer = io.BytesIO(make_zip({"good": make_dicom()}))
    with zipfile.ZipFile(buffer, "a") as packed:
        packed.writestr("zeros", bytes(5_000_000), method)

    submission = send(("x.zip", buffer.getvalue()))

    assert list(submission.files.values_list("code", flat=True)) == ["stored", "zip_method"]


def test_archives_share_one_allowance_with_the_archives_inside(send, settings):
    settings.INTAKE_ZIP_MAX_BYTES = 1_000_000
    inner = make_zip({"zeros": bytes(900_000)})

    submission = send(("x.zip", make_zip({"1.zip": inner, "2.zip": inner, "3.zip": inner})))

    assert "zip_bomb" in submission.files.values_list("code", flat=True)


def test_entry_that_unpacks_too_many_times_its_size_is_stopped(send, monkeypatch):
    monkeypatch.setattr(allowance, "RATIO_FROM_BYTES", 100_000)

    submission = send(("x.zip", make_zip({"zeros": bytes(3_000_000)})))

    verdict = submission.files.get()
    assert verdict.code == "zip_bomb"
    assert "times its size" in verdict.message


def test_list_of_entries_too_long_to_read_is_refused(send, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST_READ_BYTES", 2_000)

    submission = send(("x.zip", make_zip({f"{number:050}": b"" for number in range(50)})))

    assert submission.files.get().code == "zip_bomb"


def test_archive_without_files_is_refused(send):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as empty:
        empty.mkdir("folder")

    assert send(("x.zip", buffer.getvalue())).files.get().code == "zip_corrupt"
