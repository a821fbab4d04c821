"""An export that nobody has begun is told from one that is worked on."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("records", "0020_left_out")]

    operations = [
        migrations.AlterField(
            model_name="export",
            name="touched_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
