"""People come, change roles, leave and return; nobody is ever deleted."""

from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction

from accounts.audit import record_event
from accounts.errors import LastAdministrator, RoleNeedsDepartment, UsernameTaken
from accounts.models import Action, Department, Membership, SessionEnd, User, UserSession
from accounts.roles import DEPARTMENT_ROLES, Role
from accounts.services.passwords import password_link_path
from accounts.services.sessions import close_sessions
from accounts.services.tokens import revoke_tokens_of

Grant = tuple[str, Department | None]
"""A role, and the department in which it is held (None for the whole hospital)."""

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

    Raises UsernameTaken, RoleNeedsDepartment.
    """
    user = User(username=User.normalize_username(username.strip()), full_name=full_name.strip())
    if User.objects.named(user.username).exists():
        raise UsernameTaken(username=user.username)
    user.email = User.objects.normalize_email(email)
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save(force_insert=True)
    except IntegrityError as error:  # somebody else took the name in this very moment
        raise UsernameTaken(username=user.username) from error
    _grant(user, memberships)
    record_event(
        action=Action.USER_INVITED,
        actor=actor,
        target=user,
        details={"username": user.username, "roles": _roles_in_words(user)},
    )
    return user, password_link_path(user)


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

    Raises LastAdministrator, RoleNeedsDepartment.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    if not any(role == Role.ADMINISTRATOR for role, _ in memberships):
        _keep_an_administrator(without=user)
    changed = _update_fields(
        user, full_name=full_name.strip(), email=User.objects.normalize_email(email)
    )
    former_roles = _roles_in_words(user)
    details: dict[str, Any] = {"username": user.username}
    if _replace_memberships(user, memberships):
        changed.append("roles")
        details |= {"old_roles": former_roles, "roles": _roles_in_words(user)}
    if changed:
        details["changed"] = [CHANGES[name] for name in changed]
        record_event(action=Action.USER_UPDATED, actor=actor, target=user, details=details)
    return user


@transaction.atomic
def deactivate_user(*, actor: User | None, user: User) -> User:
    """Shut a person out at once: sign-in, sessions, links and tokens end. The name stays taken.

    Raises LastAdministrator. Deactivating twice changes and records nothing.
    """
    user = User.objects.select_for_update().get(pk=user.pk)
    if not user.is_active:
        return user
    _keep_an_administrator(without=user)
    user.is_active = False
    user.session_generation += 1
    user.save(update_fields=["is_active", "session_generation"])
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
    return user


@transaction.atomic
def reactivate_user(*, actor: User | None, user: User) -> User:
    """Let a person in again, with the same password and roles; former tokens stay revoked."""
    user = User.objects.select_for_update().get(pk=user.pk)
    if user.is_active:
        return user
    user.is_active = True
    user.save(update_fields=["is_active"])
    record_event(
        action=Action.USER_REACTIVATED,
        actor=actor,
        target=user,
        details={"username": user.username},
    )
    return user


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


def _replace_memberships(user: User, memberships: Sequence[Grant]) -> bool:
    wanted = {(role, department.pk if department else None) for role, department in memberships}
    held = {(row.role, row.department_id): row for row in user.memberships.all()}
    surplus = [row.pk for grant, row in held.items() if grant not in wanted]
    missing = [
        (role, department)
        for role, department in memberships
        if (role, department.pk if department else None) not in held
    ]
    user.memberships.filter(pk__in=surplus).delete()
    _grant(user, missing)
    return bool(surplus or missing)


def _grant(user: User, memberships: Sequence[Grant]) -> None:
    for role, department in dict.fromkeys(memberships):
        if role in DEPARTMENT_ROLES and department is None:
            raise RoleNeedsDepartment(role=Role(role).label, requirement="needs a department")
        if role not in DEPARTMENT_ROLES and department is not None:
            raise RoleNeedsDepartment(
                role=Role(role).label, requirement="is held for the whole hospital"
            )
        Membership.objects.create(user=user, role=role, department=department)
    user.__dict__.pop("memberships_held", None)


def _roles_in_words(user: User) -> list[str]:
    return [str(membership) for membership in user.memberships.select_related("department")]
