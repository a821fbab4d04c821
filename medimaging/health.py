"""Whether this process lives, and whether the product behind it can work."""

from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from redis.backoff import NoBackoff
from redis.retry import Retry

from accounts.reads import reads_nothing
from records.intake.storage import measure_room

REDIS_TIMEOUT_S = 1


@reads_nothing
def live(request: HttpRequest) -> JsonResponse:
    """Answer without touching anything: a restart would not help what this can't see."""
    return JsonResponse({"status": "ok"})


@reads_nothing
def ready(request: HttpRequest) -> JsonResponse:
    """Name each part that the product needs, and answer 503 unless all of them work."""
    checks = {name: check() for name, check in CHECKS.items()}
    is_ready = all(state == "ok" for state in checks.values())
    status = "ok" if is_ready else "unavailable"
    answer = {
        "status": status,
        "checks": checks,
        "workers": workers(),
        "bundles": bundles(),
        "storage": storage(),
    }
    return JsonResponse(answer, status=200 if is_ready else 503)


def database_state() -> str:
    """`ok` when PostgreSQL answers a query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "unreachable"
    return "ok"


def migrations_state() -> str:
    """`ok` when the database has every migration of this release."""
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return "unknown"
    return f"{len(pending)} not applied" if pending else "ok"


def redis_state() -> str:
    """`ok` when the queue's broker answers."""
    try:
        with _redis() as client:
            client.ping()
    except redis.RedisError:
        return "unreachable"
    return "ok"


def workers() -> int | None:
    """How many workers listen to the broker, or None where it can't be asked.

    For information: without one, studies are taken in and wait.
    """
    try:
        with _redis() as client:
            clients = client.client_list()
    except redis.RedisError:
        return None
    # Nothing but a worker subscribes to a pattern: it is how remote control reaches it.
    return sum(1 for client in clients if client["psub"] != "0")


def bundles() -> int:
    """How many trained bundles are installed; they are verified where they are loaded."""
    return sum(1 for _ in settings.BUNDLE_DIR.glob("*/*/manifest.json"))


def storage() -> str:
    """`ok`, or `low` where the disk is so full that nothing more is taken in.

    For information: what is held can still be read.
    """
    try:
        return "low" if measure_room().is_low else "ok"
    except OSError:
        return "unreachable"


def _redis() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


CHECKS: dict[str, Callable[[], str]] = {
    "database": database_state,
    "migrations": migrations_state,
    "redis": redis_state,
}
