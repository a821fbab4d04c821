"""A flag is told from a finding, and who answers for a model on which source of images.

Answers that were given keep their outcome: what a person read and decided on stays as it was. What
the former release writes from now on is told apart by the trigger of 0006, as `ml.aggregation` does.
"""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

COMPLETE = """
CREATE OR REPLACE FUNCTION complete_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    manifest jsonb;
BEGIN
    SELECT v.manifest INTO manifest FROM classifier_modelversion v WHERE v.id = NEW.model_version_id;
    IF NEW.outcome <> '' THEN
        NULL;
    ELSIF NEW.abstention <> '' THEN
        NEW.outcome := 'abstained';
        NEW.label := '';
    ELSIF manifest IS NULL OR NEW.probabilities = '{}' THEN
        -- Without scores nothing tells whether the label passed: a person has to say.
        NEW.outcome := 'indeterminate';
        NEW.suspected_label := NEW.label;
        NEW.label := '';
    ELSE
        WITH scores AS (
            SELECT name, place, name = manifest ->> 'normal_label' AS is_normal,
                   (NEW.probabilities ->> name)::numeric AS score,
                   (manifest #> ARRAY['operating', 'thresholds', name])::numeric AS threshold,
                   manifest #> ARRAY['operating', 'bands', name] AS band
              FROM jsonb_array_elements_text(manifest -> 'labels') WITH ORDINALITY AS l (name, place)
        ), judged AS (
            SELECT *, threshold IS NOT NULL AS is_chosen,
                   score >= coalesce(threshold, 0.5) AS has_reached,
                   coalesce(score >= (band -> 0)::numeric AND score < (band -> 1)::numeric, false)
                       AS is_doubtful,
                   score >= max(score) OVER () AS is_likeliest
              FROM scores
        ), possible AS (
            SELECT CASE WHEN is_likeliest THEN 'finding' ELSE 'flagged' END AS outcome,
                   CASE WHEN is_likeliest THEN name ELSE '' END AS label,
                   CASE WHEN is_likeliest THEN '' ELSE name END AS suspected, score, place,
                   CASE WHEN is_chosen THEN 1 ELSE 3 END AS rank
              FROM judged WHERE NOT is_normal AND has_reached AND NOT is_doubtful
            UNION ALL
            SELECT 'indeterminate', '', name, score, place, 2
              FROM judged WHERE NOT is_normal AND is_doubtful
            UNION ALL
            SELECT 'no_finding', name, '', score, 0, 4 FROM judged WHERE is_normal
            UNION ALL
            SELECT 'below_operating_point', '', name, score, place, 4
              FROM judged WHERE NOT is_normal
        )
        SELECT outcome, label, suspected INTO NEW.outcome, NEW.label, NEW.suspected_label
          FROM possible ORDER BY rank, score DESC, place LIMIT 1;
    END IF;
    -- What the former release shows of an answer that gives no label, should it come back.
    NEW.is_indeterminate := NEW.is_indeterminate
        OR NEW.outcome IN ('flagged', 'below_operating_point', 'indeterminate');
    RETURN NEW;
END
$$;
"""
COMPLETE_AS_BEFORE = """
CREATE OR REPLACE FUNCTION complete_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    manifest jsonb;
BEGIN
    SELECT v.manifest INTO manifest FROM classifier_modelversion v WHERE v.id = NEW.model_version_id;
    IF NEW.outcome <> '' THEN
        NULL;
    ELSIF NEW.abstention <> '' THEN
        NEW.outcome := 'abstained';
        NEW.label := '';
    ELSIF manifest IS NULL OR NEW.probabilities = '{}' THEN
        -- Without scores nothing tells whether the label passed: a person has to say.
        NEW.outcome := 'indeterminate';
        NEW.suspected_label := NEW.label;
        NEW.label := '';
    ELSE
        WITH scores AS (
            SELECT name, place, name = manifest ->> 'normal_label' AS is_normal,
                   (NEW.probabilities ->> name)::numeric AS score,
                   (manifest #> ARRAY['operating', 'thresholds', name])::numeric AS threshold,
                   manifest #> ARRAY['operating', 'bands', name] AS band
              FROM jsonb_array_elements_text(manifest -> 'labels') WITH ORDINALITY AS l (name, place)
        ), judged AS (
            SELECT *, threshold IS NOT NULL AS is_chosen,
                   score >= coalesce(threshold, 0.5) AS has_reached,
                   coalesce(score >= (band -> 0)::numeric AND score < (band -> 1)::numeric, false)
                       AS is_doubtful
              FROM scores
        ), possible AS (
            SELECT 'finding' AS outcome, name AS label, '' AS suspected, score, place,
                   CASE WHEN is_chosen THEN 1 ELSE 3 END AS rank
              FROM judged WHERE NOT is_normal AND has_reached AND NOT is_doubtful
            UNION ALL
            SELECT 'indeterminate', '', name, score, place, 2
              FROM judged WHERE NOT is_normal AND is_doubtful
            UNION ALL
            SELECT 'no_finding', name, '', score, 0, 4 FROM judged WHERE is_normal
            UNION ALL
            SELECT 'below_operating_point', '', name, score, place, 4
              FROM judged WHERE NOT is_normal
        )
        SELECT outcome, label, suspected INTO NEW.outcome, NEW.label, NEW.suspected_label
          FROM possible ORDER BY rank, score DESC, place LIMIT 1;
    END IF;
    -- What the former release shows of an answer that gives no label, should it come back.
    NEW.is_indeterminate := NEW.is_indeterminate
        OR NEW.outcome IN ('below_operating_point', 'indeterminate');
    RETURN NEW;
END
$$;
"""
FLAGS_BECOME_FINDINGS = """
ALTER TABLE classifier_classification DISABLE TRIGGER answer_is_final;
UPDATE classifier_classification SET outcome = 'finding', label = suspected_label,
    suspected_label = '' WHERE outcome = 'flagged';
ALTER TABLE classifier_classification ENABLE TRIGGER answer_is_final;
"""
"""Backwards: a disease that passed was a finding, whatever else was more probable."""

STATED = (
    "id, model_version_id, kind, department_id, value, figures, reason, stated_by_id, stated_at"
)
OLD, NEW = (
    ", ".join(f"{row}.{name}" for name in STATED.split(", ")) for row in ("OLD", "NEW")
)
GUARD_STATEMENTS = f"""
CREATE TRIGGER statement_stays
    BEFORE UPDATE ON classifier_sourcevalidation
    FOR EACH ROW
    WHEN (OLD.withdrawn_at IS NOT NULL OR ({OLD}) IS DISTINCT FROM ({NEW}))
    EXECUTE FUNCTION refuse_change();
CREATE TRIGGER statement_is_kept
    BEFORE DELETE ON classifier_sourcevalidation
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER statements_are_kept
    BEFORE TRUNCATE ON classifier_sourcevalidation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
UNGUARD_STATEMENTS = """
DROP TRIGGER statement_stays ON classifier_sourcevalidation;
DROP TRIGGER statement_is_kept ON classifier_sourcevalidation;
DROP TRIGGER statements_are_kept ON classifier_sourcevalidation;
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0016_queue_rerun'),
        ('classifier', '0013_quality_abstentions'),
        ('records', '0024_calling_ae_title'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='SourceValidation',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('department', 'Department'), ('institution', 'Institution name (0008,0080)'), ('station', 'Station name (0008,1010)'), ('calling_ae', 'Calling AE title')], max_length=12)),
                ('value', models.CharField(blank=True, max_length=64)),
                ('figures', models.CharField(max_length=1000)),
                ('reason', models.CharField(max_length=400)),
                ('stated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('withdrawn_at', models.DateTimeField(null=True)),
                ('withdrawal_reason', models.CharField(blank=True, max_length=400)),
            ],
            options={
                'ordering': ('-stated_at', '-id'),
            },
        ),
        migrations.RemoveConstraint(
            model_name='classification',
            name='classification_answer_has_outcome_and_model',
        ),
        migrations.RemoveConstraint(
            model_name='classification',
            name='classification_outcome_names_its_label',
        ),
        migrations.RunSQL(migrations.RunSQL.noop, FLAGS_BECOME_FINDINGS),
        migrations.RunSQL(COMPLETE, COMPLETE_AS_BEFORE),
        migrations.AddField(
            model_name='deployment',
            name='reason',
            field=models.CharField(blank=True, db_default='', default='', max_length=400),
        ),
        migrations.AlterField(
            model_name='classification',
            name='abstention',
            field=models.CharField(blank=True, choices=[('no_task', 'No model for this kind of study'), ('no_deployed_model', 'No model in use'), ('no_image', 'No usable image'), ('route_unsure', 'Body part not known'), ('routed_elsewhere', 'Image and header disagree'), ('wrong_modality', 'Another modality'), ('wrong_body_part', 'Another body part'), ('wrong_view', 'Another view'), ('age_out_of_range', 'Another age group'), ('wrong_sex', 'Another sex'), ('constant_image', 'Blank image'), ('image_too_small', 'Image too small'), ('image_too_narrow', 'Image too narrow'), ('colour_image', 'Colour image'), ('grey_image', 'Grey image'), ('unlike_training', 'Unlike known images'), ('no_hounsfield_units', 'CT without Hounsfield units'), ('series_not_validated', 'Not tested on whole series'), ('too_few_levels', 'Too few grey levels'), ('too_compressed', 'Too compressed'), ('too_blurred', 'Too blurred'), ('too_noisy', 'Too noisy'), ('badly_exposed', 'Badly exposed'), ('cropped', 'Cut off'), ('too_much_border', 'Too much border'), ('source_not_validated', 'Not validated for this source')], max_length=40),
        ),
        migrations.AlterField(
            model_name='classification',
            name='outcome',
            field=models.CharField(blank=True, choices=[('finding', 'Finding'), ('flagged', 'Flagged'), ('no_finding', 'No finding'), ('below_operating_point', 'Below the operating point'), ('indeterminate', 'Indeterminate'), ('abstained', 'Abstained')], db_default='', default='', max_length=24),
        ),
        migrations.AddConstraint(
            model_name='classification',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'awaiting_review'), _negated=True), models.Q(('outcome__in', ('finding', 'no_finding', 'flagged', 'below_operating_point', 'indeterminate')), models.Q(('model_digest', ''), _negated=True)), _connector='OR'), name='classification_answer_has_outcome_and_model'),
        ),
        migrations.AddConstraint(
            model_name='classification',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('outcome__in', ('finding', 'no_finding')), ('suspected_label', ''), models.Q(('label', ''), _negated=True)), models.Q(('label', ''), ('outcome__in', ('flagged', 'below_operating_point', 'indeterminate')), models.Q(('suspected_label', ''), _negated=True)), models.Q(('label', ''), ('outcome__in', ('', 'abstained')), ('suspected_label', '')), _connector='OR'), name='classification_outcome_names_its_label'),
        ),
        migrations.AddField(
            model_name='sourcevalidation',
            name='department',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.department'),
        ),
        migrations.AddField(
            model_name='sourcevalidation',
            name='model_version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='source_validations', to='classifier.modelversion'),
        ),
        migrations.AddField(
            model_name='sourcevalidation',
            name='stated_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='sourcevalidation',
            name='withdrawn_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='sourcevalidation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('department__isnull', False), ('kind', 'department'), ('value', '')), models.Q(models.Q(('kind', 'department'), _negated=True), ('department__isnull', True), models.Q(('value', ''), _negated=True)), _connector='OR'), name='source_validation_names_its_source'),
        ),
        migrations.AddConstraint(
            model_name='sourcevalidation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('figures', ''), _negated=True), models.Q(('reason', ''), _negated=True)), name='source_validation_says_why'),
        ),
        migrations.AddConstraint(
            model_name='sourcevalidation',
            constraint=models.CheckConstraint(condition=models.Q(('withdrawn_at__isnull', True), models.Q(('withdrawal_reason', ''), _negated=True), _connector='OR'), name='source_validation_withdrawn_says_why'),
        ),
        migrations.AddConstraint(
            model_name='sourcevalidation',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'department'), ('withdrawn_at__isnull', True)), fields=('model_version', 'department'), name='source_validation_of_department_once'),
        ),
        migrations.AddConstraint(
            model_name='sourcevalidation',
            constraint=models.UniqueConstraint(condition=models.Q(('withdrawn_at__isnull', True), models.Q(('kind', 'department'), _negated=True)), fields=('model_version', 'kind', 'value'), name='source_validation_of_value_once'),
        ),
        migrations.RunSQL(GUARD_STATEMENTS, UNGUARD_STATEMENTS),
    ]
