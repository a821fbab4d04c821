"""The queue is the table: when a row may be taken, by the clock of the database."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("classifier", "0009_waiting_code")]

    operations = [
        migrations.AddField(
            model_name="classification",
            name="due_at",
            field=models.DateTimeField(db_default=Now()),
        ),
        migrations.AlterField(
            model_name="classification",
            name="queued_at",
            field=models.DateTimeField(db_default=Now()),
        ),
        migrations.AlterField(
            model_name="classification",
            name="rung_at",
            field=models.DateTimeField(db_default=Now()),
        ),
    ]
