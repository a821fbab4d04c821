"""One outcome of five kinds in each answer, those given before included.

An answer given without one gets it from its own probabilities and its model's manifest, by the rule
that `ml.aggregation` decides by since. What a person decided on it isn't touched. A trigger does it,
so that it holds for a worker of the former release too, which writes answers until it is replaced.
That release needs the column `is_indeterminate`, which therefore stays for as long: see
docs/migrations.md.
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
BATCH = 500

UNGUARD = "DROP TRIGGER answer_is_final ON classifier_classification;"

COMPLETE = """
CREATE FUNCTION complete_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER outcome_is_completed
    BEFORE INSERT OR UPDATE ON classifier_classification
    FOR EACH ROW
    WHEN (NEW.outcome <> '' OR NEW.label <> '' OR NEW.abstention <> '')
    EXECUTE FUNCTION complete_outcome();
"""
COMPLETE_NO_MORE = """
DROP TRIGGER outcome_is_completed ON classifier_classification;
DROP FUNCTION complete_outcome();
"""
COMPLETE_ALL = """
UPDATE classifier_classification SET outcome = '' WHERE label <> '' OR abstention <> '';
"""
OPTIONAL = "ALTER TABLE classifier_classification ALTER COLUMN is_indeterminate SET DEFAULT false;"
DEMANDED = "ALTER TABLE classifier_classification ALTER COLUMN is_indeterminate DROP DEFAULT;"


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


def give_labels_back(apps, schema_editor):
    def change(row):
        row.label, row.is_indeterminate = decide_as_before(
            row.probabilities, row.model_version.manifest
        )

    rows = rows_of(apps, schema_editor)
    write(rows, ["label", "is_indeterminate"], change)
    # No row twice: its foreign keys would wait for the end, and the table couldn't be altered.
    without_scores = rows.filter(label="").exclude(suspected_label="")
    without_scores.update(label=models.F("suspected_label"), is_indeterminate=False)


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
        # Backwards, from below: no trigger, the labels as they were, nothing optional.
        migrations.RunSQL(OPTIONAL, DEMANDED),
        migrations.RunPython(migrations.RunPython.noop, give_labels_back),
        migrations.RunSQL(COMPLETE, COMPLETE_NO_MORE),
        migrations.RunSQL(COMPLETE_ALL, migrations.RunSQL.noop),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField(model_name="classification", name="is_indeterminate")
            ]
        ),
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
        migrations.AddConstraint(
            model_name="review",
            constraint=models.CheckConstraint(
                condition=~models.Q(decision="confirm") | ~models.Q(label=""),
                name="review_confirm_says_what",
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
