"""De-identified copies from the request to the file: who may, what is held back, what comes out."""

import csv
import datetime as dt
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from accounts.models import AuditEvent, Department, User
from accounts.roles import Role
from records import tasks
from records.choices import Action, ExportState
from records.dicom.deidentification import Options, Pseudonyms, Rectangle
from records.errors import (
    ExportExpired,
    ExportHoldUnknown,
    ExportNotAllowed,
    ExportNotHeld,
    ExportNotReady,
    ExportOfOpenStudy,
    ExportTooLarge,
    RegionOutside,
)
from records.models import Export, ExportHold, Study
from records.services import (
    claim_export,
    clear_export,
    expire_exports,
    hand_out_export,
    prepare_export,
    request_export,
    sweep_exports,
)
from records.services.project_keys import project_key
from tests.dicom.files import make_dicom, make_report
from tests.factories import make_department, make_study, make_user

pytestmark = pytest.mark.django_db
Make = Callable[..., Study]


@pytest.fixture
def reviewer(department: Department) -> User:
    return make_user(Role.REVIEWER, department=department)


@pytest.fixture
def study_of(send: Callable[..., Any]) -> Make:
    """A complete study of the given files, all of one study and series."""

    def make(*files: dict[str, Any], reports: int = 0) -> Study:
        uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
        contents = [make_dicom(**uids, **elements) for elements in files]
        report_uids = uids | {"SeriesInstanceUID": generate_uid()}
        contents += [make_report(**report_uids) for _ in range(reports)]
        send(*((f"{number}.dcm", content) for number, content in enumerate(contents)))
        return Study.objects.get(study_instance_uid=uids["StudyInstanceUID"])

    return make


@pytest.fixture
def ask(reviewer: User) -> Callable[..., Export]:
    """Ask for a copy of studies, as the reviewer unless said otherwise."""

    def _ask(*studies: Study, **wanted: Any) -> Export:
        given = {"actor": reviewer, "project": "p", "purpose": "q", "options": Options()}
        return request_export(studies=studies, **(given | wanted))

    return _ask


def see(export: Export, person: User) -> None:
    """Have every frame that is held back drawn for a person."""
    client = Client()
    client.force_login(person)
    for hold in export.holds.all():
        address = reverse("records:export-hold-png", args=[export.pk, hold.pk])
        for frame in hold.frames:
            assert client.get(address, {"frame": frame}).status_code == 200


SCREEN = {"SOPClassUID": SecondaryCaptureImageStorage, "ConversionType": "WSD"}


def events(action: Action) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action).order_by("id"))


def images_in(export: Export) -> tuple[list[Any], list[dict[str, str]]]:
    with export.file.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        rows = list(csv.DictReader(archive.read("labels.csv").decode().splitlines()))
        assert set(archive.namelist()) == {"labels.csv", *(row["path"] for row in rows)}
        return [dcmread(io.BytesIO(archive.read(row["path"]))) for row in rows], rows


def test_project_has_a_key_of_its_own_that_follows_the_installation_s(settings):
    assert project_key("A  b ") == project_key("a b") != project_key("ab")
    before = project_key("a")
    settings.DEIDENTIFICATION_KEY = "another"
    assert project_key("a") != before


def test_prepare_export_makes_a_data_set_when_nothing_is_suspicious(study_of, ask):
    study = study_of({}, {}, reports=1)
    export = ask(study, project=" Lung  nodules ")
    tasks.prepare_next_export()
    tasks.prepare_next_export()

    export.refresh_from_db()
    assert export.state == ExportState.READY
    assert export.image_count == 2
    assert [one["code"] for one in export.left_out] == ["export_not_an_image"]
    images, rows = images_in(export)
    pseudonyms = Pseudonyms(project_key("lung nodules"), str(study.patient_id))
    assert {image.PatientID for image in images} == {pseudonyms.patient}
    assert {row["group"] for row in rows} == {pseudonyms.patient}
    assert {row["study"] for row in rows} == {pseudonyms.uid(study.study_instance_uid)}
    assert {row["source"] for row in rows} == {"Lung nodules"}
    steps = [event.details["step"] for event in events(Action.STUDY_EXPORTED)]
    assert steps == ["requested", "made"]
    assert export.sha256 == events(Action.STUDY_EXPORTED)[-1].details["sha256"]


def test_prepare_export_writes_beside_the_store(study_of, ask, monkeypatch, tmp_path):
    export = ask(study_of({}))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert prepare_export(export_id=export.pk).state == ExportState.READY


def test_prepare_export_holds_back_what_may_carry_writing(study_of, ask, reviewer):
    study = study_of({}, SCREEN)
    export = prepare_export(export_id=ask(study).pk)
    assert export.state == ExportState.HELD
    assert not export.file
    hold = export.holds.get()
    assert hold.instance.sop_class_uid == SecondaryCaptureImageStorage
    (event,) = events(Action.EXPORT_BLOCKED)
    assert event.target_id == str(export.pk)
    with pytest.raises(ExportNotReady):
        hand_out_export(actor=reviewer, export=export)
    assert prepare_export(export_id=export.pk) is None


def test_clear_export_blackens_and_releases_when_everything_is_decided(study_of, ask, reviewer):
    bright = np.full(256, 700, "<u2")
    bright[0] = 3
    study = study_of(SCREEN | {"PixelData": bright.tobytes()}, SCREEN)
    export = prepare_export(export_id=ask(study).pk)
    first, second = export.holds.order_by("instance__created_at")
    see(export, reviewer)

    export = clear_export(actor=reviewer, export=export, decisions={second.pk: []})
    assert export.state == ExportState.HELD
    decisions = {first.pk: [Rectangle(2, 2, 4, 4)]}
    export = clear_export(actor=reviewer, export=export, decisions=decisions)
    assert export.state == ExportState.PREPARING
    assert export.cleared_by == reviewer
    export = prepare_export(export_id=export.pk)

    assert export.state == ExportState.READY
    images, _ = images_in(export)
    blackened = next(one for one in images if one.pixel_array.max() == 700).pixel_array
    assert (blackened[2:6, 2:6] == 3).all()
    assert (blackened[6:] == 700).all()
    details = [event.details for event in events(Action.EXPORT_CLEARED)]
    assert [one["remaining"] for one in details] == [1, 0]
    assert [one["blackened"] for one in details] == [0, 1]


def test_clear_export_refuses_what_is_not_held(study_of, ask, reviewer, technician):
    export = prepare_export(export_id=ask(study_of(SCREEN)).pk)
    hold = export.holds.get()
    see(export, reviewer)
    cases = [
        (reviewer, {}, ExportHoldUnknown),
        (reviewer, {export.pk: []}, ExportHoldUnknown),
        (reviewer, {hold.pk: [Rectangle(0, 0, 17, 1)]}, RegionOutside),
        (technician, {hold.pk: []}, ExportNotAllowed),
    ]
    for actor, decisions, error in cases:
        with pytest.raises(error):
            clear_export(actor=actor, export=export, decisions=decisions)
    clear_export(actor=reviewer, export=export, decisions={hold.pk: []})
    with pytest.raises(ExportNotHeld):
        clear_export(actor=reviewer, export=export, decisions={hold.pk: []})
    assert len(events(Action.EXPORT_CLEARED)) == 1


def test_request_export_refuses_when_it_may_not_be(study_of, ask, technician, settings):
    study = study_of({}, {})
    elsewhere = make_study(department=make_department("Elsewhere"))
    with pytest.raises(ExportNotAllowed):
        ask(study, actor=technician)
    with pytest.raises(ExportNotAllowed):
        ask(elsewhere)
    settings.EXPORT_MAX_IMAGES = 1
    with pytest.raises(ExportTooLarge):
        ask(study)
    settings.EXPORT_MAX_IMAGES = 2
    Study.objects.filter(pk=study.pk).update(state="open")
    with pytest.raises(ExportOfOpenStudy):
        ask(study)
    assert not Export.objects.exists()
    assert not events(Action.STUDY_EXPORTED)


def test_prepare_export_fails_when_nothing_can_leave(study_of, ask):
    export = prepare_export(export_id=ask(study_of(reports=1)).pk)
    assert export.state == ExportState.FAILED
    assert export.failure_code == "export_empty"
    assert len(events(Action.EXPORT_BLOCKED)) == 1


def test_prepare_export_throws_its_work_away_when_somebody_was_faster(study_of, ask, monkeypatch):
    from records.services import preparing

    export = ask(study_of({}))
    finish = preparing._finish

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(preparing, "_finish", finish)
        assert prepare_export(export_id=export.pk).state == ExportState.READY
        return finish(*args, **kwargs)

    monkeypatch.setattr(preparing, "_finish", overtaken)
    assert prepare_export(export_id=export.pk) is None
    assert len([one for one in events(Action.STUDY_EXPORTED) if one.details["step"] == "made"]) == 1
    export.refresh_from_db()
    assert export.file.storage.exists(export.file.name)


def test_prepare_export_task_says_so_when_a_file_is_gone(study_of, ask):
    study = study_of({})
    export = ask(study)
    instance = study.series.get().instances.get()
    instance.file.storage.delete(instance.file.name)
    tasks.prepare_next_export()
    export.refresh_from_db()
    assert (export.state, export.failure_code) == (ExportState.FAILED, "file_missing")


def test_prepare_export_task_shows_a_reference_when_nobody_foresaw_it(study_of, ask, monkeypatch):
    from records.services import preparing

    export = ask(study_of({}))
    monkeypatch.setattr(preparing, "_finish", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tasks.prepare_next_export()
    export.refresh_from_db()
    assert (export.state, export.failure_code) == (ExportState.FAILED, "export_broken")


def test_sweep_exports_rings_again_for_what_was_left_half_way(study_of, ask):
    ask(study_of({}))
    assert sweep_exports()
    assert claim_export()
    assert not claim_export()
    assert not sweep_exports()
    Export.objects.update(touched_at="2020-01-01T00:00Z")
    assert sweep_exports()
    assert claim_export()


def test_claim_export_takes_what_waits_longest_and_each_once(study_of, ask):
    first, second = ask(study_of({})), ask(study_of({}))
    assert [claim_export(), claim_export(), claim_export()] == [first, second, None]


def test_claim_export_leaves_one_alone_that_a_command_prepares(study_of, ask):
    ask(study_of({}), is_queued=False)
    assert claim_export() is None


def test_expire_exports_removes_the_file_and_keeps_what_is_known(
    study_of, ask, reviewer, settings, django_capture_on_commit_callbacks
):
    export = prepare_export(export_id=ask(study_of({})).pk)
    storage, name = export.file.storage, export.file.name
    settings.EXPORT_KEPT_DAYS = 30
    Export.objects.update(ready_at=timezone.now() - dt.timedelta(days=29))
    assert expire_exports() == 0
    Export.objects.update(ready_at=timezone.now() - dt.timedelta(days=31))

    with django_capture_on_commit_callbacks(execute=True):
        assert expire_exports() == 1

    assert not storage.exists(name)
    expired = Export.objects.get()
    assert (expired.state, expired.sha256, expired.image_count) == ("expired", export.sha256, 1)
    assert events(Action.EXPORT_EXPIRED)[0].details["sha256"] == export.sha256
    with pytest.raises(ExportExpired):
        hand_out_export(actor=reviewer, export=expired)
    assert expire_exports() == 0


def test_expire_exports_keeps_everything_when_told_to(study_of, ask, settings):
    prepare_export(export_id=ask(study_of({})).pk)
    settings.EXPORT_KEPT_DAYS = 0
    Export.objects.update(ready_at=timezone.now() - dt.timedelta(days=4000))

    assert expire_exports() == 0


def test_list_finds_copies_by_project_and_state(study_of, ask, reviewer, client):
    prepare_export(export_id=ask(study_of({})).pk)
    stranger = make_user(Role.REVIEWER, department=make_department("Elsewhere"))
    page = reverse("records:export-list")

    client.force_login(reviewer)
    shown = client.get(page).content.decode()
    text = Export.objects.get().project[:3].upper()
    ready = client.post(page, {"state": "ready", "q": text}, follow=True)
    failed = client.post(page, {"state": "failed"}, follow=True)
    client.force_login(stranger)

    address = Export.objects.get().get_absolute_url()
    assert address in shown
    assert address in ready.content.decode()
    assert address not in failed.content.decode()
    assert address not in client.get(page).content.decode()


def test_exports_of_one_project_fit_together(study_of, ask):
    study = study_of({})
    uids = [
        images_in(prepare_export(export_id=ask(study, project=name).pk))[0][0].StudyInstanceUID
        for name in ("one", "One ", "two")
    ]
    assert uids[0] == uids[1] != uids[2]


def test_pages_lead_from_the_study_to_the_download(study_of, reviewer, client):
    study = study_of(SCREEN)
    client.force_login(reviewer)
    page = client.get(study.get_absolute_url()).content.decode()
    assert reverse("records:study-export", args=[study.pk]) in page

    form = {"project": "p", "purpose": "q", "retain_dates": "on"}
    answer = client.post(reverse("records:study-export", args=[study.pk]), form)
    export = Export.objects.get()
    assert answer["Location"] == export.get_absolute_url()
    assert export.options == Options(retain_dates=True)
    prepare_export(export_id=export.pk)
    hold = ExportHold.objects.get()
    page = client.get(export.get_absolute_url()).content.decode()
    picture = reverse("records:export-hold-png", args=[export.pk, hold.pk])
    assert f'src="{picture}?frame=1"' in page
    assert client.get(picture).status_code == 200

    clear = reverse("records:export-clear", args=[export.pk])
    wrong = {"blacken": str(hold.pk), f"{hold.pk}-regions": "one two"}
    assert "can&#x27;t be read" in client.post(clear, wrong, follow=True).content.decode()
    right = {"blacken": str(hold.pk), f"{hold.pk}-regions": "1 1 2, 2\n"}
    client.post(clear, right)
    hold.refresh_from_db()
    assert hold.blackened == [[1, 1, 2, 2]]
    prepare_export(export_id=export.pk)
    answer = client.get(reverse("records:export-file", args=[export.pk]))
    assert answer["Content-Type"] == "application/zip"
    assert zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))).testzip() is None
    steps = [event.details["step"] for event in events(Action.STUDY_EXPORTED)[-2:]]
    assert steps == ["taken", "sent"]


def test_api_asks_clears_and_hands_out(study_of, reviewer):
    study = study_of(SCREEN)
    client = Client()
    client.force_login(reviewer)
    wanted = {"studies": [str(study.pk)], "project": "p", "purpose": "q"}

    def post(address: str, body: dict[str, Any]) -> Any:
        return client.post(address, json.dumps(body), content_type="application/json")

    asked = post(reverse("api-export-list"), wanted)
    assert asked.status_code == 201, asked.content
    export = asked.json()
    address = reverse("api-export-file", args=[export["id"]])
    assert client.get(address).status_code == 409
    prepare_export(export_id=export["id"])
    held = client.get(reverse("api-export-detail", args=[export["id"]])).json()
    assert held["state"] == "held"
    hold = held["holds"][0]
    picture = reverse("api-export-hold", args=[export["id"], hold["id"]])
    assert [client.get(picture).status_code for _ in range(hold["frames"])] == [200]
    decisions = [{"hold": hold["id"], "regions": [[0, 0, 2, 2]]}]
    cleared = post(reverse("api-export-clear", args=[export["id"]]), {"decisions": decisions})
    assert cleared.json()["state"] == "preparing"
    prepare_export(export_id=export["id"])
    assert client.get(address).status_code == 200
    assert client.get(reverse("api-export-list")).json()["results"][0]["state"] == "ready"


def test_deidentify_writes_a_data_set_that_training_reads(study_of, reviewer, tmp_path):
    study, other = study_of({}, {}), study_of({"PatientID": "P-2"})
    labels = tmp_path / "known.csv"
    labels.write_text(f"study,label\n{study.study_instance_uid},nodule\n")
    out = tmp_path / "set"
    options = {"user": reviewer.username, "project": "p", "out": out}
    studies = [study.study_instance_uid, str(other.pk)]
    call_command("deidentify", studies=studies, labels=labels, **options)

    rows = list(csv.DictReader((out / "labels.csv").read_text().splitlines()))
    assert sorted(row["label"] for row in rows) == ["", "nodule", "nodule"]
    assert len({row["group"] for row in rows}) == 2
    names = [str(path.relative_to(out)) for path in out.rglob("*.dcm")]
    assert sorted(names) == sorted(row["path"] for row in rows)
    with pytest.raises(CommandError, match="isn't empty"):
        call_command("deidentify", studies=studies, **options)


def test_deidentify_stops_for_a_person_and_goes_on_afterwards(study_of, reviewer, tmp_path):
    study, out = study_of(SCREEN), tmp_path / "set"
    with pytest.raises(CommandError, match="may carry writing"):
        call_command("deidentify", user=reviewer.username, project="p", out=out,
                     studies=[str(study.pk)])  # fmt: skip
    assert not out.exists()
    export = Export.objects.get()
    see(export, reviewer)
    clear_export(actor=reviewer, export=export, decisions={export.holds.get().pk: []})
    call_command("deidentify", user=reviewer.username, export=export.pk, out=out)
    assert len(list(Path(out).rglob("*.dcm"))) == 1


def test_exported_copy_of_a_sample_trains(study_of, reviewer, tmp_path):
    from ml.workshop.datasets.tables import read_table

    study, out = study_of({}), tmp_path / "set"
    call_command("deidentify", user=reviewer.username, project="p", out=out,
                 studies=[str(study.pk)])  # fmt: skip
    unlabelled = read_table(out / "labels.csv", lambda label: label)
    assert (unlabelled.examples, unlabelled.foreign[""]) == ([], 1)
    with (out / "labels.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (out / "labelled.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(row | {"label": "normal"} for row in rows)
    (example,) = read_table(out / "labelled.csv", lambda label: label).examples
    assert example.path.is_file()
    assert example.source == "p"
    assert example.group.startswith("P")
