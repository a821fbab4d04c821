"""Have a former release make the rows that the tests of upgrades begin with.

`python -m tests.upgrades.make_fixture 0.3` checks the release out, runs its own quickstart, which
submits the samples, waits until all are answered, decides on two of them, deletes one, and writes
`fixtures/0.3.sql.gz` and `fixtures/0.3.json`.
"""

import argparse
import gzip
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "medimaging.settings")

from medimaging import addresses
from medimaging.quickstart.services import EmbeddedPostgres
from tests.product import Client, Product, running, wait_for
from tests.upgrades.facts import gather, superuser
from tests.upgrades.releases import Release, releases

UNANSWERED = ("queued", "running")
DECIDED = "chest-xray"
OTHER_LABELS = ("tuberculosis", "pneumonia")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", choices=[release.number for release in releases()])
    number = parser.parse_args().number
    (release,) = (release for release in releases() if release.number == number)
    with tempfile.TemporaryDirectory(prefix="medimaging-fixture-") as folder:
        root = release.check_out(Path(folder) / "release")
        with running(Path(folder) / "data", root=root, INFERENCE_DEVICE="cpu") as product:
            use(product)
            write(release, product)


def use(product: Product) -> None:
    """Let the samples be answered; confirm one answer, override one, and delete a study."""
    reviewer = product.client(product.manage("issue_token", "--user", "reviewer", "--days", "1"))
    rows = wait_for(lambda: answered(reviewer), seconds=300, what="answers to the samples")
    decided = [row for row in rows if row["status"] == "awaiting_review" and row["label"]]
    first, second = [row for row in decided if row["task"] == DECIDED][:2]
    decide(reviewer, first, decision="confirm")
    other = next(label for label in OTHER_LABELS if label != second["label"])
    decide(reviewer, second, decision="override", label=other, reason="other", comment="Seen.")
    (left, *_) = [row for row in rows if row["status"] == "abstained"]
    body = json.dumps({"reason": "Sent twice."}).encode()
    status, answer = reviewer.request(
        "DELETE", f"studies/{left['study']}/", body, "application/json"
    )
    assert status == 204, answer


def answered(reviewer: Client) -> list[dict[str, Any]]:
    """All classifications, once none of them waits any more."""
    rows = reviewer.get("classifications/?page_size=100")["results"]
    return rows if rows and all(row["status"] not in UNANSWERED for row in rows) else []


def decide(reviewer: Client, row: dict[str, Any], **decision: str) -> None:
    status, answer = reviewer.post(f"classifications/{row['id']}/reviews/", **decision)
    assert status == 201, answer


def write(release: Release, product: Product) -> None:
    """Dump the rows without whose they are, and say what they amount to."""
    with superuser(product.data_dir) as cursor:
        facts = gather(cursor)
    command = [
        *(EmbeddedPostgres(product.data_dir).binaries / "pg_dump", "--no-owner", "--no-privileges"),
        *("--host", addresses.postgres_socket_dir(product.data_dir)),
        *("--username", addresses.SUPERUSER, "--exclude-table-data", "django_session"),
        addresses.DATABASE,
    ]
    dump = subprocess.run(command, check=True, capture_output=True).stdout
    release.dump.parent.mkdir(exist_ok=True)
    release.dump.write_bytes(gzip.compress(dump, compresslevel=9, mtime=0))
    text = json.dumps({"made_by": release.commit, **facts}, indent=1, sort_keys=True)
    release.facts.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
