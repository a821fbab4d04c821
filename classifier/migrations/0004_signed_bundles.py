"""Who signed the bundle of a model version; none of them is trusted until it is registered anew."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("classifier", "0003_routing")]

    operations = [
        migrations.AddField(
            model_name="modelversion",
            name="signed_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=16),
        ),
    ]
