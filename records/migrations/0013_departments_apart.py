"""Patients, studies, series and instances are known within a department: one UID or ID in each."""

import django.db.models.deletion
from django.db import migrations, models

# A record whose studies are several departments' stays theirs together, until it is divided.
FILL = """
UPDATE records_series AS series SET department_id = study.department_id
    FROM records_study AS study WHERE study.id = series.study_id;
UPDATE records_instance AS instance SET department_id = series.department_id
    FROM records_series AS series WHERE series.id = instance.series_id;
UPDATE records_quarantinedfile AS file SET department_id = submission.department_id
    FROM records_submission AS submission WHERE submission.id = file.submission_id;
UPDATE records_patient AS patient SET department_id = conflict.department_id
    FROM records_identityconflict AS conflict WHERE conflict.sent_patient_id = patient.id;
UPDATE records_patient SET department_id = NULL
    WHERE id IN (SELECT patient_id FROM records_study);
UPDATE records_patient AS patient SET department_id = owner.department_id
    FROM (
        SELECT patient_id, min(department_id::text)::uuid AS department_id
        FROM records_study GROUP BY patient_id HAVING count(DISTINCT department_id) = 1
    ) AS owner
    WHERE owner.patient_id = patient.id;
"""

# Going back, one of two is known by its UID or ID as before, the others by one made for them.
JOIN = """
UPDATE records_study SET study_instance_uid = 'again.' || id WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY study_instance_uid ORDER BY received_at, id) AS place
        FROM records_study) AS numbered WHERE place > 1);
UPDATE records_series SET series_instance_uid = 'again.' || id WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY series_instance_uid ORDER BY created_at, id) AS place
        FROM records_series) AS numbered WHERE place > 1);
UPDATE records_instance SET sop_instance_uid = 'again.' || id WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY sop_instance_uid ORDER BY created_at, id) AS place
        FROM records_instance) AS numbered WHERE place > 1);
UPDATE records_quarantinedfile SET sop_instance_uid = 'again.' || id WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY sop_instance_uid, sha256 ORDER BY created_at, id) AS place
        FROM records_quarantinedfile WHERE state = 'held') AS numbered WHERE place > 1);
UPDATE records_patient
    SET qualifier = left(md5(qualifier || coalesce(department_id::text, '')), 12)
    WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY mrn, issuer, qualifier ORDER BY created_at, id) AS place
        FROM records_patient) AS numbered WHERE place > 1);
"""

KEEP_REPEATED = """
CREATE FUNCTION repeat_department_of_study() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.department_id := (SELECT department_id FROM records_study WHERE id = NEW.study_id);
    RETURN NEW;
END $$;
CREATE FUNCTION repeat_department_of_series() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.department_id := (SELECT department_id FROM records_series WHERE id = NEW.series_id);
    RETURN NEW;
END $$;
CREATE TRIGGER repeat_department BEFORE INSERT OR UPDATE OF study_id, department_id
    ON records_series FOR EACH ROW EXECUTE FUNCTION repeat_department_of_study();
CREATE TRIGGER repeat_department BEFORE INSERT OR UPDATE OF series_id, department_id
    ON records_instance FOR EACH ROW EXECUTE FUNCTION repeat_department_of_series();
"""
STOP_REPEATING = """
DROP TRIGGER repeat_department ON records_instance;
DROP TRIGGER repeat_department ON records_series;
DROP FUNCTION repeat_department_of_series();
DROP FUNCTION repeat_department_of_study();
"""


def _repeated(model: str) -> migrations.AddField:
    return migrations.AddField(
        model_name=model,
        name='department',
        field=models.ForeignKey(
            db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.department'
        ),
    )


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_audit_columns'),
        ('records', '0012_quarantine_checked'),
    ]

    operations = [
        migrations.RemoveConstraint(model_name='patient', name='patient_mrn_issuer_unique'),
        migrations.RemoveConstraint(model_name='quarantinedfile', name='quarantined_once'),
        _repeated('instance'),
        _repeated('series'),
        _repeated('quarantinedfile'),
        migrations.AddField(
            model_name='patient',
            name='department',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='patients', to='accounts.department'),
        ),
        migrations.AlterField(
            model_name='identityconflict',
            name='kind',
            field=models.CharField(choices=[('patient', 'Patient ID held for another person'), ('study', 'Study held for another patient'), ('elsewhere', 'Patient ID used by another department')], max_length=10),
        ),
        migrations.AlterField(model_name='instance', name='sop_instance_uid', field=models.CharField(max_length=64)),
        migrations.AlterField(model_name='series', name='series_instance_uid', field=models.CharField(max_length=64)),
        migrations.AlterField(model_name='study', name='study_instance_uid', field=models.CharField(max_length=64)),
        migrations.RunSQL(FILL, JOIN),
        migrations.RunSQL(KEEP_REPEATED, STOP_REPEATING),
        migrations.AddConstraint(
            model_name='identityconflict',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'elsewhere')), fields=('held_patient', 'department', 'sent'), name='conflict_elsewhere_unique'),
        ),
        migrations.AddConstraint(
            model_name='instance',
            constraint=models.UniqueConstraint(fields=('sop_instance_uid', 'department'), name='instance_uid_unique'),
        ),
        migrations.AddConstraint(
            model_name='patient',
            constraint=models.UniqueConstraint(fields=('mrn', 'issuer', 'qualifier', 'department'), name='patient_mrn_issuer_unique', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='quarantinedfile',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'held')), fields=('sop_instance_uid', 'sha256', 'department'), name='quarantined_once'),
        ),
        migrations.AddConstraint(
            model_name='series',
            constraint=models.UniqueConstraint(fields=('series_instance_uid', 'department'), name='series_uid_unique'),
        ),
        migrations.AddConstraint(
            model_name='study',
            constraint=models.UniqueConstraint(fields=('study_instance_uid', 'department'), name='study_uid_unique'),
        ),
    ]
