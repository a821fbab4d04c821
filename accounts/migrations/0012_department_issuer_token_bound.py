"""An issuer of patient IDs per department, and tokens that act in one department alone."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0011_append_audit_events'),
    ]

    operations = [
        migrations.AddField(
            model_name='apitoken',
            name='department',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.department'),
        ),
        migrations.AddField(
            model_name='department',
            name='default_issuer',
            field=models.CharField(blank=True, db_default='', default='', max_length=64, verbose_name='issuer of patient IDs'),
        ),
        migrations.AlterField(
            model_name='apitoken',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('study.view', 'study.view'), ('study.submit', 'study.submit'), ('study.rerun', 'study.rerun'), ('study.delete', 'study.delete'), ('study.move', 'study.move'), ('study.hold', 'study.hold'), ('study.export', 'study.export'), ('conflict.resolve', 'conflict.resolve'), ('quarantine.manage', 'quarantine.manage'), ('node.manage', 'node.manage'), ('node.confirm', 'node.confirm'), ('patient.view', 'patient.view'), ('review.create', 'review.create'), ('model.view', 'model.view'), ('model.deploy', 'model.deploy'), ('audit.view', 'audit.view'), ('audit.export', 'audit.export'), ('account.manage', 'account.manage'), ('token.own', 'token.own'), ('queue.view', 'queue.view')], max_length=30), size=None),
        ),
    ]
