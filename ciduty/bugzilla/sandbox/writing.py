"""The steps a change of a bug is made of: check a value, write a row. Which steps, filing and editing say."""

from ciduty.bugzilla.sandbox import errors, schema


def one_line(text: str) -> str:
    """Return a text with every run of white space as one blank."""
    return " ".join(text.split())


def check_summary(summary) -> None:
    """Raise Refusal 107 for no summary and 104 for one that is too long."""
    text = one_line(str(summary or ""))
    if not text:
        raise errors.Refusal(107, "You must enter a summary for this bug.")
    if len(text) > schema.LONGEST_SUMMARY:
        raise errors.Refusal(
            104,
            f"The text you entered in the Summary field is too long ({len(text)} characters, above the maximum length "
            f"allowed of {schema.LONGEST_SUMMARY} characters).",
        )


def check_choice(field: str, value) -> None:
    """Raise Refusal 51 for a severity or priority that does not exist."""
    allowed = {"severity": schema.SEVERITIES, "priority": schema.PRIORITIES}[field]
    if value not in allowed:
        raise errors.no_such(field.capitalize(), value)


def check_comment(text: str) -> None:
    """Raise Refusal 114 for a comment that is too long."""
    if len(text) > schema.LONGEST_COMMENT:
        raise errors.Refusal(114, f"Comments cannot be longer than {schema.LONGEST_COMMENT} characters.")


def check_alias(db, bug_id: int, alias: str) -> None:
    """Raise Refusal 103 for an alias that is a number, holds a blank or a comma, or is another bug's."""
    if alias.isdigit():
        raise errors.Refusal(
            103, f"You tried to give this bug the alias {alias}, but aliases cannot be merely numbers."
        )
    if not alias or any(character in alias for character in ", "):
        raise errors.Refusal(103, f"The alias you entered, {alias}, contains one or more commas or spaces.")
    row = db.execute("SELECT bug_id FROM aliases WHERE alias = ?", [alias]).fetchone()
    if row and row[0] != bug_id:
        raise errors.Refusal(103, f"Bug {row[0]} has already taken the alias {alias}. Please choose another one.")


def not_an_insider() -> errors.Refusal:
    """Return the refusal of a private comment by somebody who may not see those."""
    return errors.Refusal(113, "Sorry, but you are not allowed to (un)mark comments or attachments as private.", 401)


def write_comment(db, bug_id: int, user_id: int, when: str, text: str, is_private=False) -> int:
    """Write a comment, which changes the bug's time too, and return its number."""
    touch(db, bug_id, when)
    return db.execute(
        "INSERT INTO comments (bug_id, user_id, at, text, is_private) VALUES (?, ?, ?, ?, ?)",
        [bug_id, user_id, when, text, bool(is_private)],
    ).lastrowid


def touch(db, bug_id: int, when: str) -> None:
    """Move the bug's last change forward; a seeded change in the past does not move it back."""
    db.execute("UPDATE bugs SET last_change_time = max(last_change_time, ?) WHERE id = ?", [when, bug_id])


def log(db, bug_id: int, user_id: int, when: str, field: str, removed: str, added: str) -> None:
    """Write one line of history."""
    db.execute(
        "INSERT INTO activity (bug_id, user_id, at, field, removed, added) VALUES (?, ?, ?, ?, ?, ?)",
        [bug_id, user_id, when, field, removed, added],
    )


def link(world, waiting: int, needed: int, when: str) -> None:
    """Make one bug depend on another."""
    world.about_to_change(waiting, when)
    world.about_to_change(needed, when)
    world.db.execute("INSERT OR IGNORE INTO dependencies VALUES (?, ?)", [waiting, needed])


def difference(before: list, after: list) -> tuple[list, list]:
    """Return what is gone and what is new, counting equals."""
    removed, added = list(before), []
    for value in after:
        if value in removed:
            removed.remove(value)
        else:
            added.append(value)
    return removed, added


def text_of(value) -> str:
    """Return a stored value as history writes it."""
    return "" if value is None else str(value)
