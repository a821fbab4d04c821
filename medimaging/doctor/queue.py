"""Redis: whether it answers, takes what is written, refuses rather than forgets, and its clock."""

import time
import uuid
from collections.abc import Iterator

import redis

from accounts.broker import connect
from medimaging.doctor import clocks
from medimaging.doctor.findings import Finding, error, first_line, ok, warning

TIMEOUT_S = 5
OLDEST = 6
KEPT_S = 60


def examine() -> Iterator[Finding]:
    """Ask, write, read, remove, and compare clocks."""
    try:
        with connect(timeout_s=TIMEOUT_S) as client:
            server = client.info()
            yield ok("redis_reached", f"Redis {server['redis_version']} answers.")
            yield from _writing(client)
            yield from _server(server)
            client.ping()
            before = time.time()
            seconds, micros = client.time()
            theirs = seconds + micros / 1e6
            yield clocks.compare("Redis", before_s=before, theirs_s=theirs, after_s=time.time())
    except redis.RedisError as failure:
        yield error(
            "redis_unreachable",
            f"Redis can't be used as REDIS_URL says: {first_line(failure)}.",
            "Compare host, port and password of REDIS_URL with the server's.",
        )


def _writing(client: redis.Redis) -> Iterator[Finding]:
    key = f"medimaging:doctor:{uuid.uuid4().hex}"
    try:
        client.set(key, "here", ex=KEPT_S)
        is_kept = client.get(key) == b"here"
        client.delete(key)
    except redis.ResponseError as failure:
        yield error(
            "redis_refuses",
            f"Redis takes nothing: {first_line(failure)}.",
            "Give it more memory, or name the primary server and not a replica.",
        )
        return
    if is_kept:
        yield ok("redis_written", "What is written to Redis can be read.")
    else:
        yield error(
            "redis_forgets", "Redis forgot what was written.", "Look at its maxmemory-policy."
        )


def _server(server: dict[str, object]) -> Iterator[Finding]:
    if int(str(server["redis_version"]).partition(".")[0]) < OLDEST:
        yield error(
            "redis_too_old",
            f"Redis {server['redis_version']} is older than {OLDEST}.",
            f"Move to Redis {OLDEST} or newer.",
        )
    if server.get("maxmemory") and server.get("maxmemory_policy") != "noeviction":
        yield warning(
            "redis_evicts",
            "Redis may throw bells of waiting studies away when its memory is full.",
            "Set maxmemory-policy to noeviction.",
        )
