"""What is in the way of a row that waits for no fault of its study's, and messages without paths.

A row that waits is tried again and again: that is no change for who reads it until what is in the
way is another thing or gone. What failed because its model couldn't be loaded said where on the
server that had been looked for.
"""

from django.db import migrations, models

TABLE = "classifier_classification"
# `due_at` comes with the next migration.
UNSEEN = "'{lease_expires_at,rung_at,due_at,worker,fence}'::text[]"
TRIED = "'{state,attempt,started_at}'::text[]"
ACTIVE = "('queued', 'running')"

NOTE_CHANGES = f"""
    CREATE TRIGGER change_is_noted BEFORE UPDATE ON {TABLE}
        FOR EACH ROW
        WHEN (to_jsonb(OLD) - {UNSEEN} IS DISTINCT FROM to_jsonb(NEW) - {UNSEEN})
        EXECUTE FUNCTION note_change();
"""
NOTE_CHANGES_BUT_TRIES = f"""
    CREATE TRIGGER change_is_noted BEFORE UPDATE ON {TABLE}
        FOR EACH ROW
        WHEN (
            to_jsonb(OLD) - {UNSEEN} IS DISTINCT FROM to_jsonb(NEW) - {UNSEEN}
            AND NOT (
                OLD.waiting_code <> ''
                AND OLD.state IN {ACTIVE} AND NEW.state IN {ACTIVE}
                AND to_jsonb(OLD) - {UNSEEN} - {TRIED} = to_jsonb(NEW) - {UNSEEN} - {TRIED}
            )
        )
        EXECUTE FUNCTION note_change();
"""
UNNOTE = f"DROP TRIGGER change_is_noted ON {TABLE};"

CUT_PATHS = """
    UPDATE classifier_classification SET failure_message = split_part(failure_message, ': ', 1) || '.'
        WHERE failure_code = 'bundle_unavailable' AND failure_message LIKE '%/%';
"""


class Migration(migrations.Migration):
    dependencies = [("classifier", "0008_updated_at")]

    operations = [
        migrations.AddField(
            model_name="classification",
            name="waiting_code",
            field=models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
        migrations.RunSQL(
            sql=UNNOTE + NOTE_CHANGES_BUT_TRIES,
            reverse_sql=UNNOTE + NOTE_CHANGES,
        ),
        migrations.RunSQL(sql=CUT_PATHS, reverse_sql=migrations.RunSQL.noop),
    ]
