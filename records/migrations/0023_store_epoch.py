"""The number that database and store are given alike, every few minutes."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('records', '0022_storage_outages'),
    ]

    operations = [
        migrations.AddField(
            model_name='storeidentity',
            name='epoch',
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
    ]
