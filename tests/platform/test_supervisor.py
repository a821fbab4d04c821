"""The supervisor: one log, crashed programs again, nothing left behind."""

import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from medimaging.quickstart import supervisor as supervision
from medimaging.quickstart.programs import Program
from medimaging.quickstart.supervisor import Supervisor

pytestmark = pytest.mark.slow


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "log" / "quickstart.log"


def shell(name: str, script: str) -> Program:
    return Program(name=name, command=("sh", "-c", script))


def test_supervisor_prefixes_lines_of_every_program(log_file: Path) -> None:
    with Supervisor(log_file=log_file, echo=False) as supervisor:
        supervisor.start(shell("first", "echo hello; sleep 60"))
        supervisor.start(shell("second", "echo world >&2; sleep 60"))
        assert supervisor.wait_until(lambda: len(log_lines(log_file)) == 2, timeout_s=10)

    assert sorted(log_lines(log_file)) == ["first      hello", "second     world"]


def test_supervisor_starts_a_program_again_when_it_crashes(
    log_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "FIRST_BACKOFF_S", 0.05)
    runs = tmp_path / "runs"
    with Supervisor(log_file=log_file, echo=False) as supervisor:
        supervisor.start(shell("fragile", f"echo run >> {runs}; exit 3"))

        assert supervisor.wait_until(
            lambda: runs.exists() and len(runs.read_text().split()) >= 3, timeout_s=20
        )

    assert "quickstart fragile ended with 3; starting it again" in log_file.read_text()


def test_supervisor_waits_longer_after_every_crash(
    log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(supervision.time, "monotonic", lambda: now)
    with Supervisor(log_file=log_file, echo=False) as supervisor:
        supervisor.start(shell("fragile", "exit 1"))
        pauses = []
        for _ in range(7):
            supervisor.children[0].process.wait()
            supervisor.restart_crashed()
            restart_at = supervisor.children[0].restart_at
            assert restart_at is not None
            pauses.append(restart_at - now)
            now = restart_at
            supervisor.restart_crashed()

    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_supervisor_ends_programs_and_grandchildren_when_left(log_file: Path) -> None:
    with Supervisor(log_file=log_file, echo=False) as supervisor:
        supervisor.start(shell("parent", "sleep 60 & sleep 60; true"))
        started = psutil.Process(supervisor.children[0].process.pid)
        assert supervisor.wait_until(lambda: len(started.children()) == 2, timeout_s=10)
        family = [started, *started.children()]

    _, alive = psutil.wait_procs(family, timeout=5)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_supervisor_ends_its_programs_when_asked_to_stop(name: str, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from medimaging.quickstart.programs import Program\n"
        "from medimaging.quickstart.supervisor import StopRequested, Supervisor\n"
        "try:\n"
        "    with Supervisor(log_file=Path(sys.argv[1])) as supervisor:\n"
        "        supervisor.start(Program(name='x', command=('sh', '-c', 'echo $$; sleep 60')))\n"
        "        supervisor.watch()\n"
        "except StopRequested:\n"
        "    print('stopped', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(30, process.kill)
    watchdog.start()
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline().split()[-1]))

    process.send_signal(getattr(supervision.signal, name))

    assert process.stdout.read().splitlines()[-1] == "stopped"
    assert process.wait() == 0
    watchdog.cancel()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def log_lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
