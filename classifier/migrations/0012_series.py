"""How many of several images say what the answer says, and two more reasons for none."""

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
    "routing",
    "outcome",
    "suspected_label",
)
AFTER = (*FINAL, "tally")
UNGUARD = "DROP TRIGGER answer_is_final ON classifier_classification;"


def guard(columns):
    """The statement that keeps `columns` of a finished classification as they are."""
    old, new = (", ".join(f"{row}.{name}" for name in columns) for row in ("OLD", "NEW"))
    return f"""
    CREATE TRIGGER answer_is_final
        BEFORE UPDATE ON classifier_classification
        FOR EACH ROW
        WHEN (OLD.finished_at IS NOT NULL AND ({old}) IS DISTINCT FROM ({new}))
        EXECUTE FUNCTION refuse_answer_change();
    """


class Migration(migrations.Migration):
    dependencies = [("classifier", "0011_site_tasks")]

    operations = [
        migrations.AddField(
            model_name="classification",
            name="tally",
            field=models.JSONField(db_default=models.Value({}, models.JSONField()), default=dict),
        ),
        migrations.RunSQL(
            sql=UNGUARD + guard(AFTER),
            reverse_sql=UNGUARD + guard(FINAL),
        ),
        migrations.AlterField(
            model_name="classification",
            name="abstention",
            field=models.CharField(
                blank=True,
                choices=[
                    ("no_task", "No model for this kind of study"),
                    ("no_deployed_model", "No model in use"),
                    ("no_image", "No usable image"),
                    ("route_unsure", "Body part not known"),
                    ("routed_elsewhere", "Image and header disagree"),
                    ("wrong_modality", "Another modality"),
                    ("wrong_body_part", "Another body part"),
                    ("wrong_view", "Another view"),
                    ("age_out_of_range", "Another age group"),
                    ("wrong_sex", "Another sex"),
                    ("constant_image", "Blank image"),
                    ("image_too_small", "Image too small"),
                    ("image_too_narrow", "Image too narrow"),
                    ("colour_image", "Colour image"),
                    ("grey_image", "Grey image"),
                    ("unlike_training", "Unlike known images"),
                    ("no_hounsfield_units", "CT without Hounsfield units"),
                    ("series_not_validated", "Not tested on whole series"),
                ],
                max_length=40,
            ),
        ),
    ]
