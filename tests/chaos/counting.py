"""What is wrong after chaos, by the database, the disk, and what senders were told."""

import hashlib
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from records.files.stores import PREFIXES
from tests.chaos.senders import Sent
from tests.chaos.stand import Stand
from tests.product import wait_for
from tests.upgrades.facts import ask, superuser

QUIET_S = 240
HELD = ("stored", "duplicate")

UNFINISHED = """
SELECT 'classification ' || state, count(*) FROM classifier_classification
 WHERE state IN ('queued', 'running') GROUP BY 1
UNION ALL
SELECT 'study ' || state, count(*) FROM records_study WHERE state = 'open' GROUP BY 1
UNION ALL
SELECT 'submission ' || state, count(*) FROM records_submission WHERE state = 'receiving' GROUP BY 1
"""

TWICE = {
    "image held twice": """
SELECT source_sha256 FROM records_instance GROUP BY 1 HAVING count(*) > 1""",
    "two current answers": """
SELECT study_id::text FROM classifier_classification
 WHERE state NOT IN ('superseded', 'cancelled') GROUP BY 1 HAVING count(*) > 1""",
    "ended twice": """
SELECT target_id FROM accounts_auditevent
 WHERE action IN ('classification.completed', 'classification.abstained', 'classification.failed')
 GROUP BY 1 HAVING count(*) > 1""",
    "one verdict twice": """
SELECT submission_id || ' ' || sha256 FROM records_submissionfile
 GROUP BY 1 HAVING count(*) > 1""",
}

FAILED = {
    "failed": """
SELECT id || ' ' || failure_code FROM classifier_classification WHERE state = 'failed'""",
    "file refused": """
SELECT id || ' ' || code FROM records_submissionfile
 WHERE verdict NOT IN ('stored', 'duplicate')""",
    "marked damaged": "SELECT id::text FROM records_instance WHERE damage <> ''",
    "damage told": "SELECT id::text FROM accounts_auditevent WHERE action = 'storage.damaged'",
}

GAPS = {
    "stored image without its event": """
SELECT i.id::text FROM records_instance i WHERE (
    SELECT count(*) FROM accounts_auditevent e
     WHERE e.target_id = i.id::text AND e.action = 'file.stored') <> 1""",
    "verdict without its event": """
SELECT f.id::text FROM records_submissionfile f WHERE NOT EXISTS (
    SELECT FROM accounts_auditevent e
     WHERE e.target_id IN (f.id::text, f.instance_id::text) AND starts_with(e.action, 'file.')
       AND e.details ->> 'submission' = f.submission_id::text)""",
    "complete study without its event": """
SELECT s.id::text FROM records_study s WHERE s.state = 'complete' AND NOT EXISTS (
    SELECT FROM accounts_auditevent e WHERE e.study_id = s.id AND e.action = 'study.completed')""",
    "answer without its events": """
SELECT c.id::text FROM classifier_classification c
 WHERE c.state IN ('awaiting_review', 'abstained', 'failed') AND (
    SELECT count(DISTINCT split_part(e.action, '.', 2)) FROM accounts_auditevent e
     WHERE e.target_id = c.id::text AND e.action IN ('classification.queued',
        'classification.started', 'classification.completed', 'classification.abstained',
        'classification.failed')) < 3""",
    "event of an answer that isn't there": """
SELECT e.id::text FROM accounts_auditevent e
 WHERE e.action IN ('classification.completed', 'classification.abstained') AND NOT EXISTS (
    SELECT FROM classifier_classification c WHERE c.id::text = e.target_id
       AND c.state IN ('awaiting_review', 'abstained', 'superseded'))""",
}

ANSWERED_AT = """
SELECT extract(epoch FROM c.finished_at)::float, c.attempt
  FROM records_instance i JOIN records_series r ON r.id = i.series_id
  JOIN classifier_classification c ON c.study_id = r.study_id
 WHERE (i.sop_instance_uid = %s OR i.source_sha256 = %s) AND c.state <> 'superseded'
   AND c.finished_at IS NOT NULL
"""


@dataclass(slots=True)
class Counts:
    """What is wrong, by kind, with what shows it; all empty where nothing is."""

    wrong: dict[str, list[str]] = field(default_factory=dict)
    waits_s: list[float] = field(default_factory=list)
    attempts: int = 0
    noted_files: int = 0

    @property
    def total(self) -> int:
        """How much is wrong."""
        return sum(len(found) for found in self.wrong.values())


def wait_for_quiet(stand: Stand, *, seconds: float = QUIET_S) -> bool:
    """Whether all that was begun has ended within so long."""

    def look() -> bool:
        stand.helpers.restart_crashed()
        with superuser(stand.product.data_dir) as cursor:
            return not ask(cursor, UNFINISHED)

    try:
        return wait_for(look, seconds=seconds, what="quiet")
    except AssertionError:
        return False


def count(stand: Stand, sent: Iterable[Sent]) -> Counts:
    """Count everything that must be 0, once it is quiet."""
    sent = list(sent)
    # What the product knows of files without a row, and will remove, it says here.
    stand.product.manage("sweep_storage")
    with superuser(stand.product.data_dir) as cursor:
        counts = Counts()
        counts.wrong["lost"] = [*_lost(cursor, stand.images, sent)]
        counts.wrong["twice"] = [*_each(cursor, TWICE)]
        counts.wrong["stuck"] = [*_stuck(cursor, sent)]
        counts.wrong["failed by an outage"] = [*_each(cursor, FAILED), *_refused(sent)]
        counts.wrong["audit gaps"] = [*_each(cursor, GAPS)]
        noted = {str(name) for (name,) in ask(cursor, "SELECT name FROM records_unreferencedfile")}
        counts.wrong["files without a row"] = [*_unknown(cursor, stand.images, noted)]
        counts.noted_files = len(noted)
        _time(cursor, sent, counts)
    return counts


def quantile(values: list[float], share: float) -> float:
    """The value that such a share of them doesn't exceed; 0 of none."""
    if len(values) < 2:
        return max(values, default=0.0)
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def _lost(cursor: Any, images: Path, sent: list[Sent]) -> Iterable[str]:
    """Told that it is held, and it isn't; or held, and its bytes aren't what they were."""
    rows = ask(cursor, "SELECT sop_instance_uid, source_sha256, sha256, file FROM records_instance")
    known = {key for uid, source, _, _ in rows for key in (uid, source)}
    for one in sent:
        if one.verdict in HELD and one.key not in known:
            yield f"{one.patient_id} {one.key}: told {one.verdict}, and there is no row"
    for _, _, sha256, name in rows:
        path = images / name
        if not path.is_file():
            yield f"{name}: missing"
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            yield f"{name}: other bytes"


def _stuck(cursor: Any, sent: list[Sent]) -> Iterable[str]:
    for what, number in ask(cursor, UNFINISHED):
        yield from [str(what)] * int(number)
    unasked = "SELECT s.id::text FROM records_study s WHERE NOT EXISTS (SELECT FROM "
    unasked += "classifier_classification c WHERE c.study_id = s.id AND c.state <> 'superseded')"
    yield from (f"study {study} without an answer" for (study,) in ask(cursor, unasked))
    yield from (f"{one.patient_id}: never told" for one in sent if not one.verdict)


def _refused(sent: list[Sent]) -> Iterable[str]:
    """Every image is a good one: who is told otherwise is told of our fault as if it were his."""
    told = [one for one in sent if one.verdict and one.verdict not in HELD]
    return (f"{one.patient_id} was told {one.verdict}: {one.said}" for one in told)


def _each(cursor: Any, questions: dict[str, str]) -> Iterable[str]:
    for name, question in questions.items():
        yield from (f"{name}: {found}" for (found,) in ask(cursor, question))


def _unknown(cursor: Any, images: Path, noted: set[str]) -> Iterable[str]:
    """Files to which no row points, and which the product doesn't know of."""
    names = "SELECT file FROM records_instance UNION SELECT file FROM records_quarantinedfile"
    known = {str(name) for (name,) in ask(cursor, names)} | noted
    for prefix in PREFIXES:
        for path in (images / prefix).rglob("*"):
            if path.is_file() and path.relative_to(images).as_posix() not in known:
                yield path.relative_to(images).as_posix()


def _time(cursor: Any, sent: list[Sent], counts: Counts) -> None:
    for one in sent:
        for finished_at, attempt in ask(cursor, ANSWERED_AT, one.key, one.key):
            counts.waits_s.append(max(0.0, finished_at - one.told_at))
            counts.attempts += attempt > 1
