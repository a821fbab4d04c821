"""Routing by the image: what it found, rows without a task yet, and answers that stay as given."""

from django.conf import settings
from django.db import migrations, models

FINAL = (
    "label",
    "probabilities",
    "confidence",
    "model_digest",
    "model_version_id",
    "aggregation",
    "input_hashes",
    "notes",
    "abstention",
    "abstention_reason",
    "failure_code",
    "finished_at",
    "task",
    "study_id",
)
FINAL_WITH_ROUTING = (*FINAL, "routing", "is_indeterminate")


def guard(columns):
    """The statements that keep `columns` of a finished classification as they are."""
    old, new = (", ".join(f"{row}.{name}" for name in columns) for row in ("OLD", "NEW"))
    return f"""
    DROP TRIGGER answer_is_final ON classifier_classification;
    CREATE TRIGGER answer_is_final
        BEFORE UPDATE ON classifier_classification
        FOR EACH ROW
        WHEN (OLD.finished_at IS NOT NULL AND ({old}) IS DISTINCT FROM ({new}))
        EXECUTE FUNCTION refuse_answer_change();
    """


class Migration(migrations.Migration):

    dependencies = [
        ('classifier', '0002_append_only'),
        ('records', '0002_stated_kind'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='classification',
            name='is_indeterminate',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='classification',
            name='routing',
            field=models.JSONField(default=dict),
        ),
        migrations.AlterField(
            model_name='classification',
            name='abstention',
            field=models.CharField(blank=True, choices=[('no_task', 'No model for this kind of study'), ('no_deployed_model', 'No model in use'), ('no_image', 'No usable image'), ('route_unsure', 'Body part not known'), ('routed_elsewhere', 'Image and header disagree'), ('wrong_modality', 'Another modality'), ('wrong_body_part', 'Another body part'), ('wrong_view', 'Another view'), ('age_out_of_range', 'Another age group'), ('constant_image', 'Blank image'), ('image_too_small', 'Image too small'), ('image_too_narrow', 'Image too narrow'), ('colour_image', 'Colour image'), ('grey_image', 'Grey image'), ('unlike_training', 'Unlike known images')], max_length=40),
        ),
        migrations.AlterField(
            model_name='classification',
            name='task',
            field=models.CharField(blank=True, choices=[('chest-xray', 'Chest X-ray'), ('brain-mri', 'Brain MRI'), ('lung-ct', 'Lung CT'), ('skin-lesion', 'Skin lesion'), ('retina', 'Retina'), ('unrouted', 'Body part not known')], max_length=20),
        ),
        migrations.AlterField(
            model_name='deployment',
            name='task',
            field=models.CharField(choices=[('chest-xray', 'Chest X-ray'), ('brain-mri', 'Brain MRI'), ('lung-ct', 'Lung CT'), ('skin-lesion', 'Skin lesion'), ('retina', 'Retina'), ('body-part', 'Body part')], max_length=20),
        ),
        migrations.AlterField(
            model_name='modelversion',
            name='task',
            field=models.CharField(choices=[('chest-xray', 'Chest X-ray'), ('brain-mri', 'Brain MRI'), ('lung-ct', 'Lung CT'), ('skin-lesion', 'Skin lesion'), ('retina', 'Retina'), ('body-part', 'Body part')], max_length=20),
        ),
        migrations.AddConstraint(
            model_name='classification',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'awaiting_review'), _negated=True), models.Q(('task__in', ('', 'unrouted')), _negated=True), _connector='OR'), name='classification_answer_has_task'),
        ),
        migrations.AddConstraint(
            model_name='classification',
            constraint=models.CheckConstraint(condition=models.Q(('task', 'body-part'), _negated=True), name='classification_task_is_no_router'),
        ),
        migrations.RunSQL(sql=guard(FINAL_WITH_ROUTING), reverse_sql=guard(FINAL)),
    ]
