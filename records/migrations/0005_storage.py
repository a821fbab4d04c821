"""Deletion with a way back, legal holds, tombstones, and what the scrubber finds."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models

GUARD_TOMBSTONES = """
CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON records_studytombstone
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_table BEFORE TRUNCATE ON records_studytombstone
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
UNGUARD_TOMBSTONES = """
DROP TRIGGER append_only_table ON records_studytombstone;
DROP TRIGGER append_only_rows ON records_studytombstone;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_intake_actions'),
        ('records', '0004_identity'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='LegalHold',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('reason', models.CharField(max_length=400)),
                ('placed_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('lifted_at', models.DateTimeField(null=True)),
                ('lift_reason', models.CharField(blank=True, max_length=400)),
            ],
            options={
                'ordering': ('-placed_at', '-id'),
            },
        ),
        migrations.CreateModel(
            name='StudyTombstone',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('study_instance_uid', models.CharField(db_index=True, max_length=64)),
                ('instances', models.JSONField()),
                ('received_at', models.DateTimeField()),
                ('deleted_at', models.DateTimeField()),
                ('deletion_reason', models.CharField(max_length=400)),
                ('purged_at', models.DateTimeField()),
            ],
            options={
                'ordering': ('-purged_at', '-id'),
            },
        ),
        migrations.CreateModel(
            name='UnreferencedFile',
            fields=[
                ('name', models.CharField(max_length=200, primary_key=True, serialize=False)),
                ('size_bytes', models.PositiveBigIntegerField()),
                ('found_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('due_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'ordering': ('due_at', 'name'),
            },
        ),
        migrations.AddField(
            model_name='instance',
            name='checked_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='instance',
            name='damage',
            field=models.CharField(blank=True, choices=[('', 'Whole'), ('altered', 'Altered'), ('missing', 'Missing')], default='', max_length=10),
        ),
        migrations.AddField(
            model_name='study',
            name='deleted_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='study',
            name='deleted_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='studies_deleted', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='study',
            name='deletion_reason',
            field=models.CharField(blank=True, max_length=400),
        ),
        migrations.AddField(
            model_name='study',
            name='purged_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name='instance',
            index=models.Index(models.OrderBy(models.F('checked_at'), nulls_first=True), name='instance_checked'),
        ),
        migrations.AddIndex(
            model_name='instance',
            index=models.Index(condition=models.Q(('damage', ''), _negated=True), fields=['series'], name='instance_damaged'),
        ),
        migrations.AddIndex(
            model_name='instance',
            index=models.Index(fields=['file'], name='instance_file'),
        ),
        migrations.AddIndex(
            model_name='study',
            index=models.Index(condition=models.Q(('deleted_at__isnull', False), ('purged_at__isnull', True)), fields=['deleted_at'], name='study_deleted'),
        ),
        migrations.AddConstraint(
            model_name='study',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('deleted_at__isnull', True), ('deletion_reason', '')), models.Q(('deleted_at__isnull', False), models.Q(('deletion_reason', ''), _negated=True)), _connector='OR'), name='study_deleted_says_why'),
        ),
        migrations.AddConstraint(
            model_name='study',
            constraint=models.CheckConstraint(condition=models.Q(('purged_at__isnull', True), ('deleted_at__isnull', False), _connector='OR'), name='study_purged_was_deleted'),
        ),
        migrations.AddField(
            model_name='legalhold',
            name='lifted_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds_lifted', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='legalhold',
            name='placed_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='holds_placed', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='legalhold',
            name='study',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='records.study'),
        ),
        migrations.AddField(
            model_name='studytombstone',
            name='deleted_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='studytombstone',
            name='study',
            field=models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='tombstone', to='records.study'),
        ),
        migrations.AddConstraint(
            model_name='legalhold',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='legal_hold_says_why'),
        ),
        migrations.AddConstraint(
            model_name='legalhold',
            constraint=models.CheckConstraint(condition=models.Q(('lifted_at__isnull', True), models.Q(('lift_reason', ''), _negated=True), _connector='OR'), name='legal_hold_lifted_says_why'),
        ),
        migrations.RunSQL(GUARD_TOMBSTONES, UNGUARD_TOMBSTONES),
    ]
