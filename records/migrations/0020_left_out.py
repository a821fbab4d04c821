"""A verdict for what never was an image, and room for sentences on the pixels of what is stored."""

from django.db import migrations, models

# Before the columns shrink again: what is only counted goes, the rest is refused as it was.
BEFORE = """
SET CONSTRAINTS ALL IMMEDIATE;
DELETE FROM records_submissionfile WHERE code = 'more_left_out';
UPDATE records_submissionfile SET verdict = 'rejected' WHERE verdict = 'left_out';
UPDATE records_submissionfile SET message = left(message, 400) WHERE length(message) > 400;
"""
COUNTS = models.Q(("count__gt", 1), models.Q(("counted", {}), _negated=True), _connector="OR")


class Migration(migrations.Migration):
    """The constraint is renewed: a batch may have one row that counts for each verdict."""

    dependencies = [("records", "0019_updated_at")]

    operations = [
        migrations.RemoveConstraint(
            model_name="submissionfile", name="submission_file_counts_once"
        ),
        migrations.AlterField(
            model_name="submissionfile",
            name="message",
            field=models.CharField(max_length=1000),
        ),
        migrations.AlterField(
            model_name="submissionfile",
            name="verdict",
            field=models.CharField(
                choices=[
                    ("stored", "Stored"),
                    ("duplicate", "Already held"),
                    ("rejected", "Rejected"),
                    ("left_out", "Left out"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="submissionfile",
            constraint=models.UniqueConstraint(
                condition=COUNTS,
                fields=("submission", "verdict"),
                name="submission_file_counts_once",
            ),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, BEFORE),
    ]
