"""How the whole site is: figures that one process tells for all, from database, Redis and probes.

Each function reads one kind of source. What it costs is bounded: by an index where a table grows.
"""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import product
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from accounts.errors import KnownError
from accounts.models import AccountMail, AuditEvent
from classifier.choices import OPEN_STATES
from classifier.models import CLASSIFICATION_TASKS, Classification, Deployment
from classifier.task_registry import TASK_TITLES
from medimaging import health
from medimaging.health import probes  # noqa: F401 - what it registers is asked
from medimaging.heartbeats import Heartbeat, connect, heartbeats
from medimaging.release import VERSION
from records.choices import ExportState, Priority, SubmissionState
from records.models import (
    Export,
    IdentityConflict,
    Instance,
    QuarantinedFile,
    Submission,
    UnreferencedFile,
    Upload,
)
from records.querysets.stored import StoredFileQuerySet

QUERY_MS = 3000
"""PostgreSQL ends a query of ours that takes longer: figures are worth no more than that."""

MOST_COUNTED = 10_000
ROLES = ("background", "beat", "dicom", "web", "worker")


def gauge(name: str, words: str, value: float | None) -> Metric:
    """One number without labels; none where there is nothing to tell."""
    return GaugeMetricFamily(f"medimaging_{name}", words, value=value)


def gauges(name: str, words: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Metric:
    """A number for each tuple of the labels' values."""
    family = GaugeMetricFamily(f"medimaging_{name}", words, labels=labels)
    for of, value in sorted(values.items()):
        family.add_metric(of, value)
    return family


def of_release() -> Iterator[Metric]:
    """Which release this is."""
    words = "1 for the release that runs here."
    yield gauges("release_info", words, ("version",), {(VERSION,): 1})


def of_parts() -> Iterator[Metric]:
    """How each part is, by the probes that /statusz asks too."""
    found = health.parts()
    yield gauges(
        "part_state",
        "1 for the state that a part of the product is in, 0 for the others.",
        ("part", "state"),
        {
            (part.name, state.value): float(part.state is state)
            for part in found
            for state in health.State
        },
    )
    yield gauges(
        "condition",
        "1 for each condition that stands, by the part it is about and its code.",
        ("part", "code"),
        {(part.name, part.code): 1 for part in found if part.state is not health.State.OK},
    )
    room: Mapping[str, Any] = next((part.facts for part in found if part.name == "room"), {})
    for fact, words in (
        ("free_bytes", "Bytes that are free on the disk that files come in by."),
        ("least_bytes", "Bytes that have to be free for files to be taken in."),
        ("total_bytes", "Bytes that the disk has in all."),
    ):
        yield gauge(f"storage_{fact}", words, room.get(fact))


def of_processes() -> Iterator[Metric]:
    """Which processes live, by what each says of itself in Redis."""
    started = time.perf_counter()
    with connect() as client:
        client.ping()
    yield _round_trip("redis", started)
    said = {role: [one for one in heartbeats() if one.role == role] for role in ROLES}
    for name, words, tell in (
        ("processes", "Processes that say that they live.", _living),
        ("processes_silent", "Processes that have fallen silent without ending.", _silent),
        ("process_resident_bytes", "Memory of all processes of a role.", _memory),
        ("process_largest_bytes", "Memory of the largest process of a role.", _largest),
        ("heartbeat_age_seconds", "Seconds since the last word of a role's latest.", _age),
        ("clock_offset_seconds", "How far the worst clock of a role is off Redis's.", _offset),
    ):
        values = {(role,): tell(of) for role, of in said.items()}
        known = {labels: value for labels, value in values.items() if value is not None}
        yield gauges(name, words, ("role",), known)


def _living(of: list[Heartbeat]) -> float:
    return sum(not one.is_silent for one in of)


def _silent(of: list[Heartbeat]) -> float:
    return sum(one.is_silent for one in of)


def _memory(of: list[Heartbeat]) -> float:
    return sum(one.rss_bytes for one in of if not one.is_silent)


def _largest(of: list[Heartbeat]) -> float:
    return max((one.rss_bytes for one in of if not one.is_silent), default=0)


def _age(of: list[Heartbeat]) -> float | None:
    return min((one.age_s for one in of), default=None)


def _offset(of: list[Heartbeat]) -> float | None:
    return max((abs(one.clock_offset_s) for one in of), default=None)


def of_database() -> Iterator[Metric]:
    """What waits, what is open, and what is wrong, by the rows of the database."""
    started = time.perf_counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {QUERY_MS}")
        yield _round_trip("database", started)
        yield from _queue()
        yield from _work()
        yield from _files()
        yield from _accounts()
        cursor.execute(
            "SELECT extract(epoch FROM max(now() - xact_start))"
            " FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
        )
        (oldest,) = cursor.fetchone()
        words = "Seconds that the oldest transaction that writes has been open."
        yield gauge("database_oldest_write_seconds", words, float(oldest or 0))


def _queue() -> Iterator[Metric]:
    tasks = [task for task, _ in CLASSIFICATION_TASKS]
    lengths = dict.fromkeys(product(Priority.values, tasks), 0.0)
    ages = dict.fromkeys(product(Priority.values, tasks), 0.0)
    waiting = dict.fromkeys(passing_codes(), 0.0)
    for row in Classification.objects.queue_lengths():
        of = (row["priority"], row["task"] or "none")
        lengths[of] = lengths.get(of, 0) + row["length"]
        if code := row["waiting_code"]:
            waiting[code] = waiting.get(code, 0) + row["length"]
        else:
            ages[of] = max(ages.get(of, 0), _age_of(row["oldest_at"]))
    labels = ("priority", "task")
    yield gauges("queue_length", "Classifications that are queued.", labels, lengths)
    words = "Seconds that the oldest has been queued that waits for nothing but a worker."
    yield gauges("queue_oldest_seconds", words, labels, ages)
    words = "Queued classifications that wait for what is no fault of their study, by its code."
    by_code = {(code,): length for code, length in waiting.items()}
    yield gauges("classifications_waiting", words, ("code",), by_code)


def passing_codes() -> set[str]:
    """The codes of all errors for which a classification waits instead of failing."""
    found, below = set[str](), [KnownError]
    while below:
        kind = below.pop()
        below += kind.__subclasses__()
        if kind.is_passing:
            found.add(kind.code)
    return found


def _work() -> Iterator[Metric]:
    # Not those that only grow: what was decided, and what something else replaced.
    words = f"Classifications in states that are passed through, counted up to {MOST_COUNTED}."
    states = Classification.objects.counts_up_to(MOST_COUNTED, OPEN_STATES)
    counted = {(state,): float(count) for state, count in states.items()}
    yield gauges("classifications_now", words, ("state",), counted)
    live = Deployment.objects.order_by("task", "-id").distinct("task")
    rows = live.select_related("model_version").filter(task__in=TASK_TITLES)
    used = {
        (row.task, row.model_version.version, row.model_version.stage): float(
            bool(row.model_version.signed_by)
        )
        for row in rows
        if row.model_version is not None
    }
    words = "1 for each model in use that a trusted key has signed, 0 for one that none has."
    yield gauges("model_signed", words, ("task", "version", "stage"), used)
    states = dict(Export.objects.order_by().values_list("state").annotate(n=Count("pk")))
    counted = {(state,): float(states.get(state, 0)) for state in ExportState.values}
    yield gauges("exports", "Exports, by state.", ("state",), counted)
    preparing = Export.objects.filter(state=ExportState.PREPARING)
    oldest = preparing.aggregate(at=Min("requested_at"))["at"]
    words = "Seconds since the oldest export was asked for that is being prepared."
    yield gauge("exports_oldest_preparing_seconds", words, _age_of(oldest))


def _files() -> Iterator[Metric]:
    uploads = Upload.objects.receiving()
    words = "Files on their way in, piece by piece, that aren't whole."
    yield gauge("uploads_open", words, uploads.count())
    words = "Bytes that they still lack."
    yield gauge("uploads_missing_bytes", words, uploads.missing_bytes())
    receiving = Submission.objects.filter(state=SubmissionState.RECEIVING)
    yield gauge("submissions_open", "Batches that aren't closed.", receiving.count())
    kept: list[StoredFileQuerySet[Any]] = [
        Instance.with_withheld.all(),
        QuarantinedFile.objects.held(),
    ]
    words = "Stored files that were altered or missing when they were last read."
    yield gauge("stored_files_damaged", words, sum(rows.damaged().count() for rows in kept))
    words = "Seconds since the stored file was read that was read longest ago, or since it came."
    unread = [_age_of(rows.longest_unread_since()) for rows in kept]
    yield gauge("stored_files_longest_unread_seconds", words, max(unread))
    words = "Stored files that no row points to."
    yield gauge("stored_files_unreferenced", words, UnreferencedFile.objects.count())
    words = "Contradictions about whose a study is that wait for somebody's decision."
    yield gauge("conflicts_open", words, IdentityConflict.objects.open().count())
    words = "Files in quarantine."
    yield gauge("quarantined_files", words, QuarantinedFile.objects.held().count())


def _accounts() -> Iterator[Metric]:
    mails = AccountMail.objects.aggregate(n=Count("pk"), oldest_at=Min("created_at"))
    yield gauge("mails_waiting", "Mails that wait to be sent.", mails["n"])
    words = "Seconds that the oldest of them has waited."
    yield gauge("mails_oldest_seconds", words, _age_of(mails["oldest_at"]))
    newest = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True).first()
    words = "The number of the newest event in the audit trail: how fast it grows is their rate."
    yield CounterMetricFamily("medimaging_audit_events", words, value=newest or 0)


def _age_of(moment: datetime | None) -> float:
    return max(0.0, (timezone.now() - moment).total_seconds()) if moment else 0.0


def _round_trip(part: str, started: float) -> Metric:
    words = "Seconds to reach a service and be answered."
    seconds = time.perf_counter() - started
    return gauges(f"{part}_round_trip_seconds", words, (), {(): seconds})
