"""Rules by which images find their department, and what others are told of a refused file."""

import django.db.models.deletion
import records.models.nodes
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0012_department_issuer_token_bound'),
        ('records', '0017_instance_description'),
    ]

    operations = [
        migrations.AddField(
            model_name='submission',
            name='is_routed',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='submissionfile',
            name='held_in',
            field=models.ForeignKey(editable=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.department'),
        ),
        migrations.CreateModel(
            name='DepartmentRule',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('position', models.PositiveSmallIntegerField(default=100)),
                ('modality', models.CharField(blank=True, max_length=16)),
                ('body_part', models.CharField(blank=True, max_length=16)),
                ('ae_title', models.CharField(blank=True, max_length=16, validators=[records.models.nodes.validate_ae_title], verbose_name='AE title')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('department', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='routing_rules', to='accounts.department')),
            ],
            options={
                'ordering': ('position', 'modality', 'body_part', 'ae_title', 'id'),
                'constraints': [models.CheckConstraint(condition=models.Q(('ae_title', ''), ('body_part', ''), ('modality', ''), _negated=True), name='department_rule_says_something'), models.UniqueConstraint(fields=('department', 'modality', 'body_part', 'ae_title'), name='department_rule_unique')],
            },
        ),
    ]
