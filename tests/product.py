"""The whole product as its users meet it: real processes, a real port, nothing imported."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tests.clusters import take_cluster

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 300
Found = TypeVar("Found")

SETTINGS_OF_THE_TESTS = (
    *("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_AUDITOR_URL", "REDIS_URL", "SECRET_KEY"),
    *("MEDIMAGING_DATA_DIR", "DEBUG"),
)


VALIDATE_EVERYWHERE = """
from django.db.models import F

from accounts.models import Department, User
from classifier.models import ModelVersion
from classifier.services.sources import state_validation

administrator = User.objects.get(username="administrator")
for version in ModelVersion.objects.with_live().filter(live_id=F("pk")):
    if version.is_own_source_only:
        for department in Department.objects.all():
            state_validation(
                actor=administrator, version=version, kind="department", department=department,
                figures="none: a test", reason="images of a test",
            )
"""


def wait_for(look: Callable[[], Found], *, seconds: float, what: str) -> Found:
    """Return the first truthy thing that `look` finds; fail with `what` when time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds} s")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Product:
    """A quickstart in a data directory of its own; `root` is where its code lies."""

    def __init__(self, data_dir: Path, *, root: Path = ROOT, **settings: str) -> None:
        self.data_dir = data_dir
        self.root = root
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        inherited = {k: v for k, v in os.environ.items() if k not in SETTINGS_OF_THE_TESTS}
        self.environment = {**inherited, "MEDIMAGING_DATA_DIR": str(data_dir), **settings}
        self.environment.pop("LOG_LEVEL", None)
        self.process: subprocess.Popen[bytes] | None = None
        self.output = data_dir.parent / f"{data_dir.name}.out"
        self._said_before = 0

    def start(self) -> None:
        """Start it, and return when it says that it is ready."""
        if self.root == ROOT and not (self.data_dir / "pgdata").exists():
            self.data_dir.mkdir(parents=True, exist_ok=True)
            take_cluster(self.data_dir)
        with self.output.open("ab") as output:
            self._said_before = output.tell()
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "quickstart", "--port", str(self.port)],
                cwd=self.root,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(self._is_ready, seconds=START_SECONDS, what=f"start-up, see {self.output}")

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.output.read_text()[-3000:]
        return b"Ready after" in self.output.read_bytes()[self._said_before :]

    def is_idle(self) -> bool:
        """Whether no classification waits or runs."""
        with urllib.request.urlopen(f"{self.url}/statusz", timeout=10) as response:
            parts = {part["name"]: part for part in json.load(response)["parts"]}
        facts = parts["queue"]["facts"]
        return facts.get("running") == 0 and facts.get("waiting") == {}

    def manage(self, *arguments: str) -> str:
        """Run a management command against it, and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def validate_everywhere(self) -> None:
        """Have the administrator answer for the models in use in every department of the demo.

        What ships is for its own source only, and says no label of an image from elsewhere.
        """
        self.manage("shell", "--no-imports", "-c", VALIDATE_EVERYWHERE)

    def sign_in_of(self, role: str) -> tuple[str, str]:
        """User name and password of the demo account of that role."""
        for line in (self.data_dir / "demo-accounts.txt").read_text().splitlines():
            words = line.split()
            if words and words[0] == role:
                return words[0], words[1]
        raise AssertionError(f"no demo account {role}")

    def processes(self, *words: str) -> list[psutil.Process]:
        """The running processes below the supervisor whose command line holds all `words`."""
        assert self.process is not None
        return [
            process
            for process in psutil.Process(self.process.pid).children(recursive=True)
            if all(word in " ".join(_command_line(process)) for word in words)
        ]

    def kill(self, *words: str) -> None:
        """SIGKILL every process whose command line holds all `words`."""
        found = self.processes(*words)
        assert found, f"no process like {words}"
        for process in found:
            process.kill()
        psutil.wait_procs(found, timeout=10)

    def client(self, token: str) -> "Client":
        """Somebody who uses the API with `token`."""
        return Client(self.url, token)


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


class Client:
    """The API by plain HTTP, so that nothing of the product's own code is on this side."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "",
        *,
        key: str = "",
    ) -> tuple[int, Any]:
        """Status and decoded JSON, None for no body; a refusal is an answer like any other.

        With the same `key` a request may be sent again, and is done once.
        """
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data=body, method=method)
        request.add_header("Authorization", f"Token {self.token}")
        if key:
            request.add_header("Idempotency-Key", key)
        if content_type:
            request.add_header("Content-Type", content_type)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                text = response.read()
                return response.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def get(self, path: str) -> Any:
        """The JSON under `path`, which has to be there."""
        status, found = self.request("GET", path)
        assert status == 200, found
        return found

    def post(self, path: str, **values: Any) -> tuple[int, Any]:
        """Send JSON."""
        return self.request("POST", path, json.dumps(values).encode(), "application/json")

    def submit(self, files: dict[str, bytes], **fields: str) -> dict[str, Any]:
        """Send a submission, which has to be taken: the demo's people have several departments."""
        body, content_type = multipart(files, {"department": "radiology", **fields})
        status, answer = self.request("POST", "submissions/", body, content_type)
        assert status == 201, answer
        return answer

    def classification_of(self, study: str) -> dict[str, Any]:
        """The study's one current classification."""
        (row,) = self.get(f"classifications/?study={study}")["results"]
        return row

    def wait_for_state(self, study: str, *states: str, seconds: float = 60) -> dict[str, Any]:
        """The study's current classification, once it is in one of `states`."""

        def look() -> dict[str, Any] | None:
            row = self.classification_of(study)
            return row if row["status"] in states else None

        return wait_for(look, seconds=seconds, what=f"{study} in {states}")


def multipart(files: dict[str, bytes], fields: dict[str, str]) -> tuple[bytes, str]:
    """A multipart/form-data body with `files` under the name "files"."""
    boundary = "b7f3c1e2d4"
    parts = []
    for name, value in fields.items():
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        parts.append(head.encode() + value.encode() + b"\r\n")
    for name, content in files.items():
        head = (
            f"--{boundary}\r\nContent-Disposition: form-data; "
            f'name="files"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        )
        parts.append(head.encode() + content + b"\r\n")
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def run_python(*arguments: str, timeout_s: float = 300, **environment: str) -> str:
    """What a process of Python said that runs on the code here, and ended well."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def running(data_dir: Path, *, root: Path = ROOT, **settings: str) -> Iterator[Product]:
    """The product, from ready to stopped. Its data goes with it; what it printed stays."""
    product = Product(data_dir, root=root, **settings)
    try:
        product.start()
        if root == ROOT:  # a former release may know nothing of it
            product.validate_everywhere()
        wait_for(product.is_idle, seconds=START_SECONDS, what="answers about the samples")
        yield product
    finally:
        if product.process is not None and product.process.poll() is None:
            product.stop()
        shutil.rmtree(data_dir, ignore_errors=True)
