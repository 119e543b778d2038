"""The database's own refusal to change or delete what became of a tree. What an event is: `models.py`.

A trigger, so that a slip in the code, a shell and an admin page are refused alike (safety.md F5, design.md).
A migration that lets SQLite write this table anew must call `set_on` again: SQLite drops the triggers with it.
"""

from ciduty.refusals import Refusal

REFUSAL = "The history of trees is append-only: events are never changed or deleted."

TABLE = "trees_treeevent"

_SET = {
    "postgresql": [
        f"""CREATE OR REPLACE FUNCTION trees_refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'integrity_constraint_violation'; END $$""",
        f"CREATE TRIGGER trees_no_change BEFORE UPDATE OR DELETE ON {TABLE} "
        "FOR EACH ROW EXECUTE FUNCTION trees_refuse()",
        f"CREATE TRIGGER trees_no_truncate BEFORE TRUNCATE ON {TABLE} "
        "FOR EACH STATEMENT EXECUTE FUNCTION trees_refuse()",
    ],
    "sqlite": [
        f"CREATE TRIGGER trees_no_update BEFORE UPDATE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
        f"CREATE TRIGGER trees_no_delete BEFORE DELETE ON {TABLE} BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
        # INSERT OR REPLACE deletes without asking the trigger for deletes.
        f"CREATE TRIGGER trees_no_replace BEFORE INSERT ON {TABLE} "
        f"WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END",
    ],
}
_LIFT = {
    "postgresql": [
        f"DROP TRIGGER IF EXISTS trees_no_change ON {TABLE}",
        f"DROP TRIGGER IF EXISTS trees_no_truncate ON {TABLE}",
    ],
    "sqlite": [
        "DROP TRIGGER IF EXISTS trees_no_update",
        "DROP TRIGGER IF EXISTS trees_no_delete",
        "DROP TRIGGER IF EXISTS trees_no_replace",
    ],
}

_refusal = Refusal(_SET, _LIFT)
set_on, lift_from = _refusal.set_on, _refusal.lift_from
