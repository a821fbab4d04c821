"""Who may do what in PostgreSQL: an owner who migrates, the app, and an auditor who reads.

None of the three is a superuser, and the app owns nothing: whatever it is made to send, it can't
change a table, switch a trigger off, run a program or touch what was appended to the trail.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from django.apps import apps
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from environ import Env
from psycopg2 import extensions, sql

HARMLESS = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"

AUDIT_TABLES = ("accounts_auditevent",)
"""Read by the app and the auditor; written by AUDIT_FUNCTIONS alone."""
AUDIT_FUNCTIONS = ("append_audit_events(jsonb)",)

READ_ONLY = ("django_migrations", "django_content_type", "auth_permission")
"""Written by `migrate` alone."""

DELETED_FROM = (
    "accounts.AccountMail",
    "accounts.AccountNotice",
    "accounts.Attempts",
    "accounts.KeptAnswer",
    "accounts.Membership",
    "accounts.ReadTally",
    "accounts.RecentSearch",
    "accounts.RefusalTally",
    "accounts.UserSession",
    "classifier.ReviewDraft",
    "records.DepartmentRule",
    "records.DicomNode",
    "records.InstanceDescription",
    "records.Patient",
    "records.UnreferencedFile",
    "records.Upload",
    "records.Upload_files",
    "sessions.Session",
)
"""Models whose rows the product really removes; of all others it never does."""

OWNED = """
SELECT format('ALTER %%s %%s OWNER TO %%I', kind, name, %(owner)s) FROM (
    SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind,
           oid::regclass::text AS name, oid, 'pg_class'::regclass AS class, relowner AS owned_by
      FROM pg_class c
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S', 'v')
       AND NOT EXISTS (  -- the sequence of a column goes with its table
           SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')
              AND c.relkind = 'S')
    UNION ALL
    SELECT CASE prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
           oid::regprocedure::text, oid, 'pg_proc'::regclass, proowner
      FROM pg_proc WHERE pronamespace = 'public'::regnamespace
) AS found
WHERE owned_by <> %(owner)s::regrole
  AND NOT EXISTS (SELECT FROM pg_depend d
                   WHERE d.objid = found.oid AND d.classid = found.class AND d.deptype = 'e')
"""
"""Statements that hand over what is in the schema and belongs to no extension."""

APPEND_ONLY = """
SELECT tgrelid::regclass::text FROM pg_trigger
 WHERE tgfoid = 'refuse_change()'::regprocedure AND tgtype & 24 = 24
"""
"""Tables whose rows a trigger keeps from UPDATE (16) and DELETE (8)."""


@dataclass(frozen=True, slots=True)
class DatabaseRole:
    """A role by its name, and the password that it signs in with, where it needs one."""

    name: str
    password: str = ""

    @classmethod
    def of(cls, url: str) -> "DatabaseRole | None":
        """The role that an address names, if there is an address."""
        if not url:
            return None
        config = Env.db_url_config(url)
        return cls(config["USER"], config["PASSWORD"] or "")


def prepare_roles(
    connection: extensions.connection,
    *,
    owner: DatabaseRole,
    app: DatabaseRole,
    auditor: DatabaseRole | None,
) -> None:
    """Make the roles, and give the database in hand with all that is in it to the owner.

    Whoever connects has to be a superuser. Running it again changes nothing; an installation
    whose tables belonged to its superuser is carried over.
    """
    with connection, connection.cursor() as cursor:
        for role in filter(None, (owner, app, auditor)):
            _make_role(cursor, role)
        _hand_over(cursor, owner.name)
        cursor.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        for role in filter(None, (app, auditor)):
            name = sql.Identifier(role.name)
            _leave_groups(cursor, role.name)
            cursor.execute(sql.SQL("REVOKE ALL ON SCHEMA public FROM {}").format(name))
            cursor.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))
            cursor.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(_database(cursor), name)
            )


def grant_privileges(*, using: str) -> None:
    """Let app and auditor do what they need in the tables that there are, and nothing else.

    Called after every `migrate`, as the owner. Where the app's role owns the tables there is
    nobody to protect them from; `check --deploy` says so.
    """
    app, auditor = (DatabaseRole.of(url) for url in _addresses_of_others())
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute("SELECT current_user")
        (owner,) = cursor.fetchone()
        for role in filter(None, (app, auditor)):
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role.name])
            if role.name != owner and cursor.fetchone():
                _revoke_all(cursor, role.name)
                if role == app:
                    _grant_app(cursor, role.name)
                else:
                    _grant(cursor, "SELECT", AUDIT_TABLES, role.name)


def find_faults(*, using: str = "default") -> list[str]:
    """What the app's role may do that it must not, in words; nothing where all is well."""
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls "
            "FROM pg_roles WHERE rolname = current_user"
        )
        is_powerful = cursor.fetchone()[0]
        cursor.execute(
            "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = "
            "'public'::regnamespace AND pg_has_role(current_user, relowner, 'MEMBER')"
        )
        owned = cursor.fetchone()[0]
        cursor.execute(
            "SELECT DISTINCT c.relname FROM pg_class c, unnest(%s) AS wanted, unnest(array["
            "'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER', 'REFERENCES']) AS privilege "
            "WHERE c.oid = to_regclass('public.' || wanted) "
            "AND has_table_privilege(c.oid, privilege)",
            [list(AUDIT_TABLES)],
        )
        writable = [name for (name,) in cursor.fetchall()]
    faults = ["it is a superuser, or may make roles or databases"] if is_powerful else []
    faults += [f"it owns {owned} tables"] if owned else []
    return faults + [f"it may write to {name}" for name in writable]


def _addresses_of_others() -> tuple[str, str]:
    return settings.DATABASE_URL, settings.DATABASE_AUDITOR_URL


def _make_role(cursor: extensions.cursor, role: DatabaseRole) -> None:
    name = sql.Identifier(role.name)
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role.name])
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {}").format(name))
    cursor.execute(sql.SQL(f"ALTER ROLE {{}} {HARMLESS}").format(name))
    if role.password:
        # Encrypted here, so that it is in no log over there.
        secret = extensions.encrypt_password(
            role.password, role.name, scope=cursor.connection, algorithm="scram-sha-256"
        )
        cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD %s").format(name), [secret])


def _leave_groups(cursor: extensions.cursor, role: str) -> None:
    cursor.execute(
        "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole", [role]
    )
    for (group,) in cursor.fetchall():
        cursor.execute(sql.SQL(f"REVOKE {group} FROM {{}}").format(sql.Identifier(role)))


def _hand_over(cursor: extensions.cursor, owner: str) -> None:
    name, database = sql.Identifier(owner), _database(cursor)
    cursor.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, name))
    # Nobody else may make temporary tables: one called like the trail would stand before it.
    cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    cursor.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(name))
    cursor.execute(OWNED, {"owner": owner})
    for (statement,) in cursor.fetchall():
        cursor.execute(statement)


def _database(cursor: extensions.cursor) -> sql.Identifier:
    return sql.Identifier(cursor.connection.info.dbname)


def _revoke_all(cursor: CursorWrapper, role: str) -> None:
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        cursor.execute(f"REVOKE ALL ON ALL {kind} IN SCHEMA public FROM {_quoted(role)}, PUBLIC")


def _grant_app(cursor: CursorWrapper, role: str) -> None:
    cursor.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') "
        "AND relnamespace = 'public'::regnamespace"
    )
    tables = {name for (name,) in cursor.fetchall()}
    cursor.execute(APPEND_ONLY)
    append_only = {name for (name,) in cursor.fetchall()}
    _grant(cursor, "SELECT", tables, role)
    written = tables - {*AUDIT_TABLES, *READ_ONLY}
    _grant(cursor, "INSERT", written, role)
    _grant(cursor, "UPDATE", written - append_only, role)
    removable = {apps.get_model(label)._meta.db_table for label in DELETED_FROM}
    _grant(cursor, "DELETE", removable & written - append_only, role)
    for function in AUDIT_FUNCTIONS:
        cursor.execute("SELECT 1 WHERE to_regprocedure(%s) IS NOT NULL", [function])
        if cursor.fetchone():
            cursor.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {_quoted(role)}")


def _grant(cursor: CursorWrapper, privilege: str, tables: Iterable[str], role: str) -> None:
    for table in sorted(tables):
        cursor.execute(f"GRANT {privilege} ON {_quoted(table)} TO {_quoted(role)}")


def _quoted(name: str) -> str:
    return connections["default"].ops.quote_name(name)
