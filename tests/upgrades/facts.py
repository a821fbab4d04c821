"""What is told by a database of any release: asked before an upgrade, and again after it."""

import contextlib
from pathlib import Path
from typing import Any

import psycopg2

from medimaging import addresses

ANSWERS = """
SELECT s.study_instance_uid, c.task, c.state, c.model_digest, c.probabilities,
       coalesce((SELECT jsonb_agg(jsonb_build_array(r.decision, r.label, r.reason, r.comment)
                                  ORDER BY r.created_at)
                   FROM classifier_review r WHERE r.classification_id = c.id), '[]')
  FROM classifier_classification c JOIN records_study s ON s.id = c.study_id
 ORDER BY s.study_instance_uid, c.task, c.queued_at, c.id
"""
"""Each answer with the conclusions on it, by columns that every release has."""

FILES = "SELECT sha256 || ' ' || file FROM records_instance ORDER BY 1"
CONTENT_COUNTS = "django_migrations", "django_content_type", "auth_permission", "django_session"
"""Tables that an upgrade itself writes to, or that hold nothing that lasts."""


def ask(cursor: Any, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
    """All rows of one statement."""
    cursor.execute(statement, arguments)
    return [*cursor.fetchall()]


@contextlib.contextmanager
def superuser(data_dir: Path) -> Any:
    """A cursor of whoever owns the cluster, in every release."""
    host = str(addresses.postgres_socket_dir(data_dir))
    connection = psycopg2.connect(host=host, user=addresses.SUPERUSER, dbname=addresses.DATABASE)
    with contextlib.closing(connection), connection, connection.cursor() as cursor:
        yield cursor


def gather(cursor: Any, *, audit_columns: list[str] | None = None, last_event: int | None = None):
    """Rows of each table, every answer and conclusion, and the trail's own digest.

    A later release asks with the columns and the last event of the former one: what it appended
    itself, and in which columns, doesn't count.
    """
    tables = ask(
        cursor,
        "SELECT relname FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace = 'public'::regnamespace ORDER BY 1",
    )
    names = [name for (name,) in tables if name not in CONTENT_COUNTS]
    counts = {name: ask(cursor, f'SELECT count(*) FROM "{name}"')[0][0] for name in names}
    if audit_columns is None:
        found = ask(
            cursor,
            "SELECT attname FROM pg_attribute WHERE attrelid = 'accounts_auditevent'::regclass "
            "AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        )
        audit_columns = [name for (name,) in found]
    if last_event is None:
        last_event = ask(cursor, "SELECT max(id) FROM accounts_auditevent")[0][0]
    columns = ", ".join(audit_columns)
    ((events, digest),) = ask(
        cursor,
        f"SELECT count(*), md5(string_agg(e::text, '|' ORDER BY id)) "
        f"FROM (SELECT {columns} FROM accounts_auditevent WHERE id <= %s) AS e",
        last_event,
    )
    return {
        "tables": counts,
        "answers": [list(row) for row in ask(cursor, ANSWERS)],
        "files": [name for (name,) in ask(cursor, FILES)],
        "audit": {
            "columns": audit_columns,
            "last_event": last_event,
            "events": events,
            "md5": digest,
        },
    }
