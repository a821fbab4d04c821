"""When a study, a submission and a patient last changed, as the database itself keeps it.

The trigger takes a transaction number before it reads the clock: whoever asks for changes can then
tell from `pg_stat_activity` which moments are settled, and misses no row that is committed late.
"""

import django.db.models.functions.datetime
from django.db import migrations, models

NOTE_CHANGE = """
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_current_xact_id();
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$$;
"""


def noted(table):
    """The statements that keep `updated_at` of a table."""
    return migrations.RunSQL(
        sql=f"""
        CREATE TRIGGER change_is_noted_at_first BEFORE INSERT ON {table}
            FOR EACH ROW EXECUTE FUNCTION note_change();
        CREATE TRIGGER change_is_noted BEFORE UPDATE ON {table}
            FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION note_change();
        """,
        reverse_sql=f"""
        DROP TRIGGER change_is_noted ON {table};
        DROP TRIGGER change_is_noted_at_first ON {table};
        """,
    )


def updated_at(model):
    """The column, for rows that are there already as of now."""
    return migrations.AddField(
        model_name=model,
        name="updated_at",
        field=models.DateTimeField(
            db_default=django.db.models.functions.datetime.Now(), editable=False
        ),
    )


class Migration(migrations.Migration):
    dependencies = [("records", "0018_department_rules")]

    operations = [
        updated_at("study"),
        updated_at("submission"),
        migrations.RunSQL(sql=NOTE_CHANGE, reverse_sql="DROP FUNCTION note_change();"),
        *(noted(f"records_{name}") for name in ("patient", "study", "submission")),
    ]
