"""Settings that are sound one by one, and not together."""

from collections.abc import Iterator, Mapping
from typing import Any

from medimaging.configuration.faults import Fault

CODE = "settings_conflict"


def find_contradictions(values: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what doesn't fit; `values` has each variable that could be read, None where unset.

    What couldn't be read is told already, and fits everything.
    """
    yield from _times(values)
    yield from _needed(values)


def _times(values: Mapping[str, Any]) -> Iterator[Fault]:
    lease, sweep = (
        values.get(name) for name in ("CLASSIFICATION_LEASE_SECONDS", "TASK_SWEEP_SECONDS")
    )
    if lease and sweep and lease <= sweep:
        yield Fault(
            CODE,
            "CLASSIFICATION_LEASE_SECONDS",
            f"CLASSIFICATION_LEASE_SECONDS is {lease}: it has to be more than "
            f"TASK_SWEEP_SECONDS, which is {sweep}.",
        )
    idle, longest = (values.get(name) for name in ("SESSION_IDLE_MINUTES", "SESSION_MAX_HOURS"))
    if idle and longest and idle > 60 * longest:
        yield Fault(
            CODE,
            "SESSION_IDLE_MINUTES",
            f"SESSION_IDLE_MINUTES is {idle}: it can't be more than SESSION_MAX_HOURS, "
            f"which is {longest}.",
        )


NEEDED = (
    ("DICOM_TLS_KEY", "DICOM_TLS_CERTIFICATE"),
    ("DICOM_TLS_CLIENT_CA", "DICOM_TLS_CERTIFICATE"),
    ("IMAGES_S3_ACCESS_KEY", "IMAGES_S3_SECRET_KEY"),
    ("IMAGES_S3_SECRET_KEY", "IMAGES_S3_ACCESS_KEY"),
    ("IMAGES_S3_ACCESS_KEY", "IMAGES_S3_BUCKET"),
    ("IMAGES_S3_ENDPOINT", "IMAGES_S3_BUCKET"),
    ("IMAGES_S3_KMS_KEY", "IMAGES_S3_ENCRYPTION"),
)
"""The first does nothing without the second, or something else than was meant."""


def _needed(values: Mapping[str, Any]) -> Iterator[Fault]:
    for name, needed in NEEDED:
        if values.get(name) and not values.get(needed, True):
            message = f"{name} is set, and {needed} isn't: set both or neither."
            yield Fault(CODE, name, message)
