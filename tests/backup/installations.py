"""Installations to back up and to restore into: a database and a data directory each."""

import hashlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from django.db import transaction
from psycopg2 import sql
from pydicom.uid import generate_uid

from accounts.models import Department
from medimaging.backup.snapshots import count_rows
from medimaging.quickstart.services import EmbeddedPostgres
from records.choices import StudyState
from records.files.spool import publish, spooled
from records.models import Instance, Patient, Series, Study
from tests.clusters import addressed
from tests.dicom.files import make_dicom
from tests.factories import make_department
from tests.installation import DATA_DIR, TEST_DATABASE, as_superuser
from tests.product import ROOT

BATCH = 250


class Installation:
    """One that commands are run against, as processes of their own."""

    def __init__(self, data_dir: Path, database: str, **settings: str) -> None:
        self.data_dir = data_dir
        self.database = database
        self.images = data_dir / "images"
        self.environment = {
            **os.environ,
            "MEDIMAGING_DATA_DIR": str(data_dir),
            **addressed(DATA_DIR, database),
            **settings,
        }

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command to its end, and return what it said."""
        process = self.begin(*arguments)
        said, complained = process.communicate(timeout=120)
        assert process.returncode == code, said + complained
        return said + complained

    def counts(self) -> dict[str, int]:
        """How many rows each table holds."""
        with closing(EmbeddedPostgres(DATA_DIR).connect(self.database)) as connection:
            return count_rows(connection)

    def ask(self, query: str) -> Any:
        """The first value of an answer."""
        with (
            closing(EmbeddedPostgres(DATA_DIR).connect(self.database)) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(query)
            return cursor.fetchone()[0] if cursor.description else None


@contextmanager
def empty_installation(data_dir: Path, database: str, **settings: str) -> Iterator[Installation]:
    """An installation as `prepare_database` leaves it: roles, no table, no file."""
    drop_database(database)
    EmbeddedPostgres(DATA_DIR).prepare_database(database)
    try:
        yield Installation(data_dir, database, **settings)
    finally:
        drop_database(database)


def drop_database(database: str) -> None:
    """Remove a database, whoever uses it."""
    with closing(EmbeddedPostgres(DATA_DIR).connect("postgres")) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            name = sql.Identifier(database)
            cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


@contextmanager
def without_the_tests_own_function() -> Iterator[None]:
    """Take out of the tests' database what no installation has, and its owner couldn't restore."""
    with as_superuser(TEST_DATABASE) as cursor:
        cursor.execute("SELECT pg_get_functiondef('date_event_back'::regproc)")
        (definition,) = cursor.fetchone()
        cursor.execute("DROP FUNCTION date_event_back")
    try:
        yield
    finally:
        with as_superuser(TEST_DATABASE) as cursor:
            cursor.execute(definition)


def fill(studies: int, *, department: Department | None = None) -> list[Instance]:
    """Store so many studies of one image each: real files by the store, rows in bulk."""
    department = department or make_department()
    image = make_dicom()
    made: list[Instance] = []
    for start in range(0, studies, BATCH):
        made += _fill_batch(department, image, min(BATCH, studies - start))
    return made


@transaction.atomic
def _fill_batch(department: Department, image: bytes, count: int) -> list[Instance]:
    uids = [generate_uid() for _ in range(count)]
    patients = [Patient(mrn=f"D{uid}"[-60:], name="Test^Drill", sex="F") for uid in uids]
    Patient.objects.bulk_create(patients)
    studies = [
        Study(
            study_instance_uid=uid,
            patient=patient,
            department=department,
            modalities=["CT"],
            body_part="CHEST",
            state=StudyState.COMPLETE,
            instance_count=1,
        )
        for uid, patient in zip(uids, patients, strict=True)
    ]
    Study.objects.bulk_create(studies)
    series = [
        Series(study=one, series_instance_uid=generate_uid(), modality="CT") for one in studies
    ]
    Series.objects.bulk_create(series)
    with ExitStack() as stack:
        files = [
            stack.enter_context(spooled(io.BytesIO(image + uid.encode()), limit=100_000))
            for uid in uids
        ]
        publish(files)
    return Instance.objects.bulk_create(
        Instance(
            series=one,
            sop_instance_uid=uid,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            sha256=file.sha256,
            source_sha256=file.sha256,
            size_bytes=file.size,
            rows=16,
            columns=16,
            number_of_frames=1,
            file=file.name,
        )
        for one, uid, file in zip(series, uids, files, strict=True)
    )


def hashes_below(directory: Path) -> dict[str, str]:
    """Name and hash of every image in a directory, read anew."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.glob("??/??/*")
    }
