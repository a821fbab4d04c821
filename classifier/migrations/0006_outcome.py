"""One outcome of five kinds in each answer, those given before included.

An answer given earlier gets its outcome from its own probabilities and its model's manifest, by the
rule that `ml.aggregation` decides by since. What a person decided on it isn't touched.
"""

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
)
BEFORE = (*FINAL, "is_indeterminate")
AFTER = (*FINAL, "outcome", "suspected_label")
DEFAULT_OPERATING_POINT = 0.5
BATCH = 500

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


def find_doubtful(probabilities, diseases, bands):
    return [
        name
        for name in diseases
        if name in bands and bands[name][0] <= probabilities[name] < bands[name][1]
    ]


def decide(probabilities, manifest):
    """The outcome, the label given and the label suspected."""
    operating, normal = manifest["operating"], manifest["normal_label"]
    thresholds, bands = operating["thresholds"], operating.get("bands", {})
    diseases = [name for name in manifest["labels"] if name != normal]
    doubtful = find_doubtful(probabilities, diseases, bands)
    passed = [
        name
        for name in diseases
        if probabilities[name] >= thresholds.get(name, DEFAULT_OPERATING_POINT)
        and name not in doubtful
    ]
    chosen = [name for name in passed if name in thresholds]
    if chosen or (passed and not doubtful):
        return "finding", max(chosen or passed, key=probabilities.get), ""
    if doubtful:
        return "indeterminate", "", max(doubtful, key=probabilities.get)
    leading = max(diseases, key=probabilities.get, default=normal)
    if probabilities[normal] >= probabilities[leading]:
        return "no_finding", normal, ""
    return "below_operating_point", "", leading


def decide_as_before(probabilities, manifest):
    """The label that was always given, and whether it was called indeterminate."""
    operating = manifest["operating"]
    thresholds, bands = operating["thresholds"], operating.get("bands", {})
    reached = [name for name, limit in thresholds.items() if probabilities[name] >= limit]
    label = max(reached or manifest["labels"], key=probabilities.get)
    asked = [label] if label in thresholds else list(thresholds)
    return label, bool(find_doubtful(probabilities, asked, bands))


def answered(rows):
    """Those that a network answered, and with them the manifest that they were answered by."""
    found = rows.filter(
        finished_at__isnull=False, abstention="", failure_code="", model_version__isnull=False
    )
    return found.exclude(probabilities={}).select_related("model_version")


def write(rows, columns, change):
    """Change each row, a batch at a time."""
    batch = []
    for row in answered(rows).iterator(chunk_size=BATCH):
        change(row)
        batch.append(row)
        if len(batch) == BATCH:
            rows.bulk_update(batch, columns)
            batch = []
    rows.bulk_update(batch, columns)


def rows_of(apps, schema_editor):
    """The table by the role that owns it: the app's own waits for this very transaction."""
    model = apps.get_model("classifier", "Classification")
    return model.objects.using(schema_editor.connection.alias)


def give_outcomes(apps, schema_editor):
    def change(row):
        row.outcome, row.label, row.suspected_label = decide(
            row.probabilities, row.model_version.manifest
        )

    rows = rows_of(apps, schema_editor)
    rows.exclude(abstention="").update(outcome="abstained", label="")
    write(rows, ["outcome", "label", "suspected_label"], change)
    # Without scores nothing tells whether the label passed: a person has to say.
    unknown = rows.filter(outcome="").exclude(label="")
    unknown.update(outcome="indeterminate", suspected_label=models.F("label"), label="")


def give_labels_back(apps, schema_editor):
    def change(row):
        row.label, row.is_indeterminate = decide_as_before(
            row.probabilities, row.model_version.manifest
        )

    rows = rows_of(apps, schema_editor)
    write(rows, ["label", "is_indeterminate"], change)
    # No row twice: its foreign keys would wait for the end, and the table couldn't be altered.
    without_scores = rows.filter(label="").exclude(suspected_label="")
    without_scores.update(label=models.F("suspected_label"))


class Migration(migrations.Migration):

    dependencies = [
        ("classifier", "0005_review_responsible"),
    ]

    operations = [
        migrations.RunSQL(sql=UNGUARD, reverse_sql=guard(BEFORE)),
        migrations.AddField(
            model_name="classification",
            name="outcome",
            field=models.CharField(
                blank=True,
                choices=[
                    ("finding", "Finding"),
                    ("no_finding", "No finding"),
                    ("below_operating_point", "Below the operating point"),
                    ("indeterminate", "Indeterminate"),
                    ("abstained", "Abstained"),
                ],
                db_default="",
                default="",
                max_length=24,
            ),
        ),
        migrations.AddField(
            model_name="classification",
            name="suspected_label",
            field=models.CharField(blank=True, db_default="", default="", max_length=40),
        ),
        migrations.RemoveConstraint(
            model_name="classification", name="classification_answer_has_label_and_model"
        ),
        migrations.RemoveConstraint(
            model_name="classification", name="classification_abstained_says_why"
        ),
        migrations.RunPython(give_outcomes, give_labels_back),
        migrations.RemoveField(model_name="classification", name="is_indeterminate"),
        migrations.AddConstraint(
            model_name="classification",
            constraint=models.CheckConstraint(
                condition=~models.Q(state="abstained")
                | (~models.Q(abstention="") & models.Q(outcome="abstained")),
                name="classification_abstained_says_why",
            ),
        ),
        migrations.AddConstraint(
            model_name="classification",
            constraint=models.CheckConstraint(
                condition=~models.Q(state="awaiting_review")
                | (
                    models.Q(
                        outcome__in=(
                            "finding",
                            "no_finding",
                            "below_operating_point",
                            "indeterminate",
                        )
                    )
                    & ~models.Q(model_digest="")
                ),
                name="classification_answer_has_outcome_and_model",
            ),
        ),
        migrations.AddConstraint(
            model_name="classification",
            constraint=models.CheckConstraint(
                condition=(
                    models.Q(outcome__in=("finding", "no_finding"), suspected_label="")
                    & ~models.Q(label="")
                )
                | (
                    models.Q(outcome__in=("below_operating_point", "indeterminate"), label="")
                    & ~models.Q(suspected_label="")
                )
                | models.Q(outcome__in=("", "abstained"), label="", suspected_label=""),
                name="classification_outcome_names_its_label",
            ),
        ),
        migrations.RunSQL(sql=guard(AFTER), reverse_sql=UNGUARD),
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
                ],
                max_length=40,
            ),
        ),
        migrations.AlterField(
            model_name="review",
            name="reason",
            field=models.CharField(
                blank=True,
                choices=[
                    ("false_positive", "The model saw a finding that isn't there"),
                    ("false_negative", "The model missed a finding"),
                    ("wrong_finding", "A finding is there, but a different one"),
                    ("other_finding", "A finding outside the model's labels"),
                    ("image_quality", "Image quality misled the model"),
                    ("wrong_study", "Wrong body part, view or patient"),
                    ("clinical_context", "Clinical information decides otherwise"),
                    ("other", "Another reason (in the comment)"),
                    ("no_model_label", "The model gave no label"),
                ],
                max_length=20,
            ),
        ),
    ]
