"""The database itself refuses to change or delete what was appended to the audit trail.

`refuse_change()` serves every append-only table: other apps put it behind triggers of their own.
"""

from django.db import migrations

CREATE_FUNCTION = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'append-only table: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;
"""
DROP_FUNCTION = "DROP FUNCTION refuse_change();"

CREATE_TRIGGERS = """
CREATE TRIGGER auditevent_refuse_change BEFORE UPDATE OR DELETE ON accounts_auditevent
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER auditevent_refuse_truncate BEFORE TRUNCATE ON accounts_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
DROP_TRIGGERS = """
DROP TRIGGER auditevent_refuse_truncate ON accounts_auditevent;
DROP TRIGGER auditevent_refuse_change ON accounts_auditevent;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.RunSQL(CREATE_FUNCTION, DROP_FUNCTION),
        migrations.RunSQL(CREATE_TRIGGERS, DROP_TRIGGERS),
    ]
