"""The table of variables, third part: what docker-compose.yml reads, and no process of ours."""

from typing import Any

from medimaging.configuration.kinds import Text
from medimaging.configuration.variables import Reader, Variable


def _compose(name: str, default: str, purpose: str, **more: Any) -> Variable:
    return Variable(name, Text(), default, purpose, reader=Reader.COMPOSE, **more)


PASSWORDS = tuple(
    _compose(name, "", purpose, is_secret=True)
    for name, purpose in (
        ("POSTGRES_PASSWORD", "Of PostgreSQL's superuser."),
        ("POSTGRES_OWNER_PASSWORD", "Of the owner of the tables."),
        ("POSTGRES_APP_PASSWORD", "Of the application's role."),
        ("POSTGRES_AUDITOR_PASSWORD", "Of the role that reads the audit trail."),
        ("REDIS_PASSWORD", "Of Redis."),
    )
)
PUBLISHED = (
    _compose("SITE_ADDRESS", "", "The name that the proxy answers to."),
    _compose("TLS", "internal", "The proxy's certificate and key, or internal."),
    _compose(
        *("COMPOSE_FILE", "", "What is elsewhere than in containers of this file."),
        example="docker-compose.yml:docker/external-database.yml:docker/way-out.yml",
    ),
    _compose("HTTP_PORT", "80", "Where the proxy listens."),
    _compose("HTTPS_PORT", "443", "Where the proxy listens."),
)
IMAGES = tuple(
    _compose(name, default, "An image, or its tag.")
    for name, default in (
        ("PROXY_IMAGE", "caddy:2.10-alpine"),
        ("POSTGRES_IMAGE", "pgvector/pgvector:0.8.1-pg18"),
        ("REDIS_IMAGE", "redis:7.4-alpine"),
        ("PYTHON_IMAGE", "python:3.11-slim-bookworm"),
        ("MEDIMAGING_TAG", "local"),
    )
)
LIMITS = tuple(
    _compose(f"{container}_MEMORY", default, "What a container may take of the memory.")
    for container, default in (
        ("PROXY", "512m"),
        ("WEB", "6g"),
        ("WORKER", "8g"),
        ("WORKER_GPU", "16g"),
        ("BACKGROUND", "4g"),
        ("DICOM", "6g"),
        ("BEAT", "512m"),
        ("METRICS", "512m"),
        ("POSTGRES", "4g"),
        ("REDIS", "512m"),
    )
)
BACKUPS = (
    _compose("BACKUP_DIR", "./backup", "Where the service backup writes."),
    _compose("BACKUPS_KEPT", "14", "How many backups it keeps."),
)
CONTAINERS = (*PASSWORDS, *PUBLISHED, *IMAGES, *LIMITS, *BACKUPS)
