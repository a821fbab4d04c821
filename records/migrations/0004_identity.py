"""Whose an image is: conflicts and quarantine, names in all their ways of writing, ages, clocks."""

import re
import unicodedata

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
import records.models.imaging
import uuid
from django.conf import settings
from django.db import migrations, models


KANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
STROKED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "þ": "th", "æ": "ae", "œ": "oe"}
)


def fold_words(text):
    """As records.dicom.names.fold_words was when this was written."""
    lowered = unicodedata.normalize("NFKD", text).casefold().translate(STROKED)
    bare = "".join(
        char
        for char in unicodedata.normalize("NFKD", lowered)
        if not unicodedata.combining(char) and char != "\u0640"
    )
    folded = unicodedata.normalize("NFC", bare.translate(KANA))
    return re.sub(r"[\W_]+", " ", folded).strip()


def fill_search_names(apps, schema_editor):
    """Fold the names that are held already."""
    Patient = apps.get_model("records", "Patient")
    patients = Patient.objects.using(schema_editor.connection.alias)
    for patient in patients.exclude(name="").only("pk", "name").iterator(chunk_size=2000):
        patients.filter(pk=patient.pk).update(search_name=fold_words(patient.name))


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_intake_actions'),
        ('records', '0003_idle_studies'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ConflictDecision',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('resolution', models.CharField(choices=[('merge', 'Same person'), ('keep_apart', 'Another person'), ('correct', 'Corrected')], max_length=12)),
                ('reason', models.CharField(max_length=400)),
                ('before', models.JSONField(default=dict)),
                ('after', models.JSONField(default=dict)),
                ('decided_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('reversed_at', models.DateTimeField(null=True)),
            ],
            options={
                'ordering': ('decided_at', 'id'),
            },
        ),
        migrations.CreateModel(
            name='IdentityConflict',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('patient', 'Patient ID held for another person'), ('study', 'Study held for another patient')], max_length=10)),
                ('state', models.CharField(choices=[('open', 'Open'), ('resolved', 'Resolved')], default='open', max_length=10)),
                ('sent', models.JSONField()),
                ('differing', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=20), default=list, size=None)),
                ('raised_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'ordering': ('-raised_at', '-id'),
            },
        ),
        migrations.CreateModel(
            name='QuarantinedFile',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('reason', models.CharField(choices=[('uid_conflict', 'Other content under a held UID'), ('identity', 'Study held for another patient')], max_length=15)),
                ('state', models.CharField(choices=[('held', 'In quarantine'), ('filed', 'Filed into its study'), ('discarded', 'Discarded')], default='held', max_length=10)),
                ('sop_instance_uid', models.CharField(max_length=64)),
                ('series_instance_uid', models.CharField(max_length=64)),
                ('study_instance_uid', models.CharField(max_length=64)),
                ('sha256', models.CharField(max_length=64)),
                ('source_sha256', models.CharField(max_length=64)),
                ('source_format', models.CharField(max_length=10)),
                ('held_sha256', models.CharField(blank=True, max_length=64)),
                ('size_bytes', models.PositiveBigIntegerField()),
                ('number_of_frames', models.PositiveIntegerField(default=0)),
                ('file', models.FileField(blank=True, max_length=200, storage=records.models.imaging.image_storage, upload_to='')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ended_at', models.DateTimeField(null=True)),
                ('ended_reason', models.CharField(blank=True, max_length=400)),
            ],
            options={
                'ordering': ('-created_at', '-id'),
            },
        ),
        migrations.RemoveConstraint(
            model_name='patient',
            name='patient_mrn_issuer_unique',
        ),
        migrations.AddField(
            model_name='instance',
            name='is_withheld',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='instance',
            name='undecoded',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='patient',
            name='ideographic_name',
            field=models.CharField(blank=True, max_length=324),
        ),
        migrations.AddField(
            model_name='patient',
            name='merged_into',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='aliases', to='records.patient'),
        ),
        migrations.AddField(
            model_name='patient',
            name='phonetic_name',
            field=models.CharField(blank=True, max_length=324),
        ),
        migrations.AddField(
            model_name='patient',
            name='qualifier',
            field=models.CharField(blank=True, max_length=16),
        ),
        migrations.AddField(
            model_name='patient',
            name='search_name',
            field=models.TextField(blank=True, editable=False),
        ),
        migrations.AddField(
            model_name='study',
            name='is_in_question',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='study',
            name='stated_age',
            field=models.CharField(blank=True, max_length=4),
        ),
        migrations.AddField(
            model_name='study',
            name='named',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='study',
            name='utc_offset',
            field=models.CharField(blank=True, max_length=5),
        ),
        migrations.AddConstraint(
            model_name='patient',
            constraint=models.UniqueConstraint(fields=('mrn', 'issuer', 'qualifier'), name='patient_mrn_issuer_unique'),
        ),
        migrations.AddConstraint(
            model_name='patient',
            constraint=models.CheckConstraint(condition=models.Q(('merged_into', models.F('id')), _negated=True), name='patient_not_own_alias'),
        ),
        migrations.AddField(
            model_name='conflictdecision',
            name='decided_by',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='conflictdecision',
            name='reversed_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='identityconflict',
            name='department',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='conflicts', to='accounts.department'),
        ),
        migrations.AddField(
            model_name='identityconflict',
            name='held_patient',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='conflicts_as_held', to='records.patient'),
        ),
        migrations.AddField(
            model_name='identityconflict',
            name='sent_patient',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='conflicts_as_sent', to='records.patient'),
        ),
        migrations.AddField(
            model_name='identityconflict',
            name='study',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='conflicts', to='records.study'),
        ),
        migrations.AddField(
            model_name='conflictdecision',
            name='conflict',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='decisions', to='records.identityconflict'),
        ),
        migrations.AddField(
            model_name='quarantinedfile',
            name='conflict',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='files', to='records.identityconflict'),
        ),
        migrations.AddField(
            model_name='quarantinedfile',
            name='ended_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='quarantinedfile',
            name='instance',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='quarantined_files', to='records.instance'),
        ),
        migrations.AddField(
            model_name='quarantinedfile',
            name='submission',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='quarantined_files', to='records.submission'),
        ),
        migrations.AddField(
            model_name='quarantinedfile',
            name='verdict',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='quarantined_files', to='records.submissionfile'),
        ),
        migrations.AddIndex(
            model_name='identityconflict',
            index=models.Index(fields=['state', 'department', '-raised_at'], name='conflict_queue'),
        ),
        migrations.AddConstraint(
            model_name='identityconflict',
            constraint=models.UniqueConstraint(condition=models.Q(('sent_patient__isnull', False)), fields=('sent_patient',), name='conflict_of_patient_unique'),
        ),
        migrations.AddConstraint(
            model_name='identityconflict',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'study')), fields=('study', 'sent'), name='conflict_of_study_unique'),
        ),
        migrations.AddConstraint(
            model_name='conflictdecision',
            constraint=models.UniqueConstraint(condition=models.Q(('reversed_at__isnull', True)), fields=('conflict',), name='one_decision_stands'),
        ),
        migrations.AddIndex(
            model_name='quarantinedfile',
            index=models.Index(fields=['state', '-created_at', '-id'], name='quarantine_state'),
        ),
        migrations.AddIndex(
            model_name='quarantinedfile',
            index=models.Index(fields=['sha256'], name='quarantine_sha256'),
        ),
        migrations.AddConstraint(
            model_name='quarantinedfile',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'held')), fields=('sop_instance_uid', 'sha256'), name='quarantined_once'),
        ),
        migrations.RunPython(fill_search_names, migrations.RunPython.noop),
    ]
