"""A worker whose clock is wrong: no answer is finished before it was queued."""

import os
import subprocess
import sys

import pytest
from django.utils import timezone

from accounts.roles import Role
from classifier.models import Classification
from classifier.services.requests import request_classifications
from tests import factories

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"

WORK = """
import django
django.setup()
from accounts.processes import name_process
from classifier.errors import NotStatable
from classifier.services import runs
from medimaging import heartbeats
name_process("worker")
said = heartbeats.beat()
assert -601 < said.clock_offset_s < -599, said
heartbeats.ClockWatch().note(said)
claim = runs.claim_classification(worker="w")
assert runs.renew_lease(claim=claim)
assert runs.sweep_classifications()["requeued"] == 0
assert runs.fail_classification(claim=claim, error=NotStatable())
"""


@pytest.mark.django_db(transaction=True)
def test_times_of_a_classification_are_the_database_s_whatever_the_worker_s_clock_says():
    department = factories.make_department()
    technician = factories.make_user(Role.TECHNICIAN, department=department)
    study = factories.make_study(department=department)
    before = timezone.now()
    (row,) = request_classifications(actor=technician, study=study)

    done = subprocess.run(
        [sys.executable, "-c", WORK],
        env={**os.environ, "LD_PRELOAD": FAKETIME, "FAKETIME": "-600s"},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "clock_off: " in done.stdout
    assert "600.0 s behind Redis's" in done.stdout
    row = Classification.objects.get(pk=row.pk)
    assert before < row.queued_at < row.started_at < row.finished_at < timezone.now()
