"""People come, change roles, leave and return; nobody is ever deleted."""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.audit import people_behind, record_event
from accounts.choices import Action, NoticeKind, SessionEnd
from accounts.errors import LastAdministrator, UsernameTaken
from accounts.models import Membership, User, UserSession
from accounts.roles import DEPARTMENT_ROLES, ROLES_FOR_TWO, Role
from accounts.services.grants import Grant, Granting, grant_roles, refuse_own_role
from accounts.services.notices import tell_person
from accounts.services.passwords import password_link_path
from accounts.services.sessions import close_sessions
from accounts.services.tokens import revoke_tokens_of

CHANGES = {"full_name": "name", "email": "e-mail", "roles": "roles"}
"""What can change about a person, in the words of the audit trail."""


@transaction.atomic
def invite_user(
    *,
    actor: User | None,
    username: str,
    full_name: str,
    email: str,
    memberships: Sequence[Grant] = (),
) -> tuple[User, str]:
    """Open an account without a password; return it with the path of its set-password link.

    Roles that show patients wait for a second administrator where there is one.
    Raises UsernameTaken, RoleNeedsDepartment, OwnClinicalRole.
    """
    user = User(username=User.normalize_username(username.strip()), full_name=full_name.strip())
    if User.objects.named(user.username).exists():
        raise UsernameTaken(username=user.username)
    user.email = User.objects.normalize_email(email)
    user.email_set_by = actor if user.email else None
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:  # somebody else took the name in this very moment
        raise UsernameTaken(username=user.username) from error
    granting = grant_roles(actor=actor, user=user, grants=memberships)
    record_event(
        action=Action.USER_INVITED,
        actor=actor,
        target=user,
        details={
            "username": user.username,
            "roles": _roles_in_words(user),
            **granting.as_details(),
        },
    )
    return user, password_link_path(user, issued_by=actor)


@transaction.atomic
def update_user(
    *,
    actor: User | None,
    user: User,
    full_name: str,
    email: str,
    memberships: Sequence[Grant],
) -> User:
    """Give a person another name, e-mail address or roles. Nothing changed, nothing recorded.

    Roles go at once; those that show patients come when a second administrator accepts them,
    where there is one. Raises LastAdministrator, RoleNeedsDepartment, OwnClinicalRole.
    """
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if not any(role == Role.ADMINISTRATOR for role, _ in memberships):
        _keep_an_administrator(without=user)
    former_roles, former_email = _roles_in_words(user), user.email
    changed = _update_fields(
        user, full_name=full_name.strip(), email=User.objects.normalize_email(email)
    )
    if "email" in changed:
        _note_address(actor=actor, user=user, memberships=memberships, former_email=former_email)
    details: dict[str, Any] = {"username": user.username}
    granting, is_changed = _replace_memberships(actor, user, memberships)
    if is_changed:
        changed.append("roles")
        details |= {"old_roles": former_roles, "roles": _roles_in_words(user)}
        tell_person(user=user, kind=NoticeKind.ROLES_CHANGED, by=actor)
    details |= granting.as_details()
    if changed:
        details["changed"] = [CHANGES[name] for name in changed]
        record_event(action=Action.USER_UPDATED, actor=actor, target=user, details=details)
    elif granting.proposed:
        record_event(action=Action.ROLE_PROPOSED, actor=actor, target=user, details=details)
    return user


@transaction.atomic
def deactivate_user(*, actor: User | None, user: User) -> User:
    """Shut a person out at once: sign-in, sessions, links and tokens end. The name stays taken.

    Raises LastAdministrator. Deactivating twice changes and records nothing.
    """
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if not user.is_active:
        return user
    _keep_an_administrator(without=user)
    user.is_active = False
    user.session_generation += 1
    user.save(update_fields=["is_active", "session_generation"])
    if user.memberships.filter(role=Role.ADMINISTRATOR).exists():
        _note_put_aside(actor=actor, user=user)
    ended = close_sessions(UserSession.objects.filter(user=user), reason=SessionEnd.DEACTIVATED)
    revoked = revoke_tokens_of(user)
    record_event(
        action=Action.USER_DEACTIVATED,
        actor=actor,
        target=user,
        details={
            "username": user.username,
            "tokens_revoked": revoked,
            "sessions_ended": len(ended),
        },
    )
    tell_person(user=user, kind=NoticeKind.DEACTIVATED, by=actor)
    return user


@transaction.atomic
def reactivate_user(*, actor: User | None, user: User) -> User:
    """Let a person in again, with the same password and roles; former tokens stay revoked.

    Roles that show patients wait for a second administrator, as if they were granted anew.
    Raises OwnClinicalRole.
    """
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if user.is_active:
        return user
    user.is_active = True
    user.save(update_fields=["is_active"])
    held = user.memberships.filter(role__in=ROLES_FOR_TWO).select_related("department")
    grants: list[Grant] = [(row.role, row.department) for row in held]
    held.delete()
    granting = grant_roles(actor=actor, user=user, grants=grants)
    record_event(
        action=Action.USER_REACTIVATED,
        actor=actor,
        target=user,
        details={"username": user.username, **granting.as_details()},
    )
    tell_person(user=user, kind=NoticeKind.REACTIVATED, by=actor)
    return user


def _note_put_aside(*, actor: User | None, user: User) -> None:
    """Remember that somebody else ended an administrator: they count as a second one for a while.

    Those who give the role up themselves don't.
    """
    if actor is not None and people_behind(actor) != {user.pk}:
        user.administrator_until = timezone.now()
        user.save(update_fields=["administrator_until"])


def _note_address(
    *, actor: User | None, user: User, memberships: Sequence[Grant], former_email: str
) -> None:
    """Remember who chose the address that links are mailed to, and tell its owner.

    Raises OwnClinicalRole where an administrator takes over an account that sees patients.
    """
    kept = {role for role, _ in memberships} & set(user.memberships.values_list("role", flat=True))
    refuse_own_role(actor=actor, user=user, roles=kept & DEPARTMENT_ROLES)
    user.email_set_by = actor if actor is not None and actor.pk != user.pk else None
    user.save(update_fields=["email_set_by"])
    tell_person(user=user, kind=NoticeKind.EMAIL_CHANGED, by=actor, former_email=former_email)


def _keep_an_administrator(*, without: User) -> None:
    """Refuse when nobody but `without` could manage accounts.

    The lock makes two administrators who deactivate each other take turns; the count is a
    query of its own, so that the second one sees what the first one did.
    """
    administrators = Membership.objects.filter(role=Role.ADMINISTRATOR)
    held = list(administrators.select_for_update(of=("self",)).order_by("id"))
    if not any(membership.user_id == without.pk for membership in held):
        return
    others = administrators.filter(user__is_active=True).exclude(user=without)
    if without.is_active and not others.exists():
        raise LastAdministrator


def _update_fields(user: User, **values: str) -> list[str]:
    changed = [name for name, value in values.items() if getattr(user, name) != value]
    for name in changed:
        setattr(user, name, values[name])
    if changed:
        user.save(update_fields=changed)
    return changed


def _replace_memberships(
    actor: User | None, user: User, memberships: Sequence[Grant]
) -> tuple[Granting, bool]:
    """Take roles away and give others; return what became of those, and whether any changed."""
    wanted = {(role, department.pk if department else None) for role, department in memberships}
    held = {(row.role, row.department_id): row for row in user.memberships.all()}
    surplus = [row.pk for grant, row in held.items() if grant not in wanted]
    missing = [
        (role, department)
        for role, department in memberships
        if (role, department.pk if department else None) not in held
    ]
    user.memberships.filter(pk__in=surplus).delete()
    user.__dict__.pop("memberships_held", None)
    if (Role.ADMINISTRATOR, None) in held.keys() - wanted:
        _note_put_aside(actor=actor, user=user)
    granting = grant_roles(actor=actor, user=user, grants=missing)
    return granting, bool(surplus or granting.granted)


def _roles_in_words(user: User) -> list[str]:
    return [str(membership) for membership in user.memberships.select_related("department")]
