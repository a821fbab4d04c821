"""When a classification last changed for who reads it: a worker's lease is no change."""

import django.db.models.functions.datetime
from django.db import migrations, models

TABLE = "classifier_classification"
UNSEEN = "'{lease_expires_at,rung_at,worker,fence}'::text[]"


class Migration(migrations.Migration):
    dependencies = [
        ("classifier", "0007_review_drafts"),
        ("records", "0019_updated_at"),
    ]

    operations = [
        migrations.AddField(
            model_name="classification",
            name="updated_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), editable=False
            ),
        ),
        migrations.RunSQL(
            sql=f"""
            CREATE TRIGGER change_is_noted_at_first BEFORE INSERT ON {TABLE}
                FOR EACH ROW EXECUTE FUNCTION note_change();
            CREATE TRIGGER change_is_noted BEFORE UPDATE ON {TABLE}
                FOR EACH ROW
                WHEN (to_jsonb(OLD) - {UNSEEN} IS DISTINCT FROM to_jsonb(NEW) - {UNSEEN})
                EXECUTE FUNCTION note_change();
            """,
            reverse_sql=f"""
            DROP TRIGGER change_is_noted ON {TABLE};
            DROP TRIGGER change_is_noted_at_first ON {TABLE};
            """,
        ),
    ]
