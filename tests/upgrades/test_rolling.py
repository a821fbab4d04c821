"""The last release and this one, on one database: one after the other, and beside each other.

One story for all tests: the last release runs by its own code, this one migrates under it as the
operators' guide says, replaces it while studies are queued, and is replaced by it again.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pydicom
import pytest

from tests import radiographs
from tests.product import ROOT, Client, Product, free_port, wait_for
from tests.upgrades.facts import gather, superuser
from tests.upgrades.guide import commands
from tests.upgrades.releases import last_migrations, read_everything, releases

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SWIFT = {
    "CLASSIFICATION_LEASE_SECONDS": "5",
    "CLASSIFICATION_RING_AGAIN_SECONDS": "5",
    "STUDY_IDLE_AFTER_SECONDS": "2",
    "TASK_SWEEP_SECONDS": "2",
    "INFERENCE_DEVICE": "cpu",
}
ANSWERED = ("awaiting_review", "abstained", "confirmed", "overridden", "uninterpretable")


class Story:
    """Two releases in turn on one data directory, and what they said."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.former_root = releases()[-1].check_out(folder / "former")
        self.dicom_port = free_port()
        self.product = self.release(self.former_root)
        self.told: dict[str, Any] = {}
        self._number = 0

    def release(self, root: Path) -> Product:
        """The quickstart of a release, not started; no samples, which would only take time."""
        self.data_dir.mkdir(exist_ok=True)
        (self.data_dir / "samples-submitted").touch()
        return Product(self.data_dir, root=root, DICOM_PORT=str(self.dicom_port), **SWIFT)

    def migrate(self) -> None:
        """As the service `migrate` does, while the former release runs."""
        self.release(ROOT).manage("migrate", "--verbosity", "0")
        self.release(ROOT).manage("register_bundles", "--deploy")

    def bring_models_back(self) -> None:
        """As the guide says of a release that kept no models: those in use go on answering."""
        product = self.release(ROOT)
        product.environment["BUNDLE_DIR"] = str(self.former_root / "ml" / "bundles")
        product.manage("register_bundles")

    def replace(self, root: Path) -> None:
        """Stop what runs, and start the release in `root` in its place."""
        self.product.stop()
        self.product = self.release(root)
        self.product.start()

    def client(self, username: str) -> Client:
        if username not in self.told:
            self.told[username] = self.product.manage(
                "issue_token", "--user", username, "--days", "1"
            )
        return self.product.client(self.told[username])

    def picture(self) -> bytes:
        self._number += 1
        return radiographs.picture(self._number)

    def object(self) -> pydicom.Dataset:
        self._number += 1
        return radiographs.dicom_object(f"ROLLING-{self._number}")

    def send_picture(self, priority: str = "routine") -> str:
        """Its study's id."""
        answer = self.client("technician").submit(
            {"chest.png": self.picture()},
            patient_id=f"ROLLING-{self._number}",
            modality="CR",
            body_part="CHEST",
            view_position="PA",
            priority=priority,
        )
        return self._stored(answer)

    def send_object(self) -> str:
        content = radiographs.in_bytes(self.object())
        return self._stored(self.client("technician").submit({"chest.dcm": content}))

    def store_object(self) -> str:
        """Send one by C-STORE; the id of its study."""
        dataset = self.object()
        assert radiographs.send_by_dicom(dataset, port=self.dicom_port) == 0
        with superuser(self.data_dir) as cursor:
            cursor.execute(
                "SELECT id FROM records_study WHERE study_instance_uid = %s",
                [str(dataset.StudyInstanceUID)],
            )
            return str(cursor.fetchone()[0])

    @staticmethod
    def _stored(answer: dict[str, Any]) -> str:
        (file,) = answer["files"]
        assert file["verdict"] == "stored", file
        return str(file["study"])

    def answers(self, *studies: str) -> dict[str, dict[str, Any]]:
        """The current answer about each study, once there is one."""
        client = self.client("technician")

        def look() -> dict[str, dict[str, Any]]:
            rows = {}
            for study in studies:
                found = client.get(f"classifications/?study={study}")["results"]
                for row in found:
                    if row["status"] in ANSWERED:
                        rows[study] = row
            return rows if len(rows) == len(studies) else {}

        return wait_for(look, seconds=90, what=f"answers about {studies}")

    def read(self, root: Path, *only: str) -> dict[str, Any]:
        return read_everything(root, self.release(root).environment, *only)

    def facts(self, **options: Any) -> dict[str, Any]:
        with superuser(self.data_dir) as cursor:
            return json.loads(json.dumps(gather(cursor, **options)))

    def silence_worker(self) -> list[psutil.Process]:
        """Have the worker hold still, so that what is sent from now on stays queued."""
        found = self.product.processes("celery", "worker")
        for process in found:
            process.suspend()
        return found


def of_former(story: Story) -> None:
    """What the last release writes on its own tables, and what ours says of them."""
    story.product.start()
    subprocess_shell(story.product, radiographs.ADD_PEER)
    story.told["before"] = [story.send_picture(), story.send_object(), story.store_object()]
    story.answers(*story.told["before"])
    story.told["new on old"] = story.read(ROOT, "readyz")["readyz"]


def on_new_tables(story: Story) -> None:
    """The last release goes on while its tables are those of this one."""
    story.told["old on new"] = story.read(story.former_root)
    sent = [story.send_picture(), story.send_object(), story.store_object()]
    rows = story.answers(*sent)
    status, answer = story.client("reviewer").post(
        f"classifications/{rows[sent[0]]['id']}/reviews/", decision="confirm"
    )
    story.told["between"], story.told["decided between"] = sent, (status, answer)


def queued(story: Story) -> None:
    """Studies that wait when the last release goes."""
    stopped = story.silence_worker()
    story.told["queued"] = [story.send_picture() for _ in range(3)]
    rows = [story.client("technician").classification_of(study) for study in story.told["queued"]]
    assert [row["status"] for row in rows] == ["queued"] * 3
    story.told["left"] = story.facts()
    for process in stopped:
        process.kill()


def on_own_tables(story: Story) -> None:
    """This release answers what waited, reads all of it, and writes what only it knows."""
    story.told["resumed"] = story.answers(*story.told["queued"])
    trail = story.told["left"]["audit"]
    story.told["found"] = story.facts(
        audit_columns=trail["columns"], last_event=trail["last_event"]
    )
    story.told["new on new"] = story.read(ROOT)
    sent = [story.send_picture(), story.send_object(), story.store_object()]
    answer = story.client("technician").submit(
        {"chest.png": story.picture(), "Thumbs.db": b"\x00"}, patient_id="ROLLING-X", modality="CR"
    )
    sent.append(next(file["study"] for file in answer["files"] if file["study"]))
    rows = story.answers(*sent)
    status, body = story.client("reviewer").post(
        f"classifications/{rows[sent[0]]['id']}/reviews/",
        decision="override",
        label="tuberculosis",
        reason="other",
        comment="Seen.",
    )
    assert status == 201, body
    story.told["after"] = sent
    story.told["of new"] = story.facts()


def back(story: Story) -> None:
    """The last release again, on all of it."""
    story.told["old on all"] = story.read(story.former_root)
    trail = story.told["of new"]["audit"]
    story.told["kept"] = story.facts(audit_columns=trail["columns"], last_event=trail["last_event"])
    story.told["again"] = story.answers(story.send_picture(), story.store_object())


def subprocess_shell(product: Product, script: str) -> None:
    product.manage("shell", "--command", script)


def steps(story: Story) -> dict[str, Callable[[], None]]:
    """What each command of the guide is, without Docker; `make run` is how both are started."""
    return {
        "git checkout <release>": lambda: of_former(story),
        "docker compose build": lambda: None,
        "docker compose run --rm migrate": lambda: (
            story.migrate(),
            story.bring_models_back(),
            on_new_tables(story),
        ),
        "docker compose up --detach --wait": lambda: (
            queued(story),
            story.replace(ROOT),
            on_own_tables(story),
        ),
    }


def steps_back(story: Story) -> dict[str, Callable[[], None]]:
    return {
        "git checkout <former release>": lambda: None,
        "docker compose build": lambda: None,
        "docker compose up --detach --wait": lambda: (
            story.replace(story.former_root),
            back(story),
        ),
    }


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    story = Story(tmp_path_factory.mktemp("rolling"))
    try:
        for command in commands("Upgrade")[0]:
            steps(story)[command]()
        for command in commands("Roll back")[0]:
            steps_back(story)[command]()
        story.told["log"] = story.product.output.read_text(errors="replace")
        story.told["migrations"] = {
            app: max(path.stem for path in (story.former_root / app / "migrations").glob("0*.py"))
            for app in last_migrations()
        }
        yield story.told
    finally:
        if story.product.process is not None and story.product.process.poll() is None:
            story.product.stop()


def test_guide_has_the_commands_that_this_story_follows() -> None:
    on_trial = ["git checkout <release>", "make run"]

    assert commands("Upgrade") == [[*steps(None)], on_trial]
    assert (
        "-e BUNDLE_DIR=/former migrate python manage.py register_bundles"
        in (commands("Models after an upgrade")[0][1])
    )
    assert commands("Roll back")[0] == [*steps_back(None)]
    assert commands("Roll back")[1] == ["git checkout <former release>", "make run"]


def test_readiness_of_each_release_on_the_tables_of_the_other(told) -> None:
    status, answer = told["new on old"]
    assert status == 503
    assert "migrations_pending" in json.dumps(answer)
    assert told["old on new"]["readyz"][0] == 200


def test_former_release_reads_and_writes_on_the_new_tables(told) -> None:
    assert refused(told["old on new"]) == {}
    status, answer = told["decided between"]
    assert status == 201, answer
    assert len(told["between"]) == 3


def test_new_release_answers_what_was_queued(told) -> None:
    assert len(told["resumed"]) == 3
    assert {row["attempt"] for row in told["resumed"].values() if "attempt" in row} <= {1, 2}


def test_new_release_reads_all_that_the_former_one_wrote(told) -> None:
    left, found = told["left"], told["found"]

    assert refused(told["new on new"]) == {}
    assert found["audit"] == left["audit"]
    assert found["files"] == left["files"]
    ended = [row for row in left["answers"] if row[2] in ANSWERED]
    assert len(ended) == 6
    assert all(row in found["answers"] for row in ended)


def test_answers_of_the_former_release_on_new_tables_have_their_outcome(told) -> None:
    rows = {row["study"]: row for row in told["new on new"]["answers"]}

    for study in told["before"] + told["between"]:
        known = ("finding", "flagged", "no_finding", "indeterminate")
        assert rows[study]["outcome"] in known, rows[study]


def test_former_release_reads_and_goes_on_after_going_back(told) -> None:
    assert refused(told["old on all"]) == {}
    left, kept = told["of new"], told["kept"]
    assert [kept[name] for name in ("answers", "files", "audit")] == [
        left[name] for name in ("answers", "files", "audit")
    ]
    # Reading and starting write of themselves, and take nothing away.
    assert [name for name, count in left["tables"].items() if kept["tables"][name] < count] == []
    assert len(told["again"]) == 2


def test_nobody_falls_victim_to_a_deadlock_with_a_migration(told) -> None:
    assert "deadlock detected" not in told["log"]


def test_last_migrations_are_those_of_the_last_release(told) -> None:
    assert told["migrations"] == last_migrations()


def refused(read: dict[str, Any]) -> dict[str, int]:
    """Pages and addresses that weren't answered with 200."""
    asked = {**read["api"]}
    for person, pages in read["pages"].items():
        asked |= {f"{person} {path}": status for path, status in pages.items()}
    assert len(asked) > 40
    return {path: status for path, status in asked.items() if status != 200}
