"""Chaos in little: a dozen studies while processes die; and what is wrong would be counted."""

import hashlib
import random
from collections.abc import Iterator

import pytest

from tests.chaos.blows import BLOWS
from tests.chaos.counting import count
from tests.chaos.run_chaos import Story, tell
from tests.chaos.stand import Stand, standing
from tests.upgrades.facts import ask, superuser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STUDIES = 12
SECONDS = 20
SEED = 5
DEALT = (
    *("worker child killed", "web worker killed", "Redis killed", "PostgreSQL killed"),
    *("gunicorn master killed", "store away"),
)


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with standing(tmp_path_factory.mktemp("chaos") / "stand") as stand:
        yield stand


@pytest.fixture(scope="module")
def story(stand: Stand) -> Story:
    blows = [blow for name in DEALT for blow in BLOWS if blow.name == name]
    random.Random(SEED).shuffle(blows)
    return tell(stand, studies=STUDIES, seconds=SECONDS, blows=blows, seed=SEED)


def test_nothing_is_wrong_after_processes_died(story: Story) -> None:
    assert {name: found for name, found in story.counts.wrong.items() if found} == {}
    assert [one.verdict for one in story.sent if one.verdict not in ("stored", "duplicate")] == []
    assert len(story.counts.waits_s) == STUDIES
    assert set(story.blows) == set(DEALT)
    assert not story.missed


def test_what_is_wrong_is_counted(stand: Stand, story: Story) -> None:
    """The counts can be other than 0: one thing of each kind is made wrong."""
    lost, other, unknown = _harm_files(stand)
    with superuser(stand.product.data_dir) as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        stuck, failed, silent = (
            row for (row,) in ask(cursor, "SELECT id FROM classifier_classification LIMIT 3")
        )
        cursor.execute(COPY)
        row = "UPDATE classifier_classification SET state = '{}', {} WHERE id = %s"
        lease = "lease_expires_at = now() + interval '1 hour'"
        cursor.execute(row.format("running", lease), [stuck])
        cursor.execute(row.format("failed", "failure_code = 'unexpected'"), [failed])
        cursor.execute("DELETE FROM accounts_auditevent WHERE target_id = %s", [str(silent)])
    story.sent[0].key = "never stored"

    wrong = count(stand, story.sent).wrong

    assert len(wrong["lost"]) == 3
    assert {f"{lost}: missing", f"{other}: other bytes"} < set(wrong["lost"])
    assert len(wrong["twice"]) == 1
    assert "classification running" in wrong["stuck"]
    assert wrong["failed by an outage"] == [f"failed: {failed} unexpected"]
    assert f"answer without its events: {silent}" in wrong["audit gaps"]
    assert wrong["files without a row"] == [unknown]


COPY = """
INSERT INTO records_submissionfile
SELECT (jsonb_populate_record(f, jsonb_build_object('id', gen_random_uuid()))).*
  FROM records_submissionfile f LIMIT 1
"""


def _harm_files(stand: Stand) -> tuple[str, str, str]:
    """Names of a file that is gone, of one with other bytes, and of one that nobody knows."""
    with superuser(stand.product.data_dir) as cursor:
        (lost,), (other,) = ask(cursor, "SELECT file FROM records_instance ORDER BY file LIMIT 2")
    (stand.images / lost).unlink()
    (stand.images / other).write_bytes(b"other")
    digest = hashlib.sha256(b"unknown").hexdigest()
    # A name that the product's own sweep doesn't take for one of its files.
    unknown = f"{digest[:2]}/{digest[2:4]}/unknown.bin"
    (stand.images / unknown).parent.mkdir(parents=True, exist_ok=True)
    (stand.images / unknown).write_bytes(b"unknown")
    return lost, other, unknown
