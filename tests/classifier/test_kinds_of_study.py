"""Every kind of study that the product classifies, from the file that is sent to its task."""

import io

import pytest
from pydicom import Dataset
from pydicom.uid import (
    DermoscopicPhotographyImageStorage,
    OphthalmicPhotography8BitImageStorage,
    SecondaryCaptureImageStorage,
    VLPhotographicImageStorage,
)

from classifier.models import Classification
from classifier.task_registry import STUDY_TASKS, read_task
from records.forms import BODY_PARTS, MODALITIES
from records.services import DeclaredFields, submit_study
from tests.dicom.files import make_dicom, make_jpeg


@pytest.fixture
def send(technician, department):
    """Submit one file and return the one classification that comes of it."""

    def _send(content, **declared):
        submit_study(
            actor=technician,
            department=department,
            files=[("file", io.BytesIO(content))],
            declared=DeclaredFields(**declared),
        )
        return Classification.objects.get()

    return _send


def photograph(sop_class, modality, *, region="", **elements):
    """A colour photograph as a camera or an archive writes it: its region is a code."""
    if region:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "SCT", region
        elements["AnatomicRegionSequence"] = [code]
    return make_dicom(
        SOPClassUID=sop_class,
        Modality=modality,
        BodyPartExamined=elements.pop("BodyPartExamined", None),
        SamplesPerPixel=3,
        PlanarConfiguration=0,
        PhotometricInterpretation="RGB",
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelData=bytes(range(256)) * 3,
        **elements,
    )


@pytest.mark.parametrize(
    ("modality", "body_part", "task"),
    [
        ("CR", "CHEST", "chest-xray"),
        ("DX", "CHEST", "chest-xray"),
        ("CT", "CHEST", "lung-ct"),
        ("MR", "BRAIN", "brain-mri"),
        ("MR", "HEAD", "brain-mri"),
        ("XC", "SKIN", "skin-lesion"),
        ("DMS", "SKIN", "skin-lesion"),
        ("DMS", "", "skin-lesion"),
        ("OP", "EYE", "retina"),
        ("OP", "RETINA", "retina"),
        ("XC", "EYE", "retina"),
    ],
)
def test_picture_goes_to_the_task_that_the_upload_page_s_choices_name(
    send, modality, body_part, task
):
    row = send(make_jpeg(), patient_id="P-1", modality=modality, body_part=body_part)
    assert (row.task, row.state) == (task, "queued")
    assert modality in dict(MODALITIES)
    assert body_part in dict([("", ""), *BODY_PARTS])


@pytest.mark.parametrize(
    ("sop_class", "modality", "elements", "task"),
    [
        (DermoscopicPhotographyImageStorage, "DMS", {"region": "Skin of back"}, "skin-lesion"),
        (DermoscopicPhotographyImageStorage, "DMS", {"BodyPartExamined": "ARM"}, "skin-lesion"),
        (VLPhotographicImageStorage, "XC", {"region": "Skin"}, "skin-lesion"),
        (VLPhotographicImageStorage, "XC", {"SeriesDescription": "Fundus left"}, "retina"),
        (VLPhotographicImageStorage, "XC", {"SeriesDescription": "Skin by the eye"}, "skin-lesion"),
        (OphthalmicPhotography8BitImageStorage, "OP", {"region": "Retina"}, "retina"),
        (OphthalmicPhotography8BitImageStorage, "OP", {"region": "Eye"}, "retina"),
        (SecondaryCaptureImageStorage, "OP", {"BodyPartExamined": "EYE"}, "retina"),
        (OphthalmicPhotography8BitImageStorage, "OP", {"region": "Eyelid"}, ""),
        (VLPhotographicImageStorage, "XC", {"region": "Hand"}, ""),
    ],
)
def test_dicom_photograph_goes_to_the_task_of_its_modality_and_region(
    send, sop_class, modality, elements, task
):
    row = send(photograph(sop_class, modality, **elements))
    assert row.task == task


def test_every_task_can_be_reached_from_the_upload_page():
    reached = {
        task.name
        for task in STUDY_TASKS
        for modality, _ in MODALITIES
        for body_part, _ in BODY_PARTS
        if task.is_named_by(modality, body_part)
    }
    assert reached == {task.name for task in STUDY_TASKS}


WORDS = {
    ("MR", "Sample: header says nothing"): "",
    ("MR", "forehead"): "",
    ("MR", "Arrowhead on film, overhead table"): "",
    ("MR", "MR HIP femoral head"): "",
    ("MR", "MR Head of pancreas"): "",
    ("MR", "FOOT Morton neuroma"): "",
    ("MR", "Cerebrospinal fluid, lumbar"): "",
    ("MR", "MR Head"): "brain-mri",
    ("MR", "HEADNECK"): "brain-mri",
    ("MR", "HEAD_NECK"): "brain-mri",
    ("MR", "T2 cerebral perfusion"): "brain-mri",
    ("CR", "Manchester General, knee"): "",
    ("CR", "orchestra of plungers"): "",
    ("CR", "Röntgenthorax p.a."): "chest-xray",
    ("CR", "ChestPA"): "chest-xray",
    ("CT", "CHESTABDPELVIS"): "lung-ct",
    ("CT", "NECKCHEST"): "lung-ct",
    ("CT", "CT Lungs low dose"): "lung-ct",
    ("XC", "Eyelids"): "",
    ("XC", "snakeskin"): "",
    ("XC", "Skin lesions, back"): "skin-lesion",
}


@pytest.mark.parametrize(("modality", "words"), WORDS)
def test_only_words_of_their_own_name_a_task(modality, words):
    named = [one.name for one in STUDY_TASKS if one.is_named_by(modality, words)]
    assert named == [task for task in (WORDS[modality, words],) if task]


def bring(task, modalities, body_parts, /, **routing):
    """A task as a site's bundle tells of it in its manifest."""
    scope = {"modalities": modalities, "body_parts": body_parts}
    return read_task({"task": task, "scope": scope, "routing": routing or None})


HEADS_BY_CT = bring("heads", ["OT", "CT", "SC"], ["HEAD", "CHEST WALL"])


@pytest.mark.parametrize(
    ("modality", "words", "is_named"),
    [
        ("CT", "CT HEAD", True),
        ("CT", "HEADNECK", True),
        ("CT", "head_neck 3 mm", True),
        ("CT", "chest wall", True),
        ("CT", "CHESTWALL", True),
        ("CT", "forehead", False),
        ("CT", "overhead", False),
        ("CT", "humeral head", False),
        ("OT", "HEAD", False),
        ("SC", "Sample: header says nothing", False),
    ],
)
def test_scope_of_a_site_s_task_is_read_by_words(modality, words, is_named):
    assert HEADS_BY_CT.is_named_by(modality, words) is is_named


@pytest.mark.parametrize(
    ("modality", "words", "is_named"),
    [
        ("US", "Elbow, left", True),
        ("US", "olecranon", True),
        ("US", "Cubital tunnel", True),
        ("US", "Elbows", False),
        ("US", "cubitus", False),
        ("US", "HEAD", False),
        ("ES", "", True),
        ("CT", "ELBOW", False),
    ],
)
def test_routing_goes_before_the_scope(modality, words, is_named):
    elbows = bring(
        "elbows",
        ["CT"],
        ["HEAD"],
        modalities=["US"],
        words=["elbow", "*cranon", "cubit*", "", "*"],
        word_exceptions=["cubitus"],
        sufficient_modalities=["ES"],
    )
    assert elbows.is_named_by(modality, words) is is_named
    assert elbows.stated == ("US", "ELBOW")


@pytest.mark.parametrize("stated", [["US", "KNEE"], ["US"], ["US", "ELBOW", "LEFT"]])
def test_what_is_stated_for_a_task_must_name_it(stated):
    with pytest.raises(ValueError, match="what is stated for it"):
        bring("elbows", ["US"], ["ELBOW"], stated=stated)


def test_task_for_silent_modalities_alone_is_still_reached():
    pictures = bring("wounds", ["OT"], ["WOUND"])
    assert pictures.is_named_by("OT", "Wound, left leg")
    assert HEADS_BY_CT.stated == ("CT", "HEAD")
