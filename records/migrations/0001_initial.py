"""Patients, studies, series, instances, and what was submitted."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
import records.models.imaging
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Series',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('series_instance_uid', models.CharField(max_length=64, unique=True)),
                ('series_number', models.IntegerField(blank=True, null=True)),
                ('modality', models.CharField(blank=True, max_length=16)),
                ('body_part_examined', models.CharField(blank=True, max_length=64)),
                ('description', models.CharField(blank=True, max_length=64)),
                ('laterality', models.CharField(blank=True, max_length=16)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'verbose_name_plural': 'series',
                'ordering': ('series_number', 'created_at', 'id'),
            },
        ),
        migrations.CreateModel(
            name='Patient',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('mrn', models.CharField(max_length=64, verbose_name='patient ID')),
                ('issuer', models.CharField(blank=True, max_length=64, verbose_name='issuer of patient ID')),
                ('name', models.CharField(blank=True, max_length=324)),
                ('birth_date', models.DateField(blank=True, null=True)),
                ('sex', models.CharField(blank=True, choices=[('F', 'Female'), ('M', 'Male'), ('O', 'Other'), ('', 'Not stated')], default='', max_length=1)),
                ('is_identified', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ('name', 'id'),
                'indexes': [models.Index(fields=['name', 'id'], name='patient_name')],
                'constraints': [models.UniqueConstraint(fields=('mrn', 'issuer'), name='patient_mrn_issuer_unique'), models.CheckConstraint(condition=models.Q(('mrn', ''), _negated=True), name='patient_mrn_not_empty')],
            },
        ),
        migrations.CreateModel(
            name='Instance',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('sop_instance_uid', models.CharField(max_length=64, unique=True)),
                ('sop_class_uid', models.CharField(max_length=64)),
                ('transfer_syntax_uid', models.CharField(max_length=64)),
                ('sha256', models.CharField(db_index=True, max_length=64)),
                ('source_sha256', models.CharField(db_index=True, max_length=64)),
                ('source_format', models.CharField(default='dicom', max_length=10)),
                ('file', models.FileField(max_length=200, storage=records.models.imaging.image_storage, upload_to='')),
                ('size_bytes', models.PositiveBigIntegerField()),
                ('instance_number', models.IntegerField(blank=True, null=True)),
                ('rows', models.PositiveIntegerField(blank=True, null=True)),
                ('columns', models.PositiveIntegerField(blank=True, null=True)),
                ('number_of_frames', models.PositiveIntegerField(default=0)),
                ('bits_stored', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('photometric_interpretation', models.CharField(blank=True, max_length=16)),
                ('view_position', models.CharField(blank=True, max_length=16)),
                ('slice_position', models.FloatField(blank=True, null=True)),
                ('window_center', models.FloatField(blank=True, null=True)),
                ('window_width', models.FloatField(blank=True, null=True)),
                ('exclusion', models.CharField(blank=True, max_length=40)),
                ('exclusion_reason', models.CharField(blank=True, max_length=300)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('series', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='instances', to='records.series')),
            ],
            options={
                'ordering': ('slice_position', 'instance_number', 'created_at', 'id'),
            },
        ),
        migrations.CreateModel(
            name='Study',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('study_instance_uid', models.CharField(max_length=64, unique=True)),
                ('accession_number', models.CharField(blank=True, max_length=64)),
                ('description', models.CharField(blank=True, max_length=64)),
                ('body_part', models.CharField(blank=True, max_length=64)),
                ('modalities', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=16), default=list, size=None)),
                ('study_date', models.DateField(blank=True, null=True)),
                ('study_time', models.TimeField(blank=True, null=True)),
                ('priority', models.CharField(choices=[('routine', 'Routine'), ('urgent', 'Urgent')], default='routine', max_length=10)),
                ('state', models.CharField(choices=[('open', 'Receiving'), ('complete', 'Complete')], default='open', max_length=10)),
                ('instance_count', models.PositiveIntegerField(default=0)),
                ('received_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('completed_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='studies_received', to=settings.AUTH_USER_MODEL)),
                ('department', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='studies', to='accounts.department')),
                ('patient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='studies', to='records.patient')),
            ],
            options={
                'verbose_name_plural': 'studies',
                'ordering': ('-received_at', '-id'),
            },
        ),
        migrations.AddField(
            model_name='series',
            name='study',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='series', to='records.study'),
        ),
        migrations.CreateModel(
            name='Submission',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('origin', models.CharField(choices=[('web', 'Upload page'), ('api', 'API'), ('samples', 'Sample data')], max_length=10)),
                ('priority', models.CharField(choices=[('routine', 'Routine'), ('urgent', 'Urgent')], default='routine', max_length=10)),
                ('declared', models.JSONField(default=dict)),
                ('state', models.CharField(choices=[('receiving', 'Receiving'), ('stored', 'Stored'), ('partly_stored', 'Partly stored'), ('rejected', 'Rejected')], default='receiving', max_length=15)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('touched_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='submissions', to=settings.AUTH_USER_MODEL)),
                ('department', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='submissions', to='accounts.department')),
            ],
            options={
                'ordering': ('-created_at', '-id'),
            },
        ),
        migrations.CreateModel(
            name='SubmissionFile',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=255)),
                ('size_bytes', models.PositiveBigIntegerField(default=0)),
                ('sha256', models.CharField(blank=True, max_length=64)),
                ('verdict', models.CharField(choices=[('stored', 'Stored'), ('duplicate', 'Already held'), ('rejected', 'Rejected')], max_length=10)),
                ('code', models.CharField(max_length=40)),
                ('message', models.CharField(max_length=400)),
                ('action', models.CharField(blank=True, max_length=400)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('instance', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='submission_files', to='records.instance')),
                ('study', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='submission_files', to='records.study')),
                ('submission', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='files', to='records.submission')),
            ],
            options={
                'ordering': ('created_at', 'id'),
            },
        ),
        migrations.AddIndex(
            model_name='study',
            index=models.Index(fields=['-received_at', '-id'], name='study_received'),
        ),
        migrations.AddIndex(
            model_name='study',
            index=models.Index(fields=['department', '-received_at', '-id'], name='study_department'),
        ),
        migrations.AddIndex(
            model_name='study',
            index=models.Index(fields=['accession_number'], name='study_accession'),
        ),
        migrations.AddIndex(
            model_name='submission',
            index=models.Index(fields=['created_by', '-created_at'], name='submission_sender'),
        ),
        migrations.AddIndex(
            model_name='submission',
            index=models.Index(fields=['state', 'touched_at'], name='submission_state'),
        ),
    ]
