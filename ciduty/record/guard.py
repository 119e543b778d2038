"""The database's own refusal to change or delete an entry of the history. What an entry is: `models.py`.

A trigger, so that a slip in the code, a shell and an admin page are refused alike (safety.md F5, design.md).
"""

from ciduty.refusals import Refusal

REFUSAL = "The record is append-only: entries are never changed or deleted."

_SET = {
    "postgresql": [
        f"""CREATE OR REPLACE FUNCTION record_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$""",
        "CREATE TRIGGER record_no_change BEFORE UPDATE OR DELETE ON record_entry "
        "FOR EACH ROW EXECUTE FUNCTION record_refuse()",
        "CREATE TRIGGER record_no_truncate BEFORE TRUNCATE ON record_entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION record_refuse()",
    ],
    "sqlite": [
        f"CREATE TRIGGER record_no_update BEFORE UPDATE ON record_entry BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
        f"CREATE TRIGGER record_no_delete BEFORE DELETE ON record_entry BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
        # INSERT OR REPLACE deletes without asking the trigger for deletes.
        "CREATE TRIGGER record_no_replace BEFORE INSERT ON record_entry "
        "WHEN EXISTS (SELECT 1 FROM record_entry WHERE id = NEW.id) "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    ],
}
_LIFT = {
    "postgresql": [
        "DROP TRIGGER IF EXISTS record_no_change ON record_entry",
        "DROP TRIGGER IF EXISTS record_no_truncate ON record_entry",
    ],
    "sqlite": [
        "DROP TRIGGER IF EXISTS record_no_update",
        "DROP TRIGGER IF EXISTS record_no_delete",
        "DROP TRIGGER IF EXISTS record_no_replace",
    ],
}

_refusal = Refusal(_SET, _LIFT)
set_on, lift_from = _refusal.set_on, _refusal.lift_from
