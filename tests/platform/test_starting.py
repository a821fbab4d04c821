"""Every process of the product with settings that can't be meant: a sentence, 78, no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.product import ROOT, free_port

pytestmark = pytest.mark.slow

EX_CONFIG = 78
EX_UNAVAILABLE = 69
SECRET = "Gehe1mesWort"
PROCESSES = {
    "web": ("-m", "gunicorn", "--config", "python:medimaging.web_server", "medimaging.wsgi"),
    "worker": ("-m", "celery", "--app", "medimaging", "worker", "--queues", "urgent,routine"),
    "background": ("-m", "celery", "--app", "medimaging", "worker", "--queues", "housekeeping"),
    "both": ("-m", "celery", "--app", "medimaging", "worker", "--queues", "urgent,exports"),
    "beat": ("-m", "celery", "--app", "medimaging", "beat"),
    "dicom": ("manage.py", "dicom_scp"),
    "quickstart": ("manage.py", "quickstart"),
    "migrate": ("manage.py", "migrate"),
    "doctor": ("manage.py", "doctor", "--json"),
}
CLEARED = ("DIGEST_KEY", "LOG_LEVEL", "SECRET_KEY")


class Started:
    """Several processes at once, and what each of them ended with."""

    def __init__(self, names: tuple[str, ...], data_dir: Path, **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in CLEARED}
        places = {"MEDIMAGING_DATA_DIR": str(data_dir), "WEB_BIND": f"127.0.0.1:{free_port()}"}
        self.running = {
            name: subprocess.Popen(
                [sys.executable, *PROCESSES[name]],
                cwd=ROOT,
                env={**kept, **places, **environment},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in names
        }

    def ends(self) -> dict[str, tuple[int, str, str]]:
        """Status, output and errors of each; one that runs on is ended, and fails the test."""
        ends = {}
        for name, process in self.running.items():
            try:
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
            ends[name] = (process.returncode, out, err)
        return ends


def test_no_process_starts_with_settings_that_cannot_be_read(tmp_path: Path) -> None:
    started = Started(
        tuple(PROCESSES),
        tmp_path,
        SECRET_KEY="k" * 50,
        TASK_SECONDS="abc",
        BEHIND_TLS="yess",
        DATABASE_URL=f"postgres://app:{SECRET}#{SECRET}@127.0.0.1/db",
        WEB_CONCURENCY="2",
    )

    for name, (status, out, err) in started.ends().items():
        assert status == EX_CONFIG, (name, out, err)
        lines = err.splitlines()
        assert [line.partition(":")[0] for line in lines] == [
            "WARNING setting_unknown",
            *["ERROR setting_invalid"] * 3,
        ], name
        assert "WEB_CONCURRENCY may be meant" in lines[0]
        assert 'TASK_SECONDS is "abc"' in err
        assert 'BEHIND_TLS is "yess": it has to be true or false' in err
        assert "percent-encoded" in err
        assert "Traceback" not in out + err
        assert SECRET not in out + err
        if name == "doctor":
            assert json.loads(out)["errors"] == 3
        else:
            assert out == "", name
    assert list(tmp_path.iterdir()) == []


def test_processes_that_sign_or_digest_end_without_a_key_of_their_own(tmp_path: Path) -> None:
    signing = ("web", "background", "both")
    started = Started((*signing, "worker", "dicom"), tmp_path, LOG_FORMAT="json")

    ends = started.ends()

    for name, (status, out, err) in ends.items():
        assert status == EX_CONFIG, (name, out, err)
        assert "Traceback" not in out + err
    for name in (*signing, "worker"):
        (line,) = ends[name][2].splitlines()
        event = json.loads(line)
        assert event["code"] == "setting_missing"
        needed = "SECRET_KEY" if name in signing else "DIGEST_KEY"
        assert event["message"].startswith(f"Set {needed}: ")
    assert "Set DIGEST_KEY: " in ends["dicom"][2]


def test_log_level_is_understood_however_it_is_written(tmp_path: Path) -> None:
    code = "from django.conf import settings; print(settings.LOG_LEVEL, settings.LOGGING['root'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "LOG_LEVEL": "info"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "INFO {'handlers': ['console'], 'level': 'INFO'}\n"


def test_command_says_in_a_sentence_that_the_database_is_away(tmp_path: Path) -> None:
    started = Started(
        ("migrate",),
        tmp_path,
        DATABASE_URL=f"postgres://app:{SECRET}@127.0.0.1:{free_port()}/db",
        DATABASE_OWNER_URL="",
    )

    status, out, err = started.ends()["migrate"]

    assert status == EX_UNAVAILABLE
    assert err.startswith("The database can't be used: Connection refused")
    assert "Traceback" not in out + err
    assert SECRET not in out + err


def test_dicom_names_the_file_of_its_encryption_that_is_missing(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    started = Started(("dicom",), tmp_path, DIGEST_KEY="d" * 50, DICOM_TLS_CERTIFICATE=missing)

    status, _, err = started.ends()["dicom"]

    assert status == EX_CONFIG
    assert err.startswith("CommandError: DICOM_TLS_CERTIFICATE, DICOM_TLS_KEY or")
    assert missing in err
    assert "Traceback" not in err
