"""How trees change: made, closed, opened, remembered, restored, deleted; with each generation's oddities.

Rights and the shape of bodies were checked before. Source: the recorded answers, and upstream's api.py and utils.py.
"""

import json

from ciduty.trees.sandbox import errors, schema
from ciduty.trees.sandbox.schema import LANDO

NO_CHANGE = "no change"  # what standalone writes into a log for a status or reason that was not given
FIRST_REASON = "Initial tree creation"


def create(world, who: str, name: str, status="open", reason="", message_of_the_day="", category="other") -> None:
    """Make a tree. Lando writes a first log entry, standalone none. Raises Refusal when it exists."""
    _fits(status, name)
    reason = FIRST_REASON if world.generation == LANDO and not reason else reason
    with world.transaction() as db:
        if db.execute("SELECT 1 FROM trees WHERE name = ?", [name]).fetchone():
            raise errors.tree_exists(world.generation, name)
        db.execute(
            "INSERT INTO trees (name, status, reason, message_of_the_day, category, touched) VALUES (?, ?, ?, ?, ?, 0)",
            [name, status, reason, message_of_the_day, category],
        )
        _touch(db, name)
        if world.generation == LANDO:
            _log(world, name, who, status, reason, [])


def update(world, who, names, status=None, reason=None, tags=None, message_of_the_day=None, remember=False) -> None:
    """Change trees, all or none; None is "not given". Raises Refusal, and Crash for a status that is too long."""
    with world.transaction() as db:
        before = world.trees(names)
        if len(before) != len(names):
            raise errors.unknown_trees(world.generation, set(names) - {tree["tree"] for tree in before})
        if status == schema.CLOSED and (tags is None or world.generation == LANDO and not tags):
            lando = "Tags are required when closing a tree."
            raise errors.Refusal(400, lando if world.generation == LANDO else "tags are required when closing a tree")
        if remember and None in (status, reason, tags):
            raise errors.Refusal(400, "must specify status, reason and tags to remember the change")
        for tree in before:
            _write(world, who, tree["tree"], status, reason, tags or [], message_of_the_day)
        if remember:
            change_id = db.execute(
                "INSERT INTO changes (at, who, status, reason) VALUES (?, ?, ?, ?)", [world.now(), who, status, reason]
            ).lastrowid
            for tree in before:
                last_state = json.dumps(_last_state(tree, world.tree(tree["tree"])))
                db.execute(
                    "INSERT INTO change_trees (change_id, tree, last_state) VALUES (?, ?, ?)",
                    [change_id, tree["tree"], last_state],
                )


def _write(world, who, name, status, reason, tags, message_of_the_day=None) -> None:
    """Write one tree, and a log entry when a status or a reason is given and not empty."""
    _fits(status, name)
    db = world.db
    given = {"status": status, "reason": reason, "message_of_the_day": message_of_the_day}
    for column, value in given.items():
        if value is not None:
            db.execute(f"UPDATE trees SET {column} = ? WHERE name = ?", [value, name])
    _touch(db, name)
    if status or reason:
        if world.generation == LANDO:
            kept = db.execute("SELECT status, reason FROM trees WHERE name = ?", [name]).fetchone()
            _log(world, name, who, status or kept["status"], reason or kept["reason"], tags)
        else:
            said = [NO_CHANGE if value is None else value for value in (status, reason)]
            _log(world, name, who, *said, tags)
    world.forget(name)


def _last_state(before: dict, after: dict) -> dict:
    fields = ("log_id", "reason", "status", "tags")
    return {name: before[name] for name in fields} | {f"current_{name}": after[name] for name in fields}


def _log(world, name, who, status, reason, tags) -> None:
    world.db.execute(
        "INSERT INTO logs (tree, at, who, status, reason, tags) VALUES (?, ?, ?, ?, ?, ?)",
        [name, world.now(), who, status, reason, json.dumps(tags)],
    )


def _touch(db, name: str) -> None:
    """Move a tree to the end, as a PostgreSQL that was asked for no order does with a row that was written."""
    db.execute("UPDATE trees SET touched = (SELECT max(touched) + 1 FROM trees) WHERE name = ?", [name])


def _fits(status: str | None, name: str) -> None:
    if len(status or "") > schema.LONGEST_STATUS or len(name) > schema.LONGEST_NAME:
        raise errors.Crash("the column is too short")


# --- the undo stack ---------------------------------------------------------------------------------------------------


def revert(world, who: str, change_id: int, restore: bool) -> None:
    """Take an entry from the stack, and with `restore` put its trees back as they were before it.

    It overwrites: a newer closure by somebody else is opened without a word. Raises Refusal when it is gone.
    """
    with world.transaction() as db:
        _change(world, change_id)
        if restore:
            for row in world.trees_of_change(change_id):
                was = row["last_state"]
                _write(world, who, row["tree"], was["status"], was["reason"], was["tags"])
        db.execute("DELETE FROM change_trees WHERE change_id = ?", [change_id])
        db.execute("DELETE FROM changes WHERE id = ?", [change_id])


def update_change(world, change_id: int, reason: str | None = None, tags: list[str] | None = None) -> None:
    """Rewrite the reason and tags of an entry of the stack, and of the log entries it made. None keeps what is there.

    Standalone goes on telling the old reason on /trees/{tree}. Raises Refusal, on Lando Crash, when it is gone.
    """
    with world.transaction() as db:
        change = _change(world, change_id, crash=world.generation == LANDO)
        for row in world.trees_of_change(change_id):
            state = row["last_state"]
            state["current_reason"] = state["current_reason"] if reason is None else reason
            state["current_tags"] = state["current_tags"] if tags is None else tags
            _rewrite_log(world, state["current_log_id"], state["current_reason"], state["current_tags"])
            _keep(db, row["id"], state)
        db.execute(
            "UPDATE changes SET reason = ? WHERE id = ?", [change["reason"] if reason is None else reason, change_id]
        )


def update_log(world, log_id: int, reason: str | None = None, tags: list[str] | None = None) -> None:
    """Rewrite one log entry, and what the stack says of it. Raises Refusal when there is none."""
    if reason is None and tags is None:
        return
    with world.transaction() as db:
        _rewrite_log(world, log_id, reason, tags)
        for change in world.stack():
            for row in change["trees"]:
                state = row["last_state"]
                if state["current_log_id"] == log_id:
                    state["current_reason"] = reason or state["current_reason"]
                    state["current_tags"] = tags or state["current_tags"]
                    _keep(db, row["id"], state)


def _change(world, change_id: int, crash: bool = False):
    if change_id > schema.MOST_ID:
        raise errors.Crash("the number is too large")
    change = world.db.execute("SELECT * FROM changes WHERE id = ?", [change_id]).fetchone()
    if change is None:
        raise errors.Crash("it does not exist") if crash else errors.no_such_change(world.generation)
    return change


def _rewrite_log(world, log_id: int | None, reason: str | None, tags: list[str] | None) -> None:
    if log_id is not None and log_id > schema.MOST_ID:
        raise errors.Crash("the number is too large")
    log = world.db.execute("SELECT tree, reason, tags FROM logs WHERE id = ?", [log_id]).fetchone()
    if log is None:
        raise errors.no_such_log(world.generation, log_id)
    written = [log["reason"] if reason is None else reason, log["tags"] if tags is None else json.dumps(tags), log_id]
    world.db.execute("UPDATE logs SET reason = ?, tags = ? WHERE id = ?", written)
    if world.generation == LANDO:
        world.forget(log["tree"])


def _keep(db, row_id: int, state: dict) -> None:
    db.execute("UPDATE change_trees SET last_state = ? WHERE id = ?", [json.dumps(state), row_id])


# --- deleting ---------------------------------------------------------------------------------------------------------


def delete(world, name: str, forget: bool = True) -> None:
    """Delete a tree with its logs and its rows on the stack. Without `forget` it is still told from memory, as after a
    deletion in Lando's database. Raises Refusal when there is none.
    """
    with world.transaction() as db:
        if not db.execute("DELETE FROM trees WHERE name = ?", [name]).rowcount:
            raise errors.no_such_tree_with_logs(world.generation, name)
        db.execute("DELETE FROM logs WHERE tree = ?", [name])
        db.execute("DELETE FROM change_trees WHERE tree = ?", [name])
        if forget:
            world.forget(name)


def administer(world, name: str, **columns: str) -> None:
    """Write a tree's own columns as Lando's admin does: no log entry, nothing forgotten, so little is seen."""
    with world.transaction() as db:
        for column in ("status", "reason", "message_of_the_day", "category"):
            if column in columns:
                db.execute(f"UPDATE trees SET {column} = ? WHERE name = ?", [columns[column], name])
        _touch(db, name)
