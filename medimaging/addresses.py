"""Where the embedded PostgreSQL and Redis listen, worked out from the data directory alone.

Settings fall back to these addresses, so every `manage.py` command finds the services that a
running quickstart has started. They are Unix sockets in private directories: nothing listens
on the network.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from environ import Env

DATABASE = "medimaging"
SUPERUSER = "postgres"
"""Makes the roles below, and nothing else uses it."""
OWNER = "medimaging_owner"
APP = "medimaging_app"
AUDITOR = "medimaging_auditor"
# The kernel takes 107 bytes; PostgreSQL adds a file name of its own to the directory.
LONGEST_RUN_DIR = 107 - len("/postgres/.s.PGSQL.5432.lock")


def run_dir(data_dir: Path) -> Path:
    """Return the directory for sockets and locks: in the data directory where the path fits."""
    inside = data_dir.absolute() / "run"
    if len(os.fsencode(inside)) <= LONGEST_RUN_DIR:
        return inside
    digest = hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"medimaging-{os.geteuid()}-{digest}"


def postgres_socket_dir(data_dir: Path) -> Path:
    """Return the directory of the embedded PostgreSQL's socket."""
    return run_dir(data_dir) / "postgres"


def database_url(data_dir: Path, database: str = DATABASE, *, role: str = APP) -> str:
    """Return the address of the embedded PostgreSQL for one of its roles."""
    return f"postgres://{role}@/{database}?host={postgres_socket_dir(data_dir)}"


def connection_arguments(url: str) -> dict[str, Any]:
    """What psycopg2 connects with to the database that an address names."""
    config = Env.db_url_config(url)
    named = {
        "dbname": config["NAME"],
        "user": config["USER"],
        "password": config["PASSWORD"],
        "host": config["HOST"],
        "port": config["PORT"],
        **config.get("OPTIONS", {}),
    }
    return {name: value for name, value in named.items() if value}


def redis_socket(data_dir: Path) -> Path:
    """Return the path of the embedded Redis server's socket."""
    return run_dir(data_dir) / "redis.sock"


def redis_url(data_dir: Path) -> str:
    """Return the REDIS_URL of the embedded Redis."""
    return f"unix://{redis_socket(data_dir)}?db=0"


def site_url(allowed_hosts: list[str], *, is_tls: bool) -> str:
    """Return the product's own address by the first name that it answers to."""
    names = [host.lstrip(".") for host in allowed_hosts if host.strip("*.")]
    return f"{'https' if is_tls else 'http'}://{names[0] if names else 'localhost'}"
