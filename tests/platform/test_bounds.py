"""Nothing grows without a bound: a year of everything, and a round of what tidies up."""

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection, models
from django.utils import timezone

from accounts.choices import Action
from accounts.models import (
    AccountMail,
    AccountNotice,
    Attempts,
    KeptAnswer,
    ReadTally,
    RecentSearch,
    RefusalTally,
    User,
    UserSession,
)
from accounts.roles import Role
from accounts.services.tallies import STAMP
from classifier.models import Classification, ReviewDraft
from medimaging.bounds import TABLES, Grows, Swept
from ml.bundles import COPY, private_copy
from records.choices import Action as RecordsAction
from records.files import partial
from records.files.spool import spool_directory
from records.files.stores import check_store, content_name, image_store
from records.models import Export, Submission, UnreferencedFile, Upload
from tests.factories import make_department, make_study, make_user

pytestmark = pytest.mark.django_db

WEEKS = 53
SLACK = dt.timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _epochs_of_this_test() -> Iterator[None]:
    """The row of an epoch is rolled back, and its file wouldn't be."""
    yield
    shutil.rmtree(settings.DATA_DIR / "images" / "epochs", ignore_errors=True)


class Year:
    """A row of each swept table for a moment; `number` tells rows apart."""

    def __init__(self) -> None:
        department = make_department()
        self.person: User = make_user(Role.TECHNICIAN, department=department)
        self.study = make_study(department=department)
        self.submission = Submission.objects.create(
            department=department, created_by=self.person, origin="web"
        )

    def rows(self) -> dict[str, Callable[[int, dt.datetime], models.Model]]:
        """How a row is made, by its table's label."""
        return {
            "accounts.AccountMail": lambda n, at: AccountMail(kind="reset", created_at=at),
            "accounts.AccountNotice": lambda n, at: AccountNotice(
                user=self.person, kind="link_made", created_at=at, seen_at=at
            ),
            "accounts.Attempts": lambda n, at: Attempts(key=f"k{n}", since=at),
            "accounts.KeptAnswer": lambda n, at: KeptAnswer(
                user=self.person, key=f"k{n}", fingerprint="f", created_at=at
            ),
            "accounts.ReadTally": self.read_tally,
            "accounts.RecentSearch": lambda n, at: RecentSearch(
                user=self.person, place="p", sealed="s", created_at=at
            ),
            "accounts.RefusalTally": lambda n, at: RefusalTally(
                kind=Action.ACCESS_REFUSED, who=f"address:{n}", since=at, until=at
            ),
            "accounts.UserSession": self.user_session,
            "classifier.ReviewDraft": self.draft,
            "records.UnreferencedFile": lambda n, at: UnreferencedFile(
                name=content_name(f"{n:064x}"), size_bytes=1, due_at=at
            ),
            "records.Upload": lambda n, at: Upload(
                submission=self.submission,
                created_by=self.person,
                name="f",
                size_bytes=1,
                created_at=at,
                expires_at=at,
            ),
            "sessions.Session": lambda n, at: Session(
                session_key=f"s{n}", session_data="d", expire_date=at
            ),
        }

    def read_tally(self, number: int, at: dt.datetime) -> ReadTally:
        empty = {name: None if name.endswith(("_id", "_address")) else "" for name in STAMP}
        texts = {"target_id": "", "session_id": ""}
        stamp = {**empty, **texts, "action": RecordsAction.IMAGE_VIEWED, "actor_kind": "system"}
        key = {"key": f"k{number}", "minute": at, "stamp": stamp}
        return ReadTally(**key, answers=1, frames=1, size_bytes=1)

    def user_session(self, number: int, at: dt.datetime) -> UserSession:
        times = {"created_at": at, "last_seen_at": at, "ended_at": at, "end_reason": "idle"}
        return UserSession(user=self.person, session_hash=f"h{number}", **times)

    def draft(self, number: int, at: dt.datetime) -> ReviewDraft:
        superseded = {"study": self.study, "task": f"task{number}", "state": "cancelled"}
        run = Classification.objects.create(**superseded)
        return ReviewDraft(classification=run, person=self.person, updated_at=at)


def run_every_task() -> None:
    """A round of all that beat rings for."""
    for name in settings.HOUSEKEEPING:
        module, _, task = name.rpartition(".")
        getattr(import_module(module), task)()


def test_every_table_is_declared_and_every_declaration_has_its_table() -> None:
    labels = {model._meta.label: model for model in apps.get_models(include_auto_created=True)}
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))

    assert set(TABLES) == set(labels)
    assert tables == {model._meta.db_table for model in labels.values()} | {"django_migrations"}


def test_a_year_of_rows_is_swept_down_to_its_bound(django_capture_on_commit_callbacks) -> None:
    swept = {label: bound for label, bound in TABLES.items() if isinstance(bound, Swept)}
    year, now = Year(), timezone.now()
    made: dict[str, int] = {}
    rows = year.rows()
    assert set(rows) == set(swept)
    for label, bound in swept.items():
        oldest = now - bound.kept - SLACK
        moments = [oldest - dt.timedelta(weeks=week) for week in range(WEEKS)]
        model = apps.get_model(label)
        model._base_manager.bulk_create(rows[label](n, at) for n, at in enumerate(moments))
        young = now - bound.kept + dt.timedelta(hours=2)
        model._base_manager.bulk_create([rows[label](WEEKS, young)])
        made[label] = model._base_manager.count()

    # Refusals are swept in two rounds: told first, gone when the caller hasn't come again.
    with django_capture_on_commit_callbacks(execute=True):
        run_every_task()

    assert all(count >= WEEKS + 1 for count in made.values())
    left = {label: _left(label, bound, now) for label, bound in swept.items()}
    assert {label: old for label, (old, _) in left.items() if old} == {}
    gone_too_soon = {label for label, (_, young) in left.items() if not young}
    assert gone_too_soon <= {"accounts.AccountMail"}  # those are sent


def _left(label: str, bound: Swept, now: dt.datetime) -> tuple[int, int]:
    rows = apps.get_model(label)._base_manager.all()
    old = {f"{bound.field}__lte": now - bound.kept}
    return rows.filter(**old).count(), rows.exclude(**old).count()


def test_after_a_year_files_nobody_needs_are_gone(django_capture_on_commit_callbacks) -> None:
    check_store()
    study = make_study(department=make_department())
    old = timezone.now() - dt.timedelta(days=365)
    incoming, partly = spool_directory(), partial._directory()
    leftovers = [incoming / "left", incoming / "left.kept", partly / "a1b2"]
    for path in leftovers:
        path.write_bytes(b"x")
    orphan = content_name("e" * 64)
    storage: Any = image_store()
    storage.save(orphan, ContentFile(b"x"))
    UnreferencedFile.objects.create(name=orphan, size_bytes=1, due_at=old)
    copies = storages["default"]
    made = {"project": "P", "purpose": "p", "requested_by": make_user(), "sha256": "d" * 64}
    export = Export.objects.create(department=study.department, state="ready", ready_at=old, **made)
    export.file = copies.save(f"exports/{export.pk}/copy.zip", ContentFile(b"x"))
    export.save()
    stray = copies.save("exports/of-a-killed-worker/copy.zip", ContentFile(b"x"))
    folders = [Path(copies.path(stray)).parent]
    scratch = Path(tempfile.mkdtemp(prefix=COPY))
    for path in [*leftovers, *folders, scratch]:
        os.utime(path, (old.timestamp(), old.timestamp()))

    with django_capture_on_commit_callbacks(execute=True):
        run_every_task()
    with pytest.raises(Exception, match="no-such-bundle"), private_copy("/no-such-bundle"):
        pass

    assert [path for path in leftovers if path.exists()] == []
    assert not storage.exists(orphan)
    assert not copies.exists(export.file.name)
    assert not copies.exists(stray)
    assert [path for path in folders if path.exists()] == []
    assert not scratch.exists()


def test_what_grows_by_design_says_why_and_is_told_to_operators() -> None:
    grows = {label for label, bound in TABLES.items() if isinstance(bound, Grows)}
    told = Path("docs/operators.md").read_text()

    assert all(TABLES[label].why for label in grows)
    missing = {label for label in grows if label.split(".")[1] not in told}
    assert missing == set()
