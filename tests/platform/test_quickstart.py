"""`manage.py quickstart`: what stops it, what a first run makes, and the whole of it."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pydicom
import pytest
from django.core.management import CommandError, call_command
from pydicom.data import get_testdata_file

from accounts.models import Department, Membership, User
from accounts.roles import Role
from classifier.choices import SourceKind
from classifier.models import ModelVersion, SourceValidation
from classifier.services.sources import withdraw_validation
from medimaging.quickstart import demo, stack
from medimaging.quickstart.errors import AddressUnusable, AlreadyRunning, PortTaken
from records.choices import Origin
from records.models import Study, Submission
from tests import factories
from tests.product import SETTINGS_OF_THE_TESTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_check_port_is_free_names_another_port_when_it_is_taken(taken_port: int) -> None:
    with pytest.raises(PortTaken) as caught:
        stack.check_port_is_free("127.0.0.1", taken_port)

    offered = re.search(r"make run PORT=(\d+)", str(caught.value))
    assert offered is not None
    assert int(offered[1]) != taken_port
    stack.check_port_is_free("127.0.0.1", int(offered[1]))


def test_check_port_is_free_names_the_address_when_it_is_not_ours() -> None:
    with pytest.raises(AddressUnusable, match=r"192\.0\.2\.1"):
        stack.check_port_is_free("192.0.2.1", 8000)


def test_quickstart_starts_nothing_when_the_port_is_taken(
    taken_port: int, tmp_path: Path, settings
) -> None:
    settings.DATA_DIR = tmp_path

    with pytest.raises(CommandError, match=f"Port {taken_port} on 127.0.0.1 is already in use"):
        call_command("quickstart", port=taken_port)

    assert not (tmp_path / "pgdata").exists()


def test_only_run_refuses_a_second_quickstart_on_one_data_directory(tmp_path: Path) -> None:
    with stack.only_run(tmp_path), pytest.raises(AlreadyRunning), stack.only_run(tmp_path):
        pass

    with stack.only_run(tmp_path):
        pass


def test_keep_secret_key_gives_one_private_key_for_ever(tmp_path: Path) -> None:
    key = stack.keep_secret_key(tmp_path)

    assert len(key) >= 50
    assert stack.keep_secret_key(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600


@pytest.mark.django_db
def test_make_accounts_opens_one_account_per_role_when_there_is_nobody(tmp_path: Path) -> None:
    accounts = demo.make_accounts(tmp_path)

    assert accounts.are_new
    assert stat.S_IMODE(accounts.file.stat().st_mode) == 0o600
    assert set(Membership.objects.values_list("role", flat=True)) == set(Role.values)
    sign_ins = dict(line.split() for line in accounts.file.read_text().splitlines())
    assert len(set(sign_ins.values())) == len(Role)
    assert all(User.objects.get(username=name).check_password(pw) for name, pw in sign_ins.items())


@pytest.mark.django_db
def test_make_accounts_changes_nothing_when_there_are_people(tmp_path: Path) -> None:
    demo.make_accounts(tmp_path)
    kept = (tmp_path / "demo-accounts.txt").read_text()

    again = demo.make_accounts(tmp_path)

    assert not again.are_new
    assert again.file.read_text() == kept
    assert User.objects.count() == len(Role)


@pytest.mark.django_db
def test_describe_accounts_leaves_out_who_was_deactivated(tmp_path: Path) -> None:
    demo.make_accounts(tmp_path)
    User.objects.filter(username="auditor").update(is_active=False)

    described = demo.describe_accounts()

    assert "technician:Technician" in described
    assert "auditor" not in described


def own_source_only() -> ModelVersion:
    version = factories.make_model_version()
    version.manifest["transfer"] = {"is_own_source_only": True}
    version.save(update_fields=["manifest"])
    return version


@pytest.mark.django_db
def test_state_sample_source_answers_for_the_samples_alone_and_only_once(tmp_path: Path) -> None:
    demo.make_accounts(tmp_path)
    administrator = User.objects.get(username=Role.ADMINISTRATOR)
    version = own_source_only()
    factories.make_model_version(task="brain-mri")

    demo.state_sample_source()
    demo.state_sample_source()

    statement = SourceValidation.objects.get()
    assert (statement.model_version, statement.kind) == (version, SourceKind.INSTITUTION)
    headers = [pydicom.dcmread(path) for path in Path("samples").glob("*/*.dcm")]
    assert {header.InstitutionName for header in headers} == {statement.value}

    withdraw_validation(actor=administrator, statement=statement.pk, reason="no longer true")
    demo.state_sample_source()
    assert not SourceValidation.objects.standing().exists()


@pytest.mark.django_db
def test_state_sample_source_states_nothing_where_the_demo_has_no_administrator() -> None:
    own_source_only()

    demo.state_sample_source()

    assert not SourceValidation.objects.exists()


@pytest.mark.django_db
def test_submit_samples_sends_each_folder_once_as_one_study(tmp_path: Path) -> None:
    accounts = demo.make_accounts(tmp_path)
    sample = tmp_path / "samples" / "chest-ct"
    sample.mkdir(parents=True)
    shutil.copy(get_testdata_file("CT_small.dcm"), sample / "1.dcm")
    stated = {"department": "Radiology", "priority": "urgent", "declared": {}}
    (sample / "study.json").write_text(json.dumps(stated))
    told: list[str] = []

    demo.submit_samples(tmp_path / "samples", accounts=accounts, report=told.append)
    demo.submit_samples(tmp_path / "samples", accounts=accounts, report=told.append)

    assert told == ["Submitting sample study chest-ct"]
    assert Submission.objects.get().origin == Origin.SAMPLE
    assert Study.objects.get().department == Department.objects.get(name="Radiology")


class Quickstart:
    """The real command, in a process and a data directory of its own."""

    def __init__(self, data_dir: Path, *, output: str) -> None:
        self.port = free_port()
        self.output = data_dir.parent / output
        kept = {k: v for k, v in os.environ.items() if k not in SETTINGS_OF_THE_TESTS}
        kept |= {"MEDIMAGING_DATA_DIR": str(data_dir), "LOG_LEVEL": "INFO"}
        command = [sys.executable, "manage.py", "quickstart", "--port", str(self.port)]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=kept, stdout=output, stderr=output
            )

    def wait_until_ready(self) -> None:
        wait_for(
            lambda: (
                "Ctrl-C ends everything" in self.output.read_text()
                or self.process.poll() is not None
            )
        )
        assert self.process.poll() is None, self.output.read_text()

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def web_server(self) -> psutil.Process | None:
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.ZombieProcess):
                if "gunicorn" in child.cmdline():
                    return child
        return None

    def status(self, path: str) -> int | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()


def wait_for(condition, seconds: float = 110) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.1)


def still_running(processes: list[psutil.Process]) -> list[str]:
    """The commands of those that don't end."""
    _, alive = psutil.wait_procs(processes, timeout=60)
    left = []
    for one in alive:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            left.append(f"{one.status()}: {' '.join(one.cmdline())}")
    return left


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_quickstart_survives_crashes_and_leaves_nothing_running(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    data_dir = tmp_path_factory.mktemp("q") / "var"
    first = Quickstart(data_dir, output="first.out")
    try:
        first.wait_until_ready()
        assert first.status("/sign-in/") == 200
        web = first.web_server()
        assert web is not None
        assert all(one.memory_info().rss < 200e6 for one in [web, *web.children()])

        web.kill()
        wait_for(lambda: first.web_server() not in (None, web))
        wait_for(lambda: first.status("/healthz") == 200)

        family = first.family()
        first.process.kill()
        first.process.wait()
        assert still_running(family) == []
    finally:
        first.process.kill()
        first.process.wait()

    second = Quickstart(data_dir, output="second.out")
    try:
        second.wait_until_ready()
        family = second.family()
        second.process.send_signal(signal.SIGINT)
        assert second.process.wait(60) == 0
        assert still_running(family) == []
    finally:
        second.process.kill()
        second.process.wait()

    passwords = [line.split()[1] for line in (data_dir / "demo-accounts.txt").open()]
    assert all(password in first.output.read_text() for password in passwords)
    kept_log = (data_dir / "log" / "quickstart.log").read_text()
    assert not any(password in kept_log + second.output.read_text() for password in passwords)


def test_dicom_program_is_the_command_that_listens() -> None:
    program = stack.dicom_program({"DICOM_PORT": "4242"})

    shown = subprocess.run(
        [*program.command, "--help"],
        env={**os.environ, **program.environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "C-STORE" in shown.stdout
