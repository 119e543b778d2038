"""What may be said to everybody of a change that names a bug which is not public (design.md, decision 3). No page here.

Then only the words that a person typed for that very bug are shown, and they must not name it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from changelog import messages, rules
from changelog.confidential import not_public, waits_for_words
from changelog.models import Change
from ciduty.bugzilla.cleaning import clean_line
from ciduty.states import NotAllowed

#: The fields of a change that a person types and everybody may read.
TEXTS = ("summary", "impact", "public_summary")


@dataclass(frozen=True)
class Wording:
    """What a person typed about a change, with what follows from it."""

    values: dict  # of fields that differ
    private: frozenset[int]  # those of its bugs that are not public


def typed_texts(change: Change, **texts: str | None) -> dict:
    """Return the texts that were typed and differ, cleaned. None leaves one as it is. Raises NotAllowed."""
    typed = {name: clean_line(text, rules.LONGEST_SUMMARY) for name, text in texts.items() if text is not None}
    if "summary" in typed and not typed["summary"]:
        raise NotAllowed("A change needs at least one line that says what changed.")
    return {name: text for name, text in typed.items() if getattr(change, name) != text}


def worded(change: Change, values: dict, public_summary: str | None) -> Wording:
    """Return what is written when somebody publishes a change with these values. Raises NotAllowed without words.

    `public_summary` is what was typed for everybody just now, None where nobody was asked: the same words typed again
    are words for a bug that turned private since.
    """
    values = dict(values)
    bugs = all_bugs(change, values)
    if bugs != values.get("bugs", change.bugs):
        values["bugs"] = bugs
    private = not_public(bugs)
    if not private:
        return Wording(values, private)
    if public_summary is None and waits_for_words(bugs, change.confirmed_for, private):
        raise NotAllowed(asks_for_words(private))
    if not values.get("public_summary", change.public_summary):
        raise NotAllowed(asks_for_words(private))
    if "impact" not in values and "impact" not in change.by_hand and change.impact:
        values["impact"] = ""  # its source said it, not a person who knew that everybody would read it
    say_nothing_of(private, *(values.get(name, getattr(change, name)) for name in ("public_summary", "impact")))
    return Wording(values | {"confirmed_for": sorted(private)}, private)


def corrected(there: Change, differs: dict) -> dict:
    """Return what a correction writes. Raises NotAllowed where words for everybody would tell of a private bug."""
    written = dict(differs)
    bugs = all_bugs(there, written)
    private, before = not_public(bugs), not_public(there.bugs)
    said = set(messages.read(f"{there.summary}\n{there.message}").bugs)
    if left_out := (before - set(bugs)) & said:
        raise NotAllowed(
            f"Its message names {listed(left_out)}, which {is_not_public(left_out)}: without the number here everybody "
            "would read the message. Leave it in, or hold the change."
        )
    if private and ("public_summary" in written or (there.is_public and private - before)):
        return worded(there, written, written.get("public_summary")).values
    if "impact" in written:
        say_nothing_of(private, written["impact"])
    return written if bugs == there.bugs else written | {"bugs": bugs}


def all_bugs(change: Change, values: dict) -> list[int]:
    """Return the bugs of a change as it will be: those it has, and those that its new words name."""
    typed = "\n".join(values[name] for name in TEXTS if values.get(name))
    found = [*values.get("bugs", change.bugs), *messages.read(typed).bugs]
    return list(dict.fromkeys(found))[: rules.MOST_BUGS]


def say_nothing_of(private: Collection[int], *texts: str) -> None:
    """Raise NotAllowed where a text for everybody names a bug that is not public."""
    named = [bug for bug in sorted(private) if any(rules.names(text, bug) for text in texts)]
    if named:
        raise NotAllowed(f"Everybody reads these words, and they name {listed(named)}, which {is_not_public(named)}.")


def public_line(text: str, change: Change) -> str:
    """Return a reason that everybody reads, on one line. Raises NotAllowed where it names a bug that is not public."""
    line = clean_line(text, 300)
    say_nothing_of(not_public({*change.bugs, *messages.read(line).bugs}), line)
    return line


def asks_for_words(private: Collection[int]) -> str:
    """Return the sentence that asks for other words."""
    return f"It names {listed(private)}, which {is_not_public(private)}: word it for everybody, without what they say."


def listed(bugs: Iterable[int]) -> str:
    """Return bugs as people say them: "bug 5, bug 7"."""
    return ", ".join(f"bug {bug}" for bug in sorted(bugs))


def is_not_public(bugs: Collection[int]) -> str:
    """Return the verb for one or for several."""
    return "is not public" if len(bugs) == 1 else "are not public"


def waits(change: Change, private: Collection[int]) -> bool:
    """Answer whether a person must word it before it can be public. `private`: bugs that are not; no query."""
    mine = set(change.bugs) & set(private)
    return waits_for_words(change.bugs, change.confirmed_for, private) or (bool(mine) and not change.public_summary)
