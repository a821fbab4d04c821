"""Chest radiographs to send to a running product: as pictures and as DICOM objects."""

import io

import numpy as np
import pydicom
from PIL import Image
from pydicom.uid import generate_uid
from pynetdicom import AE

from tests.product import ROOT

CHEST = next((ROOT / "samples").glob("chest-normal-adult-1/*.dcm"))
PEER = "PEER"
ADD_PEER = f"""
from accounts.models import Department
from records.services.nodes import add_node
add_node(actor=None, ae_title="{PEER}", department=Department.objects.get(name="Radiology"),
         addresses=["127.0.0.1"], can_store=True)
"""
"""For `manage.py shell`: whoever calls itself so may send objects."""


def picture(number: int) -> bytes:
    """A chest radiograph as PNG, another one for each number."""
    pixels = pydicom.dcmread(CHEST).pixel_array.astype(int)
    seed = np.random.default_rng(number)
    shown = np.clip(pixels + seed.integers(-3, 4, size=pixels.shape), 0, 255)
    stream = io.BytesIO()
    Image.fromarray(shown.astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def dicom_object(patient_id: str) -> pydicom.Dataset:
    """The same radiograph as DICOM, of another study each time."""
    dataset = pydicom.dcmread(CHEST)
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, name, generate_uid())
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientID = patient_id
    return dataset


def in_bytes(dataset: pydicom.Dataset) -> bytes:
    """The file of an object."""
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def send_by_dicom(dataset: pydicom.Dataset, *, port: int, seconds: float = 30) -> int | None:
    """C-STORE an object as PEER to this machine; the status, None where there was no answer."""
    entity = AE(PEER)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = seconds
    entity.connection_timeout = seconds
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title="MEDIMAGING")
    if not association.is_established:
        return None
    status = association.send_c_store(dataset)
    association.release()
    return int(status.Status) if "Status" in status else None
