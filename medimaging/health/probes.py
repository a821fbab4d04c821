"""What can be asked of each part, from what serves every request to what only waits."""

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from redis.backoff import NoBackoff
from redis.retry import Retry

from medimaging.health.parts import Part, State, probe
from records.intake.storage import measure_room

REDIS_TIMEOUT_S = 0.6


@probe("database")
def database() -> Part:
    """PostgreSQL, without which nothing works."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return Part(
            "database",
            State.DOWN,
            "database_unavailable",
            "PostgreSQL can't be reached: no request can be answered.",
            "Look at PostgreSQL first; everything goes on by itself once it answers.",
        )
    return Part("database", State.OK, "ok", "PostgreSQL answers.")


@probe("migrations")
def migrations() -> Part:
    """Whether the database has every migration of this release."""
    executor = MigrationExecutor(connection)
    pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if pending:
        return Part(
            "migrations",
            State.DOWN,
            "migrations_pending",
            f"The release is newer than the database: {len(pending)} migrations are missing.",
            "Run `manage.py migrate`.",
            {"pending": len(pending)},
        )
    return Part(
        "migrations", State.OK, "ok", "The database fits this release.", facts={"pending": 0}
    )


@probe("redis")
def redis_server() -> Part:
    """The broker, which only rings."""
    try:
        with short_redis() as client:
            client.ping()
    except redis.RedisError:
        return Part(
            "redis",
            State.DEGRADED,
            "redis_unavailable",
            "Redis can't be reached: studies are stored, and wait to be classified.",
            "Look at Redis; nothing is lost, and waiting studies go on once it answers.",
        )
    return Part("redis", State.OK, "ok", "Redis answers.")


@probe("room")
def room() -> Part:
    """The room on the disk that files come in by."""
    found = measure_room()
    facts = {"free_bytes": found.free, "total_bytes": found.total, "least_bytes": found.least}
    if found.is_low:
        return Part(
            "room",
            State.DEGRADED,
            "storage_low",
            "The disk is nearly full: no image is taken in.",
            "Make room, or enlarge the disk of MEDIMAGING_DATA_DIR.",
            facts,
        )
    return Part("room", State.OK, "ok", "There is room for images.", facts=facts)


def short_redis() -> redis.Redis:
    """A client of the broker that gives up soon; close it."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
