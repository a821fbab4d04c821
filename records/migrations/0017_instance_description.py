"""What an object says of itself, kept beside its row.

A release that doesn't know this table destroys a study by emptying the rows of its objects. The
description names the patient, so the database removes it by itself.
"""

import django.db.models.deletion
from django.db import migrations, models

FORGET = """
CREATE FUNCTION forget_description() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    DELETE FROM records_instancedescription WHERE instance_id = NEW.id;
    RETURN NULL;
END
$$;
CREATE TRIGGER description_goes_with_the_file AFTER UPDATE OF file ON records_instance
    FOR EACH ROW WHEN (NEW.file = '') EXECUTE FUNCTION forget_description();
"""
REMEMBER = """
DROP TRIGGER description_goes_with_the_file ON records_instance;
DROP FUNCTION forget_description();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('records', '0016_node_confirmation'),
    ]

    operations = [
        migrations.CreateModel(
            name='InstanceDescription',
            fields=[
                ('instance', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='description', serialize=False, to='records.instance')),
                ('sha256', models.CharField(max_length=64)),
                ('version', models.CharField(max_length=16)),
                ('document', models.BinaryField()),
            ],
        ),
        migrations.RunSQL(FORGET, REMEMBER),
    ]
