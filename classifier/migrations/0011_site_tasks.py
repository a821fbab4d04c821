"""The tasks of a row are no longer part of a migration: a site's bundles bring more of them."""

from django.db import migrations, models

import classifier.models.classifications
import classifier.models.versions

TASKS = classifier.models.versions.list_task_choices
TASKS_OF_A_ROW = classifier.models.classifications.list_classification_tasks


class Migration(migrations.Migration):
    dependencies = [("classifier", "0010_due_at")]

    operations = [
        migrations.AlterField(
            model_name="classification",
            name="task",
            field=models.CharField(blank=True, choices=TASKS_OF_A_ROW, max_length=20),
        ),
        migrations.AlterField(
            model_name="deployment",
            name="task",
            field=models.CharField(choices=TASKS, max_length=20),
        ),
        migrations.AlterField(
            model_name="modelversion",
            name="task",
            field=models.CharField(choices=TASKS, max_length=20),
        ),
    ]
