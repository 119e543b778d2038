"""The database's own refusal to change or delete a version that people were asked about (safety.md F4).

A trigger, so that a slip in the code, a shell and an admin page are refused alike. What a version is: `versions.py`.
A migration that lets SQLite write this table anew must call `set_on` again: SQLite drops the triggers with it.
"""

from ciduty.refusals import Refusal

REFUSAL = "A frozen notice is never changed or deleted: freeze a new version."

TABLE = "downtimes_noticeversion"
#: What people agreed to, and who asked them when. Only until when they may answer can still be moved.
KEPT = "id, downtime_id, number, subject, body, content, sha256, made_by_id, made_at"

_SET = {
    "postgresql": [
        f"""CREATE OR REPLACE FUNCTION downtimes_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$""",
        f"CREATE TRIGGER downtimes_no_change BEFORE UPDATE OF {KEPT} OR DELETE ON {TABLE} "
        "FOR EACH ROW EXECUTE FUNCTION downtimes_refuse()",
        f"CREATE TRIGGER downtimes_no_truncate BEFORE TRUNCATE ON {TABLE} "
        "FOR EACH STATEMENT EXECUTE FUNCTION downtimes_refuse()",
    ],
    "sqlite": [
        f"CREATE TRIGGER downtimes_no_update BEFORE UPDATE OF {KEPT} ON {TABLE} "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
        f"CREATE TRIGGER downtimes_no_delete BEFORE DELETE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
        # INSERT OR REPLACE deletes without asking the trigger for deletes.
        f"CREATE TRIGGER downtimes_no_replace BEFORE INSERT ON {TABLE} WHEN EXISTS (SELECT 1 FROM {TABLE} "
        "WHERE id = NEW.id OR (downtime_id = NEW.downtime_id AND number = NEW.number)) "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    ],
}
_LIFT = {
    "postgresql": [
        f"DROP TRIGGER IF EXISTS downtimes_no_change ON {TABLE}",
        f"DROP TRIGGER IF EXISTS downtimes_no_truncate ON {TABLE}",
    ],
    "sqlite": [
        "DROP TRIGGER IF EXISTS downtimes_no_update",
        "DROP TRIGGER IF EXISTS downtimes_no_delete",
        "DROP TRIGGER IF EXISTS downtimes_no_replace",
    ],
}

_refusal = Refusal(_SET, _LIFT)
set_on, lift_from = _refusal.set_on, _refusal.lift_from
