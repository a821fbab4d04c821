"""What each release left behind, migrated by this one: nothing is lost and everything is read."""

import gzip
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from medimaging import addresses
from medimaging.quickstart.services import EmbeddedPostgres
from ml.aggregation import Outcome, decide
from tests.clusters import addressed
from tests.installation import DATA_DIR, as_superuser
from tests.product import ROOT
from tests.upgrades.facts import ask, gather
from tests.upgrades.releases import Release, read_everything, releases

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("embedded_services")]

DECIDED = """
SELECT c.outcome, c.label, c.suspected_label, c.probabilities, v.manifest
  FROM classifier_classification c LEFT JOIN classifier_modelversion v ON v.id = c.model_version_id
 WHERE c.finished_at IS NOT NULL AND c.failure_code = ''
"""

KEPT = """
SELECT count(*) FROM classifier_classification c JOIN records_study s ON s.id = c.study_id
 WHERE s.deleted_at IS NULL
"""


def restore(release: Release, database: str) -> None:
    """Put the rows of that release, owned by the superuser, into a database, and hand it over."""
    server = EmbeddedPostgres(DATA_DIR)
    server.prepare_database(database)
    subprocess.run(
        [
            *(
                server.binaries / "psql",
                "--quiet",
                "--set",
                "ON_ERROR_STOP=1",
                "--output",
                "/dev/null",
            ),
            *("--host", server.socket_dir, "--username", addresses.SUPERUSER, database),
        ],
        input=gzip.decompress(release.dump.read_bytes()),
        check=True,
    )
    server.prepare_database(database)


def manage(environment: dict[str, str], *command: str) -> None:
    subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=environment, check=True)


@pytest.fixture(scope="module", params=releases(), ids=lambda release: release.number)
def upgraded(
    request: pytest.FixtureRequest,
    embedded_services: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    """What a release said about its rows, and what ours says once it has migrated them.

    Its rows come without their files, so a store of their own is adopted before it is read.
    """
    release: Release = request.param
    database = f"release_{release.number.replace('.', '_')}"
    restore(release, database)
    environment = {
        **os.environ,
        **addressed(DATA_DIR, database),
        "MEDIMAGING_DATA_DIR": str(tmp_path_factory.mktemp("upgraded")),
    }
    manage(environment, "migrate", "--verbosity", "0")
    before = json.loads(release.facts.read_text(encoding="utf-8"))
    trail = before["audit"]
    with as_superuser(database) as cursor:
        after = gather(cursor, audit_columns=trail["columns"], last_event=trail["last_event"])
        decided = ask(cursor, DECIDED)
        ((kept,),) = ask(cursor, KEPT)
    manage(environment, "adopt_store")
    return {
        "before": before,
        "after": json.loads(json.dumps(after)),
        "decided": decided,
        "kept": kept,
        "read": read_everything(ROOT, environment),
    }


def test_rows_answers_and_conclusions_are_those_that_the_release_left(upgraded):
    before, after = upgraded["before"], upgraded["after"]

    assert after["answers"] == before["answers"]
    assert after["files"] == before["files"]
    counts = {name: after["tables"].get(name) for name in before["tables"]}
    assert counts == before["tables"]
    assert [conclusions for *_, conclusions in after["answers"] if conclusions]


def test_trail_is_the_one_that_the_release_wrote(upgraded):
    assert upgraded["after"]["audit"] == upgraded["before"]["audit"]


def test_every_answer_has_the_outcome_that_its_own_scores_lead_to(upgraded):
    for outcome, label, suspected, probabilities, manifest in upgraded["decided"]:
        if outcome == "abstained":
            assert (label, suspected) == ("", "")
            continue
        operating = manifest["operating"]
        given = decide(
            {name: probabilities[name] for name in manifest["labels"]},
            manifest["normal_label"],
            thresholds=operating["thresholds"],
            bands=operating.get("bands", {}),
        )
        wanted = (given.outcome.value, given.label or "", given.suspected_label or "")
        if given.outcome == Outcome.FLAGGED:
            # Until 0.3 a disease that passed was a finding, whatever else was more probable.
            wanted = ("finding", wanted[2], "")
        assert (outcome, label, suspected) == wanted
    assert len({outcome for outcome, *_ in upgraded["decided"]}) > 2


def test_every_page_and_address_answers(upgraded):
    read = upgraded["read"]

    for person, pages in read["pages"].items():
        assert len(pages) > 3, person
        assert {path for path, status in pages.items() if status != 200} == set(), person
    assert {path for path, status in read["api"].items() if status != 200} == set()
    assert len(read["answers"]) == upgraded["kept"]
