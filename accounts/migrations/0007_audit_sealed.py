"""What a change of a patient's record replaced, encrypted, in the event that tells of it."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_audit_columns'),
    ]

    operations = [
        migrations.AddField(
            model_name='auditevent',
            name='sealed',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
    ]
