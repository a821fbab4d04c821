"""The examples in docs/integrators.md, run as they stand, and its tables held against the code."""

import re
import subprocess
from pathlib import Path

import pytest

from accounts.roles import Role
from accounts.services import issue_token
from records import errors
from records.models import Instance, Study
from tests.factories import make_department, make_user
from tests.prerequisites import require_program
from tests.records.files import SAMPLES, make_png

ROOT = SAMPLES.parent
PAGE = (ROOT / "docs" / "integrators.md").read_text(encoding="utf-8")


@pytest.mark.django_db(transaction=True)
def test_examples_work_as_they_are_written(live_server, tmp_path: Path):
    require_program("curl", "curl")
    user = make_user(Role.INTEGRATOR, Role.REVIEWER, department=make_department())
    _, token = issue_token(actor=user, user=user, name="docs", days=1)
    (tmp_path / "chest.png").write_bytes(make_png())
    (tmp_path / "samples").symlink_to(SAMPLES)
    environment = {"MEDIMAGING": live_server.url, "TOKEN": token, "PATH": "/usr/bin:/bin"}
    examples = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S) if "curl" in block]
    assert len(examples) == 7

    for example in examples:
        instance = Instance.objects.first()
        if instance is not None:
            environment |= {"STUDY": str(instance.series.study_id), "INSTANCE": str(instance.pk)}
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", example],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr

    assert Study.objects.count() == 2
    assert (tmp_path / "image.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "image.dcm").read_bytes()[128:132] == b"DICM"


def test_every_code_of_a_refused_file_is_in_the_table():
    listed = set(re.findall(r"`([a-z_]+)`", PAGE))
    codes = {kind.code for kind in errors.FileRejected.__subclasses__()}
    assert codes <= listed
