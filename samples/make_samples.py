"""Make the sample studies from public images: `python samples/make_samples.py --data DIR`.

Only images of the test split are used, so that no model has been trained on them: the first of
their kind by name that carry no handwriting, which may be somebody's name. Skin and eye are drawn
by code: no image of them is had under terms that fit. Every identity is invented. The same input
gives the same files.
"""

import argparse
import csv
import datetime as dt
import io
import json
import os
import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medimaging.settings")
django.setup()

from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from medimaging.quickstart.demo import SAMPLES_INSTITUTION
from records.dicom.reading.declared import DeclaredFields
from records.dicom.writing.photograph import as_dicom, assign_uids
from samples.drawn import draw_fundus, draw_skin

STUDY_DATE = dt.date(2026, 1, 12)
GUANGZHOU = "Kermany et al. 2018, doi:10.17632/rscbjbr9sj"
MIXED = "COVID-19 Radiography and TB chest X-ray databases (Mendeley), RSNA/NIH normals"
BRAIN = "Nickparvar 2021 (figshare Cheng, Bhuvaji, Br35H)"
LUNG = "IQ-OTH/NCCD, Alyasriy, doi:10.17632/bhmdr45bh2"
PYDICOM = "pydicom test files (CT_small.dcm)"
DRAWN = "drawn by samples/drawn.py"


@dataclass(frozen=True)
class Sample:
    """One study: which images it is made of, and whom it pretends to be of."""

    slug: str
    task: str
    label: str
    pick: int
    folder: str
    source: str
    licence: str
    name: str
    birth_date: str
    sex: str
    slices: int = 1
    priority: str = "routine"
    department: str = "Radiology"
    header: tuple[str, str, str] | None = None


CHEST, HEAD, THORAX = ("CR", "CHEST", "PA"), ("MR", "BRAIN", ""), ("CT", "CHEST", "")
SKIN, EYE, SILENT = ("XC", "SKIN", ""), ("OP", "EYE", ""), ("", "", "")
HEADER = {
    "chest-xray": CHEST,
    "brain-mri": HEAD,
    "lung-ct": THORAX,
    "skin-lesion": SKIN,
    "retina": EYE,
    "none": THORAX,
}
DRAWINGS = {"skin-lesion": draw_skin, "retina": draw_fundus}

SAMPLES = (
    Sample(
        "chest-normal-child", "chest-xray", "normal", 0, "chest-xray/guangzhou/normal",
        GUANGZHOU, "CC BY 4.0", "Linden^Mia", "2022-03-14", "F",
    ),
    Sample(
        "chest-normal-adult-1", "chest-xray", "normal", 0, "chest-xray/mixed-normal/normal",
        MIXED, "mixed, see README", "Berger^Jonas", "1979-08-02", "M",
    ),
    Sample(
        "chest-normal-adult-2", "chest-xray", "normal", 1, "chest-xray/mixed-normal/normal",
        MIXED, "mixed, see README", "Okafor^Ada", "1991-11-23", "F",
    ),
    Sample(
        "chest-pneumonia-child-1", "chest-xray", "pneumonia", 0,
        "chest-xray/guangzhou/pneumonia", GUANGZHOU, "CC BY 4.0", "Novak^Emil", "2023-05-30", "M",
        priority="urgent",
    ),
    Sample(
        "chest-pneumonia-child-2", "chest-xray", "pneumonia", 1,
        "chest-xray/guangzhou/pneumonia", GUANGZHOU, "CC BY 4.0", "Rossi^Chiara", "2021-09-08",
        "F",
    ),
    Sample(
        "chest-tuberculosis-1", "chest-xray", "tuberculosis", 9,
        "chest-xray/mixed-tb/tuberculosis", MIXED, "mixed, see README", "Haddad^Samir",
        "1968-02-19", "M",
    ),
    Sample(
        "chest-tuberculosis-2", "chest-xray", "tuberculosis", 1,
        "chest-xray/mixed-tb/tuberculosis", MIXED, "mixed, see README", "Nguyen^Lan",
        "1985-12-01", "F",
    ),
    Sample(
        "brain-glioma", "brain-mri", "glioma", 0, "brain-mri/nickparvar/glioma", BRAIN,
        "CC0 as claimed by the publisher", "Sato^Haruki", "1957-04-17", "M", priority="urgent",
    ),
    Sample(
        "brain-meningioma", "brain-mri", "meningioma", 0, "brain-mri/nickparvar/meningioma",
        BRAIN, "CC0 as claimed by the publisher", "Larsen^Ingrid", "1963-10-05", "F",
    ),
    Sample(
        "brain-pituitary", "brain-mri", "pituitary", 0, "brain-mri/nickparvar/pituitary", BRAIN,
        "CC0 as claimed by the publisher", "Moreau^Claire", "1974-06-26", "F",
    ),
    Sample(
        "brain-no-tumor", "brain-mri", "no_tumor", 0, "brain-mri/nickparvar/no_tumor", BRAIN,
        "CC0 as claimed by the publisher", "Weiss^Daniel", "1982-01-09", "M",
    ),
    Sample(
        "lung-ct-malignant", "lung-ct", "malignant", 0, "lung-ct/iqothnccd/malignant", LUNG,
        "CC BY 4.0", "Petrov^Ivan", "1951-07-11", "M", slices=6,
    ),
    Sample(
        "ct-of-no-task", "none", "", 0, "", PYDICOM, "MIT", "Silva^Marta", "1960-03-03", "F",
    ),
    Sample(
        "skin-drawn", "skin-lesion", "", 3, "", DRAWN, "Apache-2.0", "Lindqvist^Elsa",
        "1988-05-19", "F", department="Dermatology",
    ),
    Sample(
        "eye-drawn", "retina", "", 5, "", DRAWN, "Apache-2.0", "Costa^Rafael", "1966-11-27", "M",
        department="Ophthalmology",
    ),
    Sample(
        "header-says-nothing", "chest-xray", "normal", 5, "chest-xray/mixed-normal/normal", MIXED,
        "mixed, see README", "Kowalska^Anna", "1984-02-06", "F", header=SILENT,
    ),
    Sample(
        "header-says-chest", "brain-mri", "", 3, "brain-mri/nickparvar/no_tumor", BRAIN,
        "CC0 as claimed by the publisher", "Yilmaz^Deniz", "1972-09-13", "O", header=CHEST,
    ),
)  # fmt: skip


def main() -> None:
    """Write every study's folder, and the table of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the image sets")
    data = parser.parse_args().data
    target = ROOT / "samples"
    rows = []
    for number, sample in enumerate(SAMPLES, start=1):
        declared = declare(sample, number)
        folder = target / sample.slug
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        write_images(sample, declared, data, folder)
        write_description(sample, folder)
        rows.append(index_row(sample, declared))
    with (target / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def declare(sample: Sample, number: int) -> DeclaredFields:
    """The invented identity, and the true kind of image unless the sample is to hide it."""
    modality, body_part, view = sample.header or HEADER[sample.task]
    return DeclaredFields(
        patient_id=f"SAMPLE-{number:02}",
        issuer="SAMPLES",
        patient_name=sample.name,
        birth_date=dt.date.fromisoformat(sample.birth_date),
        sex=sample.sex,
        modality=modality,
        body_part=body_part,
        view_position=view,
        study_description=describe(sample)[:64],
        study_date=STUDY_DATE,
        accession_number=f"SAMPLE{number:02}",
    )


def describe(sample: Sample) -> str:
    """What the header says of the study; nothing that names a body part where it hides it."""
    words = sample.slug if sample.header else sample.task
    return f"Sample: {words.replace('-', ' ')}"


def write_images(sample: Sample, declared: DeclaredFields, data: Path, folder: Path) -> None:
    """Write the DICOM files of one study."""
    if sample.source == PYDICOM:
        write_pydicom_image(declared, folder)
        return
    if sample.source == DRAWN:
        write_drawing(sample, declared, folder)
        return
    for number, path in enumerate(choose(sample, data), start=1):
        write_picture(sample, declared, path, number=number, folder=folder)


def write_picture(
    sample: Sample, declared: DeclaredFields, path: Path, *, number: int, folder: Path
) -> None:
    """Write one picture as DICOM."""
    uids = assign_uids(
        declared=declared, department_id="samples", batch_id=sample.slug, sha256=path.name
    )
    made = as_dicom(path.read_bytes(), declared=declared, uids=uids, number=number)
    save(dcmread(io.BytesIO(made.content)), folder / f"{number:02}.dcm")


def write_drawing(sample: Sample, declared: DeclaredFields, folder: Path) -> None:
    """Draw the picture of one study; `pick` is the seed."""
    with tempfile.TemporaryDirectory() as there:
        path = Path(there) / f"{sample.slug}.png"
        DRAWINGS[sample.task](sample.pick).save(path)
        write_picture(sample, declared, path, number=1, folder=folder)


def choose(sample: Sample, data: Path) -> list[Path]:
    """The images of the test split that a sample is made of; slices come from one group."""
    with (data / f"{sample.task}.csv").open(encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["split"] == "test" and row["path"].startswith(f"{sample.folder}/")
        ]
    rows.sort(key=lambda row: row["path"])
    if sample.slices == 1:
        return [data / rows[sample.pick]["path"]]
    groups = {row["group"]: [r for r in rows if r["group"] == row["group"]] for row in rows}
    group = next(members for members in groups.values() if len(members) >= sample.slices)
    return [data / row["path"] for row in group[: sample.slices]]


def write_pydicom_image(declared: DeclaredFields, folder: Path) -> None:
    """A scanner's own CT image, under an invented identity and new UIDs."""
    image = dcmread(get_testdata_file("CT_small.dcm"))
    image.PatientName, image.PatientID = declared.patient_name, declared.patient_id
    image.IssuerOfPatientID, image.PatientSex = declared.issuer, declared.sex
    image.PatientBirthDate = f"{declared.birth_date:%Y%m%d}"
    image.AccessionNumber = declared.accession_number
    image.StudyDescription = declared.study_description
    image.remove_private_tags()
    for keyword in LEFT_OUT:
        if keyword in image:
            del image[keyword]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        image[keyword].value = generate_uid(entropy_srcs=["samples", str(image[keyword].value)])
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    save(image, folder / "01.dcm")


LEFT_OUT = ("OtherPatientIDs", "OtherPatientIDsSequence", "PatientAge", "DataSetTrailingPadding")


def save(image: Dataset, path: Path) -> None:
    """Write a file that depends on its input alone, not on when it was made.

    Its institution is the one that the demo lets the models answer.
    """
    image.InstitutionName = SAMPLES_INSTITUTION
    if "ContentDate" in image:
        image.ContentDate = f"{STUDY_DATE:%Y%m%d}"
        image.ContentTime = "080000"
    image.save_as(path, enforce_file_format=True)


def write_description(sample: Sample, folder: Path) -> None:
    """What the quickstart needs to submit the folder: the files say the rest themselves."""
    stated = {"department": sample.department, "priority": sample.priority, "declared": {}}
    text = json.dumps(stated, indent=2) + "\n"
    (folder / "study.json").write_text(text, encoding="utf-8")


def index_row(sample: Sample, declared: DeclaredFields) -> dict[str, str]:
    """One line of the table."""
    identity = {
        name: str(value)
        for name, value in asdict(declared).items()
        if name in ("patient_id", "patient_name", "birth_date", "sex")
    }
    return {
        "file": f"{sample.slug}/*.dcm",
        "images": str(sample.slices),
        "task": sample.task,
        "expected_label": sample.label,
        "source": sample.source,
        "licence": sample.licence,
        "priority": sample.priority,
    } | identity


if __name__ == "__main__":
    main()
