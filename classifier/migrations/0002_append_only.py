"""What the database itself refuses to change: deployments, reviews, and a network's answer."""

from django.db import migrations

APPEND_ONLY = ("classifier_deployment", "classifier_review")

GUARD_ANSWER = """
CREATE FUNCTION refuse_answer_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a classification that has ended keeps its answer: update of % refused', OLD.id
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER answer_is_final
    BEFORE UPDATE ON classifier_classification
    FOR EACH ROW
    WHEN (
        OLD.finished_at IS NOT NULL
        AND (OLD.label, OLD.probabilities, OLD.confidence, OLD.model_digest, OLD.model_version_id,
             OLD.aggregation, OLD.input_hashes, OLD.notes, OLD.abstention, OLD.abstention_reason,
             OLD.failure_code, OLD.finished_at, OLD.task, OLD.study_id)
            IS DISTINCT FROM
            (NEW.label, NEW.probabilities, NEW.confidence, NEW.model_digest, NEW.model_version_id,
             NEW.aggregation, NEW.input_hashes, NEW.notes, NEW.abstention, NEW.abstention_reason,
             NEW.failure_code, NEW.finished_at, NEW.task, NEW.study_id)
    )
    EXECUTE FUNCTION refuse_answer_change();
CREATE TRIGGER classification_is_kept
    BEFORE DELETE ON classifier_classification
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
"""

UNGUARD_ANSWER = """
DROP TRIGGER classification_is_kept ON classifier_classification;
DROP TRIGGER answer_is_final ON classifier_classification;
DROP FUNCTION refuse_answer_change();
"""


def guard(table):
    """The statements that make `table` append-only, and those that undo it."""
    return migrations.RunSQL(
        sql=f"""
        CREATE TRIGGER append_only_rows BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION refuse_change();
        CREATE TRIGGER append_only_table BEFORE TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
        """,
        reverse_sql=f"""
        DROP TRIGGER append_only_rows ON {table};
        DROP TRIGGER append_only_table ON {table};
        """,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("classifier", "0001_initial"),
        ("accounts", "0002_append_only"),
    ]

    operations = [
        *(guard(table) for table in APPEND_ONLY),
        migrations.RunSQL(sql=GUARD_ANSWER, reverse_sql=UNGUARD_ANSWER),
    ]
