"""Files that were once handled wrongly, through every way in: the same true answer at each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from ml.errors import ImageHasNoPixels, UnsupportedTransferSyntax
from ml.images import read_frames, to_display
from records.files.pixels import iter_frames
from records.models import Instance, SubmissionFile
from records.services import DeclaredFields
from tests.prerequisites import require_shared
from tests.records.dicomweb.messages import body_of, store

pytestmark = pytest.mark.django_db

WHO = {"patient_id": "P-7", "modality": "CR", "body_part": "CHEST"}
NOT_CLASSIFIABLE = {
    "a11-mpeg4-one-fragment-50-frames.dcm": "unsupported_transfer_syntax",
    "a25-jpip-referenced.dcm": "pixels_elsewhere",
}
REMARKS = {
    "a18-presentationlut-inverse-m2.dcm": "Presentation LUT Shape",
    "b09-alpha-hidden-magenta.png": "transparent",
    "b11-apng.png": "further picture",
}
FRAMES = {"a05-frames-2-of-3-bot0.dcm": 2}
WINDOWS = {
    "a09-comma-window.dcm": (2047.5, 4095.0),
    "a09-window-with-unit.dcm": None,
    "d1-chest-window-comma.dcm": (128.0, 256.0),
}


def by_rest(client: Any, tus: Any, name: str, content: bytes) -> SubmissionFile:
    files = {"files": SimpleUploadedFile(name, content)}
    assert client.post("/api/v1/submissions/", files | WHO).status_code == 201
    return SubmissionFile.objects.latest("created_at")


def by_stow(client: Any, tus: Any, name: str, content: bytes) -> SubmissionFile:
    answer = store(client, body_of(content))
    assert answer.status_code in (200, 202), name
    return SubmissionFile.objects.latest("created_at")


def by_tus(client: Any, tus: Any, name: str, content: bytes) -> SubmissionFile:
    assert tus.create(size=len(content), body=content, name=name).status_code == 201
    return SubmissionFile.objects.latest("created_at")


@pytest.mark.parametrize("send_by", [by_rest, by_stow, by_tus])
def test_every_case_is_stored_with_its_true_words(client, tus, submission, send_by: Callable):
    submission.declared = DeclaredFields(**WHO).as_json()
    submission.save()
    for path in cases(send_by):
        verdict = send_by(client, tus, path.name, path.read_bytes())

        assert verdict.verdict in ("stored", "duplicate"), (path.name, verdict.message)
        held: Instance = verdict.instance
        assert held.exclusion == NOT_CLASSIFIABLE.get(path.name, ""), path.name
        assert REMARKS.get(path.name, "") in verdict.message, path.name
        assert held.number_of_frames == FRAMES.get(path.name, held.number_of_frames)
        if path.name in WINDOWS:
            stated = (held.window_center, held.window_width)
            assert stated == (WINDOWS[path.name] or (None, None)), path.name
        if not held.exclusion:
            assert_shown_as_decoded(held, path)
        assert "damaged" not in verdict.message


def cases(send_by: Callable) -> list[Path]:
    """DICOM by every door; pictures by those that take any."""
    folder = require_shared("cases")
    kinds = ("*.dcm",) if send_by is by_stow else ("*.dcm", "*.png")
    return sorted(path for kind in kinds for path in folder.glob(kind))


def assert_shown_as_decoded(held: Instance, path: Path) -> None:
    shown = [to_display(frame) for frame in iter_frames(held)]
    expected = [to_display(frame) for frame in read_frames(path)]
    assert len(shown) == len(expected)
    assert all(map(np.array_equal, shown, expected)), path.name


def test_disc_of_the_cases_comes_in_whole(client, tus):
    content = (require_shared("cases") / "z1-cd.zip").read_bytes()
    client.post("/api/v1/submissions/", {"files": SimpleUploadedFile("z1-cd.zip", content)})
    answer = client.get("/api/v1/submissions/").json()["results"][0]
    assert (answer["state"], answer["rejected_count"]) == ("stored", 0)
    assert answer["left_out_count"] == 6


def test_command_line_reads_what_the_product_stores():
    """Every case decodes for `python -m ml predict` or is refused by a known reason."""
    for path in cases(by_tus):
        if path.name in NOT_CLASSIFIABLE:
            with pytest.raises((ImageHasNoPixels, UnsupportedTransferSyntax)):
                read_frames(path)
        else:
            assert read_frames(path), path.name
