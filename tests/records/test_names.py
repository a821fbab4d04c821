"""Names in any script, kept whole and found again; texts that can't be decoded; ages and clocks."""

import base64
from pathlib import Path

import pydicom
import pytest
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from classifier.models import Classification
from records.dicom.names import PersonName, fold
from records.dicom.reading.texts import Texts
from records.models import Instance, Patient, Study
from records.services import submit_study
from tests.dicom.files import make_dicom, make_item
from tests.factories import make_patient, make_study, make_user
from tests.prerequisites import require_shared

CHARSETS = Path(pydicom.__file__).parent / "data" / "charset_files"


@pytest.fixture
def reviewer(department) -> User:
    return make_user(Role.REVIEWER, department=department)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("chrH31", ("Yamada^Tarou", "山田^太郎", "やまだ^たろう")),
        ("chrH32", ("ﾔﾏﾀﾞ^ﾀﾛｳ", "山田^太郎", "やまだ^たろう")),
        ("chrI2", ("Hong^Gildong", "洪^吉洞", "홍^길동")),
        ("chrX1", ("Wang^XiaoDong", "王^小東", "")),
        ("chrX2", ("Wang^XiaoDong", "王^小东", "")),
        ("chrHbrw", ("שרון^דבורה", "", "")),
    ],
)
def test_name_is_held_in_all_its_ways_of_writing(technician, department, name, groups):
    submission = submit_study(
        actor=technician, department=department, files=[CHARSETS / f"{name}.dcm"]
    )

    patient = Patient.objects.get()
    assert (patient.name, patient.ideographic_name, patient.phonetic_name) == groups
    assert submission.files.get().code != "text_undecodable"
    assert Instance.objects.get().undecoded == {}


@pytest.mark.django_db
@pytest.mark.slow
def test_no_file_of_the_charset_collection_is_undecodable(technician, department):
    """Nor replaced: what the reader makes of the bytes has no replacement character."""
    files = sorted(require_shared("dicom/charsets").glob("*.dcm"))

    submission = submit_study(actor=technician, department=department, files=files)

    assert not submission.files.filter(code__in=["text_undecodable", "unexpected"]).exists()
    for path in files:
        texts = Texts(pydicom.dcmread(path, force=True, stop_before_pixels=True))
        assert "\ufffd" not in texts.read_name("PatientName")
        assert texts.undecoded == {}


@pytest.mark.parametrize(
    ("name", "expected"), [("chrJapMulti", "やまだ^たろう"), ("chrKoreanMulti", "김희중")]
)
def test_read_name_follows_escape_sequences(name, expected):
    dataset = pydicom.dcmread(CHARSETS / f"{name}.dcm", stop_before_pixels=True)

    assert Texts(dataset).read_name("PatientName") == expected


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("charset", "name", "ideographic"),
    [
        # Second bytes of these characters are "\\", "^" and "=" by themselves.
        ("GBK", b"Cheng^Yi=\x81\x5c^\x81\x5e", "乗^乛"),
        ("GB18030", b"Wang^Yi=\x81\x5c^\x81\x5e", "乗^乛"),
        (["", "ISO 2022 IR 87"], b"Hide^A=\x1b$B=(\x1b(B^\x1b$B=U\x1b(B", "秀^春"),
        ("ISO_IR 192", "Ōe^Kenzaburō=大江^健三郎".encode(), "大江^健三郎"),
    ],
)
def test_bytes_that_look_like_delimiters_are_read_as_halves_of_characters(
    send_one, charset, name, ideographic
):
    verdict = send_one(with_raw_name(name, charset))

    patient = Patient.objects.get()
    assert patient.ideographic_name == ideographic
    assert verdict.code == "stored"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("charset", "raw", "shown"),
    [
        ("ISO_IR 192", b"M\xfcller^J\xfcrgen", "M\ufffdller^J\ufffdrgen"),
        ("GB18030", b"Wang\xff^Li", "Wang\ufffd^Li"),
        ("", "Müller^Jürgen".encode(), "Müller^Jürgen"),
        ("", b"M\xfcller^J\xfcrgen", "Müller^Jürgen"),
        ("ISO_IR 999", b"M\xfcller", "Müller"),
    ],
)
def test_undecodable_name_is_told_and_its_bytes_kept(send_one, charset, raw, shown):
    verdict = send_one(with_raw_name(raw, charset))

    assert (verdict.verdict, verdict.code) == ("stored", "text_undecodable")
    assert "PatientName" in verdict.message
    assert verdict.action
    assert Patient.objects.get().name == shown
    kept = Instance.objects.get().undecoded
    assert base64.b64decode(kept["PatientName"]) == raw


@pytest.mark.django_db
def test_undecodable_patient_id_is_nobody_s(send_one):
    content = make_dicom(PatientID="PQRS").replace(b"PQRS", b"P\xfc\xfd1")

    verdict = send_one(content)

    assert not verdict.study.patient.is_identified
    assert "PatientID" in Instance.objects.get().undecoded


@pytest.mark.django_db
def test_referring_physician_is_held_in_all_ways_of_writing(send_one):
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"

    study = send_one(make_dicom(ReferringPhysicianName=name, StudyID="Ü 7")).study

    assert str(study.referring_physician) == name
    assert study.referring_physician_search_name == "yamada tarou 山田 太郎 やまた たろう"
    assert study.study_id == "Ü 7"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("keyword", "sequence"),
    [
        ("ReferringPhysicianName", ""),
        ("StudyID", ""),
        ("RequestedProcedureID", "RequestAttributesSequence"),
    ],
)
def test_undecodable_query_key_is_told_and_its_bytes_kept(send_one, keyword, sequence):
    elements = {sequence: [make_item(**{keyword: "PQRS"})]} if sequence else {keyword: "PQRS"}
    content = make_dicom(SpecificCharacterSet="ISO_IR 192", **elements)

    verdict = send_one(content.replace(b"PQRS", b"P\xfc\xfd1"))

    assert (verdict.verdict, verdict.code) == ("stored", "text_undecodable")
    assert keyword in verdict.message
    kept = Instance.objects.get().undecoded
    assert base64.b64decode(kept[keyword]) == b"P\xfc\xfd1"


@pytest.mark.django_db
def test_order_is_read_in_the_character_set_of_its_item(send_one):
    orders = [
        make_item(SpecificCharacterSet="ISO_IR 100", RequestedProcedureID="Ä1"),
        make_item(SpecificCharacterSet="ISO_IR 144", ScheduledProcedureStepID="Я2"),
        make_item(RequestedProcedureID="山3", ScheduledProcedureStepID="S3"),
        make_item(ScheduledProcedureStepDescription="Thorax"),
    ]

    verdict = send_one(make_dicom(RequestAttributesSequence=orders))

    assert verdict.code == "stored"
    assert verdict.study.series.get().request_attributes == [
        {"ScheduledProcedureStepID": "", "RequestedProcedureID": "Ä1"},
        {"ScheduledProcedureStepID": "Я2", "RequestedProcedureID": ""},
        {"ScheduledProcedureStepID": "S3", "RequestedProcedureID": "山3"},
    ]


@pytest.mark.django_db
def test_study_page_tells_who_referred_and_the_study_id(client, send_one, reviewer):
    study = send_one(make_dicom(ReferringPhysicianName="<b>^Åse", StudyID="RAD<7")).study
    silent = send_one(make_dicom()).study
    client.force_login(reviewer)

    told = client.get(study.get_absolute_url()).content.decode()
    untold = client.get(silent.get_absolute_url()).content.decode()

    assert "study ID RAD&lt;7" in told
    assert 'referred by <bdi dir="auto">&lt;b&gt;, Åse</bdi>' in told
    assert "study ID" not in untold
    assert "referred by" not in untold


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        ("Müller^Jürgen", "MULLER^JURGEN", False),
        ("Muster^Erika", "Muster", False),
        ("Muster^Erika", "Muster^Erika^Maria^Dr", False),
        ("Muster^Erika", "Muster^Erna", True),
        ("Yamada^Tarou=山田^太郎", "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎", False),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太朗", True),
        ("Yamada^Tarou", "=山田^太郎", False),
        ("M\ufffdller^Erika", "Müller^Erika", False),
        ("M\ufffdller^Erika", "Müller^Max", True),
        ("", "Muster^Erika", False),
    ],
)
def test_differs_from_tells_two_people_apart(one, other, differs):
    first, second = PersonName.from_text(one), PersonName.from_text(other)

    assert first.differs_from(second) is differs
    assert second.differs_from(first) is differs


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [
        "ersen",
        "soren ANDERSEN",
        "Andersen, Sø",
        "andersen^soren",
        "あんでるせん",
        "ｱﾝﾃﾞﾙｾﾝ",
        "安徒生",
    ],
)
def test_patient_is_found_whatever_accents_case_order_and_script(client, reviewer, query):
    wanted = make_patient(
        name="Andersén^Søren",
        ideographic_name="安徒生^索伦",
        phonetic_name="アンデルセン^ソレン",
    )
    study = make_study(department=reviewer.departments.get(), patient=wanted)
    make_study(department=reviewer.departments.get(), patient=make_patient(name="Muster^Erika"))
    Classification.objects.create(study=study, task="chest-xray")

    assert list(Patient.objects.matching(query)) == [wanted]
    assert list(Study.objects.matching(query)) == [study]
    assert Classification.objects.matching(query).get().study == study
    client.force_login(reviewer)
    found = client.post(reverse("records:patient-list"), {"q": query}, follow=True)
    page = found.content.decode()
    assert "Andersén, Søren" in page
    assert "Muster" not in page


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["^", ",", "%", "_"])
def test_search_for_what_no_name_has_finds_nothing(query):
    make_patient(name="Andersén^Søren")

    assert not Patient.objects.matching(query).exists()


def test_fold_is_its_own_end():
    for text in ("Ἀθηνᾶ ΣΊΣΥΦΟΣ", "Łódź", "İstanbul", "straße", "ｶﾞｷﾞｸﾞ", "مُحَمَّد", "שָׁרוֹן"):
        assert fold(fold(text)) == fold(text)
    assert fold("STRASSE") == fold("straße")
    assert fold("محمد") == fold("مُحَمَّد")


@pytest.mark.django_db
def test_names_are_shown_in_their_direction_with_ideographs_beside(client, reviewer):
    patient = make_patient(name="Yamada^Tarou", ideographic_name="山田^太郎")
    study = make_study(department=reviewer.departments.get(), patient=patient)
    client.force_login(reviewer)

    for page in (study.get_absolute_url(), reverse("records:patient-detail", args=[patient.pk])):
        content = client.get(page).content.decode()
        assert '<bdi dir="auto">Yamada, Tarou</bdi>' in content
        assert "山田, 太郎</bdi>" in content


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("born", "stated", "said"),
    [("20251201", "080Y", "10 wk"), ("", "003W", "3 wk"), ("", "", "None"), ("", "old", "None")],
)
def test_age_is_by_birth_date_and_else_as_stated(send_one, born, stated, said):
    elements = {"PatientBirthDate": born, "PatientAge": stated, "StudyDate": "20260210"}

    study = send_one(make_dicom(**elements)).study

    assert str(study.patient_age) == said


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("offset", ["-1200", "+1400"])
def test_date_and_time_are_the_wall_clock_s_whatever_the_zone(
    client, send_one, reviewer, settings, zone, offset
):
    settings.TIME_ZONE = zone
    content = make_dicom(StudyDate="20260101", StudyTime="233000", TimezoneOffsetFromUTC=offset)

    study = Study.objects.get(pk=send_one(content).study_id)

    assert (str(study.study_date), str(study.study_time)) == ("2026-01-01", "23:30:00")
    assert study.utc_offset == offset
    client.force_login(reviewer)
    page = client.get(study.get_absolute_url()).content.decode()
    assert "1 Jan 2026, 23:30" in page
    assert f"UTC{offset[:3]}:{offset[3:]}" in page


@pytest.mark.django_db
@pytest.mark.parametrize("offset", ["0100", "+1500", "+01:00", "later"])
def test_clock_that_cannot_be_is_left_out(send_one, offset):
    assert send_one(make_dicom(TimezoneOffsetFromUTC=offset)).study.utc_offset == ""


def with_raw_name(name: bytes, charset: str | list[str]) -> bytes:
    """A file whose name is these very bytes, under a character set that may not explain them."""
    padded = name + b" " * (len(name) % 2)
    content = make_dicom(PatientName="x" * len(padded), SpecificCharacterSet=charset)
    return content.replace(b"x" * len(padded), padded)
