"""The one way into the audit trail: a function that sets time and database user itself.

It runs as the owner of the table, so that the application needs no right to insert. A list of
columns that an older release doesn't send yet gets what the column holds without it.
"""

from django.db import migrations, models

CREATE_FUNCTION = """
CREATE FUNCTION append_audit_events(events jsonb)
    RETURNS TABLE (new_id bigint, new_occurred_at timestamptz, new_database_user text)
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
INSERT INTO public.accounts_auditevent AS written (
    event_id, occurred_at, action, outcome, actor_kind, actor_id, actor_name, token_id, session_id,
    responsible_id, responsible_name, source_address, user_agent, request_id, target_type,
    target_id, study_id, patient_id, department_id, searched, details, sealed, view,
    database_user)
SELECT e.event_id, clock_timestamp(), e.action, e.outcome, e.actor_kind, e.actor_id, e.actor_name,
       e.token_id, coalesce(e.session_id, ''), e.responsible_id, coalesce(e.responsible_name, ''),
       e.source_address, coalesce(e.user_agent, ''), e.request_id, e.target_type, e.target_id,
       e.study_id, e.patient_id, e.department_id, coalesce(e.searched, '{}'), e.details,
       coalesce(e.sealed, ''), coalesce(e.view, ''), session_user
  FROM jsonb_array_elements(events) WITH ORDINALITY AS sent (event, place),
       jsonb_to_record(sent.event) AS e (
           event_id uuid, action text, outcome smallint, actor_kind text, actor_id uuid,
           actor_name text, token_id uuid, session_id text, responsible_id uuid,
           responsible_name text, source_address inet, user_agent text, request_id text,
           target_type text, target_id text, study_id uuid, patient_id uuid, department_id uuid,
           searched varchar[], details jsonb, sealed text,
           view text)
 ORDER BY sent.place
RETURNING written.id, written.occurred_at, written.database_user
$$;
REVOKE ALL ON FUNCTION append_audit_events(jsonb) FROM PUBLIC;
"""
DROP_FUNCTION = "DROP FUNCTION append_audit_events(jsonb);"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0010_audit_view_and_tallies")]

    operations = [
        migrations.AddField(
            model_name="auditevent",
            name="database_user",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=63),
        ),
        migrations.RunSQL(CREATE_FUNCTION, DROP_FUNCTION),
    ]
