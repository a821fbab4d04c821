"""Every read of the accounts app."""

import datetime as dt
import json
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib.auth.models import UserManager as DjangoUserManager
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, models
from django.db.models import OuterRef, Q
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.choices import ProposalState
from accounts.counting import count_of
from accounts.roles import Role, Verb

if TYPE_CHECKING:
    from accounts.models import (  # noqa: F401 - in strings
        AccountNotice,
        ApiToken,
        AuditEvent,
        Department,
        KeptAnswer,
        PasswordLink,
        ReadTally,
        RoleProposal,
        User,
        UserSession,
    )
    from accounts.subjects import Subject

ADD_TO_TALLY = """
    INSERT INTO accounts_readtally AS held (key, minute, stamp, answers, frames, size_bytes)
    VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (key) DO UPDATE SET
        answers = held.answers + EXCLUDED.answers,
        frames = held.frames + EXCLUDED.frames,
        size_bytes = held.size_bytes + EXCLUDED.size_bytes
    RETURNING xmax = 0
"""
"""A row that was there has been updated, and carries the transaction that did so."""


class DepartmentQuerySet(models.QuerySet["Department"]):
    """Reads of departments."""

    def with_counts(self) -> "DepartmentQuerySet":
        """Add `member_count`, the number of active people who hold a role there."""
        memberships: models.QuerySet[Any] = models.QuerySet(
            self.model.memberships.rel.related_model
        )
        active = memberships.filter(department=OuterRef("pk"), user__is_active=True)
        return self.annotate(member_count=count_of(active, "department", of="user"))

    def of_member(self, user: "User") -> "DepartmentQuerySet":
        """The departments in which `user` holds any role."""
        return self.filter(memberships__user=user).distinct()

    def named(self, text: str) -> "DepartmentQuerySet":
        """The department of that name or slug, whatever the case."""
        return self.filter(Q(name__iexact=text) | Q(slug__iexact=text))


class UserQuerySet(models.QuerySet["User"]):
    """Reads of people."""

    def matching(self, text: str) -> "UserQuerySet":
        """People whose user name, full name or e-mail contains `text`."""
        text = text.strip()
        if not text:
            return self
        return self.filter(
            Q(username__icontains=text) | Q(full_name__icontains=text) | Q(email__icontains=text)
        )

    def named(self, username: str) -> "UserQuerySet":
        """The person of that user name, whatever its case. Uses the unique index."""
        return self.alias(folded=Lower("username")).filter(folded=Lower(models.Value(username)))

    def holding(self, role: str) -> "UserQuerySet":
        """People who hold `role` anywhere."""
        return self.filter(memberships__role=role).distinct()

    def filtered(self, *, q: str = "", role: str = "", state: str = "") -> "UserQuerySet":
        """People who match `q`, hold `role` and are "active" or "inactive", where given."""
        people = self.matching(q)
        if role:
            people = people.holding(role)
        if state:
            people = people.filter(is_active=state == "active")
        return people

    def administrators(self) -> "UserQuerySet":
        """Who can manage accounts now."""
        return self.filter(is_active=True).holding(Role.ADMINISTRATOR)

    def administrators_since(self, moment: dt.datetime) -> "UserQuerySet":
        """Those, and whoever was put aside as an administrator after `moment`."""
        now = Q(is_active=True, memberships__role=Role.ADMINISTRATOR)
        return self.filter(now | Q(administrator_until__gt=moment)).distinct()

    def with_memberships(self) -> "UserQuerySet":
        """Fetch the roles with the people, for lists."""
        return self.prefetch_related("memberships__department")


class UserManager(DjangoUserManager.from_queryset(UserQuerySet)):  # type: ignore[misc]  # a base made at run time
    """Django's own manager, signing people in whatever the case of their user name."""

    use_in_migrations = False  # migrations import no app code

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the person who signs in as `username`."""
        person: User = self.named(username or "").get()
        return person


class PasswordLinkQuerySet(models.QuerySet["PasswordLink"]):
    """Reads of set-password links."""

    def of_secret(self, *, user: "User", digest: str) -> "PasswordLinkQuerySet":
        """A person's unused links with that secret; first what somebody else answers for."""
        found = self.filter(user=user, digest=digest, redeemed_at__isnull=True)
        return found.order_by(models.F("issued_by").asc(nulls_last=True), "-issued_at")


class AccountNoticeQuerySet(models.QuerySet["AccountNotice"]):
    """Reads of what people are told about their accounts."""

    def unseen(self) -> "AccountNoticeQuerySet":
        """What the person hasn't acknowledged."""
        return self.filter(seen_at__isnull=True)

    def with_names(self) -> "AccountNoticeQuerySet":
        """Fetch who did it with each."""
        return self.select_related("by")


class RoleProposalQuerySet(models.QuerySet["RoleProposal"]):
    """Reads of proposed roles."""

    def visible_to(self, user: "User") -> "RoleProposalQuerySet":
        """All of them for those who manage accounts."""
        return self if user.has_verb(Verb.ACCOUNT_MANAGE) else self.none()

    def waiting(self) -> "RoleProposalQuerySet":
        """Those that somebody can still decide."""
        return self.filter(state=ProposalState.WAITING, expires_at__gt=timezone.now())

    def with_names(self) -> "RoleProposalQuerySet":
        """Fetch the people and the department with each."""
        return self.select_related("user", "department", "proposed_by", "proposed_through")


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Reads of API tokens."""

    def usable(self) -> "ApiTokenQuerySet":
        """Tokens that still open the door: not revoked, not expired, owner active."""
        return self.filter(
            revoked_at__isnull=True, expires_at__gt=timezone.now(), user__is_active=True
        )

    def visible_to(self, user: "User") -> "ApiTokenQuerySet":
        """One's own tokens; everyone's for those who manage accounts."""
        if user.has_verb(Verb.ACCOUNT_MANAGE):
            return self
        return self.filter(user=user)


class KeptAnswerQuerySet(models.QuerySet["KeptAnswer"]):
    """Reads of answers that are kept for whoever sends the same again."""

    def of_key(self, *, user: "User", key: str) -> "KeptAnswerQuerySet":
        """What a caller sent with a key, by its hash."""
        return self.filter(user=user, key=key)

    def older_than(self, age: dt.timedelta) -> "KeptAnswerQuerySet":
        """Those that came longer ago."""
        return self.filter(created_at__lt=timezone.now() - age)


class UserSessionQuerySet(models.QuerySet["UserSession"]):
    """Reads of sessions."""

    def open(self) -> "UserSessionQuerySet":
        """Sessions that have not ended."""
        return self.filter(ended_at__isnull=True)

    def idle_or_too_old(self, *, idle: dt.timedelta, oldest: dt.timedelta) -> "UserSessionQuerySet":
        """Open sessions in which nobody has worked for `idle`, or that are older than `oldest`."""
        now = timezone.now()
        return self.open().filter(Q(last_seen_at__lte=now - idle) | Q(created_at__lte=now - oldest))


class AuditEventQuerySet(models.QuerySet["AuditEvent"]):
    """The audit trail: appended to in one place, and read."""

    def append(self, events: Iterable["AuditEvent"]) -> None:
        """Write events that were prepared; `accounts.audit` alone calls this.

        The database's own function does it, and says when each was written: the product has no
        right to insert, change or remove rows of the trail.
        """
        events = list(events)
        sent = json.dumps([_as_sent(event) for event in events], cls=DjangoJSONEncoder)
        with connections[self.db].cursor() as cursor:
            cursor.execute("SELECT * FROM append_audit_events(%s)", [sent])
            written = cursor.fetchall()
        for event, (pk, occurred_at, database_user) in zip(events, written, strict=True):
            event.pk, event.occurred_at, event.database_user = pk, occurred_at, database_user
            event._state.adding, event._state.db = False, self.db

    def visible_to(self, user: "User") -> "AuditEventQuerySet":
        """The whole trail for those who may read it, nothing for the others."""
        return self if user.has_verb(Verb.AUDIT_VIEW) else self.none()

    def filtered(
        self,
        *,
        q: str = "",
        actor: UUID | None = None,
        action: str = "",
        outcome: str = "",
        study: UUID | None = None,
        patient: UUID | None = None,
        searched: Sequence[str] = (),
        since: dt.date | None = None,
        until: dt.date | None = None,
        after: dt.datetime | None = None,
        among: Collection[str] = (),
        besides: Collection[str] = (),
        about: Sequence["Subject"] | None = None,
    ) -> "AuditEventQuerySet":
        """Events that pass every filter that is set; `since` and `until` are whole days.

        `searched` are hashes of terms, all of which were searched for; `among` and `besides` are
        actions; `about` are subjects, of which an event must be about one.
        """
        wanted: dict[str, Any] = {
            "actor_id": actor,
            "action": action,
            "outcome": outcome,
            "study_id": study,
            "patient_id": patient,
            "occurred_at__gte": _midnight(since) if since else None,
            "occurred_at__lt": _midnight(until + dt.timedelta(days=1)) if until else None,
        }
        chosen = {field: value for field, value in wanted.items() if value not in (None, "")}
        if after:
            chosen["occurred_at__gt"] = after
        if among:
            chosen["action__in"] = among
        found = self.filter(**chosen).exclude(action__in=besides).matching(q)
        if about is not None:
            found = found.about(about)
        # "Not empty" lets the database use its index of searches alone.
        return found.exclude(searched=[]).filter(searched__contains=searched) if searched else found

    def matching(self, text: str) -> "AuditEventQuerySet":
        """Events whose actor's name or target id contains `text`."""
        text = text.strip()
        if not text:
            return self
        return self.filter(Q(actor_name__icontains=text) | Q(target_id__icontains=text))

    def about(self, subjects: Iterable["Subject"]) -> "AuditEventQuerySet":
        """Events of any of the subjects: what people did or had done to them, what studies and
        patients went through. Nothing, where there is no subject.
        """
        found = Q(pk__in=[])
        for subject in subjects:
            if subject.people:
                names = [str(pk) for pk in subject.people]
                found |= Q(actor_id__in=subject.people) | Q(target_id__in=names)
            if subject.patients:
                found |= Q(patient_id__in=subject.patients)
            if subject.studies:
                found |= Q(study_id__in=subject.studies)
        return self.filter(found)

    def recent_access(
        self, like: "AuditEvent", *, window: dt.timedelta, is_of_any_study: bool = False
    ) -> "AuditEventQuerySet":
        """The same look as the event `like`, which isn't written, within `window`.

        The index on target, action and time finds it, before any other column is asked.
        """
        same = ("actor_id", "session_id", "token_id", "source_address", "view")
        found = self.filter(
            target_id=like.target_id,
            action=like.action,
            occurred_at__gte=timezone.now() - window,
            **_equal_or_null(like, same),
        )
        return found if is_of_any_study else found.filter(**_equal_or_null(like, ("study_id",)))

    def about_study(self, study_id: UUID | str) -> "AuditEventQuerySet":
        """Everything that happened to one study, oldest first."""
        return self.filter(study_id=study_id).order_by("id")


class ReadTallyQuerySet(models.QuerySet["ReadTally"]):
    """The sums of what left by the minute, until they are told."""

    def add(
        self,
        *,
        key: str,
        minute: dt.datetime,
        stamp: dict[str, Any],
        answers: int,
        frames: int,
        size: int,
    ) -> bool:
        """Add to a sum, and tell whether it is a new one.

        One statement, so that two who add at once both count, and that a row which is being told
        isn't added to but begun again.
        """
        with connections[self.db].cursor() as cursor:
            values: list[Any] = [key, minute, json.dumps(stamp), answers, frames, size]
            cursor.execute(ADD_TO_TALLY, values)
            (is_new,) = cursor.fetchone()
        return bool(is_new)


SET_BY_DATABASE = frozenset({"id", "occurred_at", "database_user"})


def _as_sent(event: "AuditEvent") -> dict[str, Any]:
    fields = (field.attname for field in event._meta.concrete_fields)
    return {name: getattr(event, name) for name in fields if name not in SET_BY_DATABASE}


def _midnight(day: dt.date) -> dt.datetime:
    return timezone.make_aware(dt.datetime.combine(day, dt.time.min))


def _equal_or_null(like: "AuditEvent", names: Iterable[str]) -> dict[str, Any]:
    """Conditions that columns are as in `like`; a null is looked for as one."""
    values = {name: getattr(like, name) for name in names}
    return {
        (f"{name}__isnull" if value is None else name): (True if value is None else value)
        for name, value in values.items()
    }
