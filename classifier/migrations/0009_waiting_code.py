"""What is in the way of a row that waits for no fault of its study's."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("classifier", "0008_updated_at")]

    operations = [
        migrations.AddField(
            model_name="classification",
            name="waiting_code",
            field=models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
    ]
