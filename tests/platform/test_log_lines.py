"""With LOG_FORMAT=json every line is JSON: what libraries, crashes and banners write too."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings as django_settings
from django.db import connection

from medimaging import addresses
from medimaging.log_lines import JsonLines, JsonOutput
from tests.installation import DATA_DIR
from tests.product import ROOT, free_port, wait_for

NATIVE = "[libopenvino] a native library complains"
TROUBLE = f"""
import os, sys, warnings
print('{{"message": "already", "level": "INFO"}}', flush=True)
os.write(2, b"{NATIVE}\\n")
os.write(1, b"\\xff\\xfe bytes that are no text\\n\\n")
warnings.warn("deprecated")
try:
    {{}}["gone"]
except KeyError as error:
    import traceback; traceback.print_exc()
os.write(1, b"no end of line")
os.kill(os.getpid(), 11)
"""


def logged(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "medimaging.logged", *command],
        cwd=ROOT,
        env=os.environ | {"LOG_FORMAT": "json"} | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def events_of(text: str) -> list[dict[str, Any]]:
    """Every line, which has to be an object of JSON."""
    events = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(event, dict) and event["message"] for event in events)
    return events


def test_whatever_a_program_writes_becomes_json_up_to_its_last_words() -> None:
    done = logged(sys.executable, "-c", TROUBLE)

    assert done.returncode == 128 + signal.SIGSEGV
    assert done.stderr == ""
    said = [event["message"] for event in events_of(done.stdout)]
    assert said[:2] == ["already", NATIVE]
    assert said[-1] == "no end of line"
    (trace,) = [text for text in said if "Traceback" in text]
    assert "KeyError: 'gone'" in trace


CHAINED = """
try:
    {}["gone"]
except KeyError as error:
    raise RuntimeError("two\\nlines") from error
"""


def test_a_chain_of_tracebacks_is_one_event_and_what_follows_another() -> None:
    done = logged("sh", "-c", f"{sys.executable} -c '{CHAINED}'; echo after")

    trace, *rest = events_of(done.stdout)
    assert "KeyError" in trace["message"]
    assert "RuntimeError: two" in trace["message"]
    assert trace["level"] == "ERROR"
    assert [event["message"] for event in rest] == ["lines", "after"]


def test_an_error_before_the_settings_are_read_is_json() -> None:
    done = logged(sys.executable, "manage.py", "check", TIME_ZONE="Nowhere/Land")

    assert done.returncode == os.EX_CONFIG
    assert "Nowhere/Land" in "".join(event["message"] for event in events_of(done.stdout))
    assert done.stderr == ""


def test_a_program_that_is_not_there_is_told_in_json() -> None:
    done = logged("/nowhere/program")

    assert done.returncode == 127
    assert "/nowhere/program" in events_of(done.stdout)[0]["message"]


def test_without_json_there_is_nothing_but_the_program() -> None:
    done = logged("sh", "-c", "echo $PPID; echo told >&2; exit 3", LOG_FORMAT="line")

    assert (done.returncode, done.stderr) == (3, "told\n")
    assert done.stdout.strip() == str(os.getpid())


def test_signals_are_passed_on_and_the_exit_status_comes_back() -> None:
    code = (
        "import signal, sys; signal.signal(15, lambda *_: sys.exit(7))\n"
        "print('on', flush=True); signal.pause()"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "medimaging.logged", sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"LOG_FORMAT": "json"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["message"] == "on"
    process.terminate()

    assert process.wait(timeout=20) == 7
    process.stdout.close()


def test_secrets_are_cut_from_what_libraries_write() -> None:
    lines: list[str] = []
    told = JsonLines(lines.append, program="worker")
    told.take("can't reach redis://:Geheim-4711@redis:6379/0")
    told.flush()

    (line,) = lines
    assert "Geheim" not in line
    assert json.loads(line)["program"] == "worker"


def test_a_line_without_end_fills_no_memory() -> None:
    lines: list[str] = []
    told = JsonLines(lines.append)
    told.take("Traceback (most recent call last):")
    for number in range(5000):
        told.take(f'  File "x.py", line {number}, in endless')

    assert len(lines) > 1
    assert all(len(line) < 200_000 for line in lines)


def test_a_commands_own_output_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    output = JsonOutput(sys.stdout, program="quickstart")
    output.write("\nReady after 3 s\n\nCtrl-C ends everything.\n")

    events = events_of(capsys.readouterr().out)
    assert [event["message"] for event in events] == ["Ready after 3 s", "Ctrl-C ends everything."]
    assert {event["program"] for event in events} == {"quickstart"}


def commands_of_containers() -> dict[str, list[str]]:
    """What the product's containers run, as the image and the compose file say."""
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    image = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    default = json.loads(image.rpartition("\nCMD ")[2].splitlines()[0])
    ours = {name: one for name, one in services.items() if one.get("image", "").startswith("medi")}
    return {name: one.get("command", default) for name, one in ours.items()}


def test_every_container_runs_by_way_of_json_lines() -> None:
    for name, command in commands_of_containers().items():
        # One runs what its own stage of the image says, the other for a person at a terminal.
        if name not in {"worker-gpu", "backup"}:
            assert command[:3] == ["python", "-m", "medimaging.logged"], name
    assert (ROOT / "Dockerfile").read_text().count('"medimaging.logged"') == 2


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_every_line_of_every_container_is_json_from_its_start_to_its_end(tmp_path: Path) -> None:
    """Web, worker, beat, DICOM and metrics as compose starts them; each is asked to end."""
    name = connection.settings_dict["NAME"]
    port, dicom_port = free_port(), free_port()
    environment = os.environ | {
        "DATABASE_URL": addresses.database_url(DATA_DIR, name),
        "DATABASE_OWNER_URL": "",
        "SECRET_KEY": django_settings.SECRET_KEY,
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
        "WEB_BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": "1",
        "DICOM_PORT": str(dicom_port),
        "DICOM_GRACE_SECONDS": "0",
        "BEAT_SCHEDULE_FILE": str(tmp_path / "schedule"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    ready = {
        "web": "Booting worker",
        "worker": "ready.",
        "beat": "",  # it says little; its file is there once it can be asked to end
        "dicom": "listens on",
        "metrics": "Figures for Prometheus",
    }
    commands = commands_of_containers()
    running: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
    for service in ready:
        output = tmp_path / f"{service}.log"
        more = {"METRICS_PORT": str(free_port())}
        with output.open("wb") as stream:
            process = subprocess.Popen(
                commands[service],
                cwd=ROOT,
                env=environment | more,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        running[service] = process, output

    def are_ready() -> bool:
        for service, (process, output) in running.items():
            assert process.poll() is None, output.read_text()
            if ready[service] not in output.read_text():
                return False
        return any(tmp_path.glob("schedule*"))

    try:
        wait_for(are_ready, seconds=90, what="five processes")
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():
            process.wait(timeout=60)

    for service, (process, output) in running.items():
        assert process.returncode == 0, f"{service}: {shlex.quote(output.read_text()[-2000:])}"
        events_of(output.read_text())
