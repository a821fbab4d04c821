"""What can be asked of each part, from what serves every request to what only waits."""

import redis
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from accounts.broker import connect
from medimaging.health.parts import REDIS_S, Part, State, probe
from records.errors import StoreForeign, StoreUnavailable
from records.files.spool import measure_room
from records.files.stores import Age, check_store, compare_ages


@probe("database")
def database() -> Part:
    """PostgreSQL, without which nothing works."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_read_only')")
            is_read_only = cursor.fetchone() == ("on",)
    except Error:
        return Part(
            "database",
            State.DOWN,
            "database_unavailable",
            "PostgreSQL can't be reached: no request can be answered.",
            "Look at PostgreSQL first; everything goes on by itself once it answers.",
        )
    if is_read_only:
        return Part(
            "database",
            State.DOWN,
            "database_read_only",
            "PostgreSQL takes no writes: no look can be noted, so none is given.",
            "Promote the standby, or end what has set it read-only.",
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
        with connect(timeout_s=REDIS_S) as client:
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


@probe("store")
def image_store() -> Part:
    """Where the images are; without it studies can be worked on and not looked at."""
    try:
        check_store()
    except StoreForeign as error:
        return Part(
            "store",
            State.DEGRADED,
            error.code,
            f"The store of images is another database's: {error.reason}.",
            "Put this installation's volume or bucket in place; `manage.py adopt_store` takes the "
            "one that is there.",
        )
    except StoreUnavailable as error:
        return Part(
            "store",
            State.DEGRADED,
            error.code,
            f"The store of images can't be used: {error.reason}. No image is shown, taken in or "
            "classified; nothing is lost.",
            "Look at the volume or the service that it lies on; all goes on by itself once it is "
            "there.",
        )
    return Part("store", State.OK, "ok", "The store of images is there.")


@probe("room")
def room() -> Part:
    """The room on the disk that files come in by."""
    try:
        found = measure_room()
    except StoreUnavailable:
        return Part(
            "room",
            State.UNKNOWN,
            "storage_unavailable",
            "It can't be told how much room there is.",
            "See how the store is.",
        )
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


@probe("ages")
def ages() -> Part:
    """Whether database and store of images are of one age, or one was restored alone."""
    try:
        found = compare_ages()
    except StoreUnavailable:
        return Part(
            "ages",
            State.UNKNOWN,
            "storage_unavailable",
            "It can't be told whether database and store are of one age.",
            "See how the store is.",
        )
    facts = {"database": found.database, "store": found.store, "newest_missing": found.missing}
    state = State.OK if found.age == Age.SAME else State.DEGRADED
    return Part("ages", state, str(found.age), found.message, found.action, facts)


# They follow what they depend on, here and wherever parts are listed.
from medimaging.health import processes, work  # noqa: E402, F401 - registers theirs
