"""C-STORE and C-ECHO by dcmtk's programs, against our server."""

import pytest

from accounts.models import AuditEvent
from records.models import Instance, Origin, Study, Submission, SubmissionState
from tests.records.dimse import eventually, listening, make_node, run
from tests.records.files import SAMPLES, make_dicom

pytestmark = pytest.mark.django_db(transaction=True)

CHEST = sorted(SAMPLES.glob("lung-ct-*/*.dcm"))


@pytest.fixture
def server(department):
    make_node(department)
    with listening() as server:
        yield server


def is_closed() -> bool:
    return Submission.objects.exists() and not Submission.objects.filter(state="receiving").exists()


def test_echo_is_answered_when_the_node_is_registered(server):
    assert run(server, "echoscu").returncode == 0


def test_store_files_objects_of_one_association_in_one_submission(server, department, tmp_path):
    done = run(server, "storescu", "-v", "-R", *CHEST)

    assert done.returncode == 0, done.stderr
    eventually(is_closed)
    submission = Submission.objects.get()
    assert submission.state == SubmissionState.STORED
    assert submission.origin == Origin.DIMSE
    assert submission.department == department
    assert Instance.objects.count() == len(CHEST)
    assert set(Study.objects.values_list("state", flat=True)) == {"open"}
