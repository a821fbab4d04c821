"""What one reading of the site's figures costs with 100,000 classifications: `make bench`."""

import statistics
import time

import pytest
from django.db import connection

from classifier.models import Classification
from medimaging.metrics import figures
from medimaging.metrics.site import SiteCollector
from tests import factories
from tests.installation import as_superuser

ROWS = 100_000
ROUNDS = 9
STATES = (
    *(("confirmed",) * 10 + ("awaiting_review",) * 4 + ("superseded",) * 3),
    *("failed", "failed", "queued"),
)

COPIES = """
INSERT INTO records_study SELECT (jsonb_populate_record(row, jsonb_build_object(
    'id', gen_random_uuid(), 'study_instance_uid', '1.2.3.' || n))).*
  FROM records_study row, generate_series(1, %(rows)s) n;
INSERT INTO records_instance SELECT (jsonb_populate_record(row, jsonb_build_object(
    'id', gen_random_uuid(), 'sop_instance_uid', '1.2.4.' || n, 'file', n || '.dcm',
    'checked_at', now() - n * interval '1 second'))).*
  FROM records_instance row, generate_series(1, %(rows)s) n;
INSERT INTO classifier_classification SELECT (jsonb_populate_record(row, jsonb_build_object(
    'id', gen_random_uuid(), 'study_id', study.id, 'state', states[n %% cardinality(states) + 1],
    'outcome', 'finding', 'label', 'pneumonia', 'model_digest', 'd', 'failure_code', 'unexpected',
    'queued_at', now() - n * interval '10 seconds'))).*
  FROM classifier_classification row,
       (SELECT id, row_number() OVER () n FROM records_study) study,
       (SELECT %(states)s::text[] AS states) one
 WHERE study.id <> row.study_id;
ANALYZE;
"""


@pytest.mark.bench
@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_print_cost_of_a_scrape(capsys: pytest.CaptureFixture[str]) -> None:
    study = factories.make_study(department=factories.make_department())
    Classification.objects.create(study=study, task="chest-xray")
    with as_superuser() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(COPIES, {"rows": ROWS, "states": list(STATES)})
    with as_superuser() as cursor:
        cursor.execute("SELECT count(*) FROM classifier_classification")
        (count,) = cursor.fetchone()

    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        list(figures.of_database())
        times.append((time.perf_counter() - started) * 1000)
    collector = SiteCollector()
    list(collector.collect())
    started = time.perf_counter()
    list(collector.collect())
    cached = (time.perf_counter() - started) * 1000

    with capsys.disabled():
        print(f"\n{count} classifications: {statistics.median(times):.0f} ms for the figures of ")
        print(f"the database (max {max(times):.0f}); {cached:.1f} ms told again; plans:")
        with connection.cursor() as cursor:
            for name, statement in slow_statements().items():
                cursor.execute(f"EXPLAIN (ANALYZE, COSTS OFF, SUMMARY ON) {statement}")
                print(f"-- {name}\n" + "\n".join(row[0] for row in cursor.fetchall()))


def slow_statements() -> dict[str, str]:
    """The statements over tables that only grow."""
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        list(figures.of_database())
    growing = ("classifier_classification", "records_instance", "accounts_auditevent")
    return {
        f"{number}": query["sql"]
        for number, query in enumerate(queries.captured_queries)
        if any(f'FROM "{table}"' in query["sql"] for table in growing)
    }
