"""Asking Redis something oneself, beside Celery."""

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry


def connect(*, timeout_s: float) -> redis.Redis:
    """A connection of its own, tried once, that waits at most so long for each answer; close it."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
    )
