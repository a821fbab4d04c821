"""Which store is this database's, when a file was found whole again, and the hash of data sets."""

import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('records', '0021_export_waits'),
    ]

    operations = [
        migrations.AddField(
            model_name='instance',
            name='data_set_sha256',
            field=models.CharField(blank=True, db_default='', default='', max_length=64),
        ),
        migrations.AddField(
            model_name='instance',
            name='healed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='quarantinedfile',
            name='healed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='StoreIdentity',
            fields=[
                ('number', models.PositiveSmallIntegerField(default=1, editable=False, primary_key=True, serialize=False)),
                ('store_id', models.UUIDField(default=uuid.uuid4)),
                ('adopted_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name_plural': 'store identities',
                'constraints': [models.CheckConstraint(condition=models.Q(('number', 1)), name='store_identity_once')],
            },
        ),
    ]
