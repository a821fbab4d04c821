"""Bring docker-compose.yml up by podman and stand-in images, and work with it: `make containers`.

Needs root, about 6 GiB of disk, Docker Compose 2, and Debian's podman, runc, netavark,
aardvark-dns, iptables and debootstrap. What it makes lies in var/containers.
"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.containers.stand_ins import import_images, make_base
from tests.product import ROOT, Client

PLACE = ROOT / "var" / "containers"
HEALTH_SECONDS = 5
ENGINE = """[containers]
# The same twice: podman 4.3 takes one for the other where Docker's API asks.
default_ulimits = ["nofile=16384:16384", "nproc=8192:8192"]
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
[network]
network_backend = "netavark"
"""


class Engine:
    """Podman with storage and settings of its own, asked by its command line and by compose."""

    def __init__(self, place: Path) -> None:
        self._settings = place / "containers.conf"
        self._settings.write_text(ENGINE)
        self._socket = place / "podman.sock"
        stores = ("--root", str(place / "store"), "--runroot", str(place / "run"))
        self.podman = ["podman", *stores]
        self._environment = {
            **os.environ,
            "CONTAINERS_CONF": str(self._settings),
            "DOCKER_HOST": f"unix://{self._socket}",
        }

    def run(self, *command: str, capture: bool = False, **options: Any) -> str:
        """Run a program that talks to this engine; what it prints, if asked for."""
        done = subprocess.run(
            command,
            env=self._environment,
            cwd=ROOT,
            check=True,
            text=True,
            stdout=subprocess.PIPE if capture else None,
            **options,
        )
        return done.stdout or ""

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Answer Docker's API, and run the health checks, which podman leaves to systemd."""
        command = [*self.podman, "system", "service", "--time=0", f"unix://{self._socket}"]
        ended = threading.Event()
        with subprocess.Popen(command, env=self._environment, stderr=subprocess.DEVNULL) as service:
            pulse = threading.Thread(target=self._check_health, args=(ended,), daemon=True)
            pulse.start()
            try:
                yield
            finally:
                ended.set()
                pulse.join()
                service.terminate()

    def containers(self) -> list[dict[str, Any]]:
        """What runs, and what has ended."""
        found = self.run(*self.podman, "ps", "--all", "--format", "json", capture=True)
        rows: list[dict[str, Any]] = json.loads(found)
        return rows

    def _check_health(self, ended: threading.Event) -> None:
        """As Docker does: until its start period is over, a container's failures don't count."""
        while not ended.wait(HEALTH_SECONDS):
            for container in self.containers():
                name = container["Names"][0]
                check = self._find_check(name)
                if not check or container["State"] != "running":
                    continue
                is_new = time.time() - container["StartedAt"] < check.get("StartPeriod", 0) / 1e9
                if is_new and not self._succeeds("exec", name, *_command_of(check["Test"])):
                    continue
                self._succeeds("healthcheck", "run", name)

    def _find_check(self, name: str) -> dict[str, Any]:
        """A container's health check; none of one that has just been removed."""
        with contextlib.suppress(subprocess.CalledProcessError):
            found = self.run(*self.podman, "inspect", name, capture=True, stderr=subprocess.DEVNULL)
            (told,) = json.loads(found)
            check: dict[str, Any] = told["Config"].get("Healthcheck") or {}
            return check
        return {}

    def _succeeds(self, *command: str) -> bool:
        done = subprocess.run(
            [*self.podman, *command], env=self._environment, capture_output=True, check=False
        )
        return done.returncode == 0


def _command_of(test: Sequence[str]) -> Sequence[str]:
    kind, *words = test
    return ["sh", "-c", *words] if kind == "CMD-SHELL" else words


class Trial:
    """One first `up`, with an `.env` filled in as docs/operators.md says."""

    def __init__(self, place: Path, compose: str, profiles: Sequence[str]) -> None:
        self.engine = Engine(place)
        self._settings = place / ".env"
        self._settings.write_text(fill_in((ROOT / ".env.example").read_text()))
        self._settings.chmod(0o600)
        options = [word for profile in profiles for word in ("--profile", profile)]
        self.compose = [compose, "--env-file", str(self._settings), *options]

    def up(self) -> None:
        """Build as the Dockerfile says, and start all that the profiles name."""
        build = ("build", "--network=none", "--target=app", "--tag=medimaging:local", ".")
        self.engine.run(*self.engine.podman, *build)
        self.engine.run(*self.compose, "up", "--detach", "--wait", "--no-build", timeout=600)

    def down(self) -> None:
        """Stop it, volumes and all."""
        self.engine.run(*self.compose, "down", "--volumes", "--timeout=30")

    def inside(self, service: str, *command: str) -> str:
        """What a command prints inside a running container."""
        return self.engine.run(*self.compose, "exec", "-T", service, *command, capture=True)

    def manage(self, *command: str) -> str:
        """What a `manage.py` command prints, started as the documents start it."""
        return self.inside("web", "python", "manage.py", *command)


def fill_in(example: str) -> str:
    """The settings that `.env.example` asks for, and nothing else."""
    given = {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "DIGEST_KEY": secrets.token_urlsafe(50),
        "SITE_ADDRESS": "localhost",
        **{name: secrets.token_urlsafe(24) for name in ("REDIS_PASSWORD", "POSTGRES_PASSWORD")},
        "POSTGRES_OWNER_PASSWORD": secrets.token_urlsafe(24),
        "POSTGRES_APP_PASSWORD": secrets.token_urlsafe(24),
    }
    lines = [
        f"{name}={given.get(name, '')}" if (name := line.partition("=")[0]) in given else line
        for line in example.splitlines()
    ]
    ports = ["HTTP_PORT=8080", "HTTPS_PORT=8443"]
    return "\n".join([*lines, *ports]) + "\n"


def work_with(trial: Trial) -> None:
    """Do what a hospital does on its first day, through the proxy and by TLS."""
    root = trial.inside("proxy", "cat", "/data/caddy/pki/authorities/local/root.crt")
    authority = Path(tempfile.gettempdir()) / "medimaging-trial-root.pem"
    authority.write_text(root)
    os.environ["SSL_CERT_FILE"] = str(authority)
    link = trial.manage(
        "create_user", "--username=first", "--full-name=First Administrator",
        "--email=first@hospital.example", "--role=administrator",
    )  # fmt: skip
    assert link.startswith("/"), link
    trial.manage(
        "shell", "--command",
        "from accounts.services import create_department as c; c(actor=None, name='Radiology')",
    )  # fmt: skip
    person = ("--username=sender", "--full-name=Sender", "--email=sender@hospital.example")
    trial.manage(
        "create_user", *person, "--role=integrator", "--role=reviewer", "--department=Radiology"
    )
    token = trial.manage("issue_token", "--user=sender", "--days=1").strip()
    client = Client("https://localhost:8443", token)
    image = next((ROOT / "samples").glob("chest-normal*/*.dcm"))
    study = client.submit({"one.dcm": image.read_bytes()})["files"][0]["study"]
    row = client.wait_for_state(study, "awaiting_review", "abstained", "failed", seconds=120)
    say(f"a chest X-ray: {row['status']}, {row['label']}")
    assert row["status"] == "awaiting_review", row


def look_at(engine: Engine) -> None:
    """Each container as the file asks for it: no root, no rights, nothing to write to."""
    for container in engine.containers():
        (name,) = container["Names"]
        if container["State"] != "running":
            say(f"{name}: ended with {container['ExitCode']}")
            assert container["ExitCode"] == 0, name
            continue
        status = engine.run(
            *engine.podman, "exec", name, "cat", "/proc/1/status", capture=True
        ).splitlines()
        told = dict(line.split(":", 1) for line in status)
        uid, rights = told["Uid"].split()[0], told["CapBnd"].strip()
        say(f"{name}: uid {uid}, capabilities {rights}, {told['VmRSS'].strip()}")
        assert told["NoNewPrivs"].strip() == "1", name


def say(words: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {words}\n")
    sys.stdout.flush()


def main() -> None:
    """Make the stand-ins once, then up, work, down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mirror", default="", help="where debootstrap finds Debian")
    parser.add_argument("--compose", default="docker-compose", help="Docker Compose 2")
    parser.add_argument("--keep", action="store_true", help="leave it running at the end")
    chosen = parser.parse_args()
    base = PLACE / "base"
    if not (base / "wheels").exists():
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir(parents=True)
        make_base(base, chosen.mirror)
        say("a base of Debian's packages is made")
    trial = Trial(PLACE, chosen.compose, profiles=["dicom"])
    if not (PLACE / "imported").exists():
        import_images(base, trial.engine.podman)
        (PLACE / "imported").touch()
    with trial.engine.serving():
        try:
            say("up")
            trial.up()
            work_with(trial)
            look_at(trial.engine)
        finally:
            if not chosen.keep:
                trial.down()
    say("a first start by docker-compose.yml works")


if __name__ == "__main__":
    main()
