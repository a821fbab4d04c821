"""The tasks of a row are no longer part of a migration: task files and bundles name them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("classifier", "0010_due_at")]

    operations = [
        migrations.AlterField(
            model_name="classification",
            name="task",
            field=models.CharField(blank=True, max_length=20),
        ),
        migrations.AlterField(
            model_name="deployment",
            name="task",
            field=models.CharField(max_length=20),
        ),
        migrations.AlterField(
            model_name="modelversion",
            name="task",
            field=models.CharField(max_length=20),
        ),
    ]
