"""What may be wanted of a bug at all: refuses at the form what Bugzilla would refuse in any case (safety.md F17).

The table of what can be wanted, and what becomes of it, stands in `changes.py`.
"""

import re
import unicodedata

#: As Bugzilla counts: code points, after trimming. Longer ones are refused (114, 104), and never split.
LONGEST_COMMENT = 65_535
LONGEST_SUMMARY = 255
LONGEST_LINE = 255  # a login, a flag's name, our token
MOST_ID = 2**31 - 1
MOST_OF_EACH = 50  # flags, bugs depended on: more of them is a mistake

STATUSES = {"?", "+", "-", "X"}
REQUIRED = ("product", "component", "summary", "description")
_NO_OP = "0" * 8


class Unwritable(ValueError):
    """Bugzilla would refuse it in any case, or it makes no sense. `str()` is one sentence for a person."""


def ref(op: str) -> str:
    """Return the mark that stands in a comment of ours, and in the description of a bug that we file."""
    return f"ref {op}"


def comment_with_ref(text: str, op: str) -> str:
    """Return a comment as it is sent: the text, a blank line, and our ref, by which it is found again.

    Bugzilla trims white space at the end and turns line ends, so that texts cannot be compared, but refs can.
    """
    return f"{_as_bugzilla_keeps_it(text)}\n\n{ref(op)}"


def check(wants: dict) -> None:
    """Raise Unwritable unless this is something that can be wanted of a bug (the table in `changes.py`)."""
    if not isinstance(wants, dict) or not wants:
        raise Unwritable("Nothing is wanted of the bug: say at least one thing.")
    unknown = sorted(set(wants) - set(_CHECKS))
    if unknown:
        raise Unwritable(f"A bug has no {', '.join(map(repr, unknown))} that could be wanted.")
    if "new" in wants and set(wants) - {"new", "token", "token_kind"}:
        raise Unwritable("A new bug takes all its fields in 'new': nothing but the token may stand beside it.")
    if ("token" in wants) != ("token_kind" in wants):
        raise Unwritable("A token and its kind belong together: say both.")
    for name, value in wants.items():
        _CHECKS[name](value)
    if "token" in wants:
        _check_token_of_kind(wants["token"], wants["token_kind"])


def _as_bugzilla_keeps_it(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip()


def _text(value, name: str) -> str:
    if not isinstance(value, str):
        raise Unwritable(f"The {name} is no text.")
    for character in value:
        if character in "\n\r\t" or character.isascii() and character >= " " and character != "\x7f":
            continue
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise Unwritable(f"The {name} holds a character that cannot be sent (U+{ord(character):04X}): remove it.")
    return value


def _line(value, name: str, most: int = LONGEST_LINE) -> str:
    _text(value, name)
    if not value.strip():
        raise Unwritable(f"The {name} is empty.")
    if "\n" in value or "\r" in value:
        raise Unwritable(f"The {name} must be one line.")
    if len(value) > most:
        raise Unwritable(f"The {name} is {len(value)} characters long; Bugzilla takes {most}.")
    return value


def _comment(value, name: str = "comment") -> None:
    if not _text(value, name).strip():
        raise Unwritable(f"The {name} is empty.")
    length, most = len(comment_with_ref(value, _NO_OP)), LONGEST_COMMENT
    if length > most:
        raise Unwritable(
            f"The {name} is {length} characters long with the line by which it is found again; Bugzilla takes {most}: "
            "shorten it."
        )


def _login(value, name: str = "assignee") -> None:
    if re.search(r"[\s,]", _line(value, name)):
        raise Unwritable(f"The {name} is no login of Bugzilla: {value!r}.")


def _word(name: str):
    def check_word(value) -> None:
        if not re.fullmatch(r"[A-Z_]+", _line(value, name)):
            raise Unwritable(f"The {name} is none of Bugzilla's: write it like RESOLVED.")

    return check_word


def _flags(value) -> None:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_OF_EACH:
        raise Unwritable("The flags are no list of flags.")
    for flag in value:
        if not isinstance(flag, dict) or not {"name", "status"} <= set(flag) <= {"name", "status", "requestee"}:
            raise Unwritable("A flag is wanted by its name and status, and perhaps a requestee.")
        _line(flag["name"], "name of the flag")
        if flag["status"] not in STATUSES:
            raise Unwritable(f"A flag's status is one of {', '.join(sorted(STATUSES))}, not {flag['status']!r}.")
        if "requestee" in flag:
            _login(flag["requestee"], "requestee")
            if flag["status"] != "?":
                raise Unwritable("Only a flag with ? asks somebody: leave the requestee out.")
    if len({flag["name"] for flag in value}) < len(value):
        raise Unwritable("One flag is wanted twice.")


def _needinfo(value) -> None:
    if not isinstance(value, dict) or set(value) not in ({"of"}, {"clear"}):
        raise Unwritable("A needinfo is wanted 'of' a login, or to 'clear' the flags of these numbers.")
    if "of" in value:
        _login(value["of"], "person to be asked")
    else:
        _numbers("needinfos to clear")(value["clear"])


def _numbers(name: str):
    def check_numbers(value) -> None:
        if not isinstance(value, list) or not 0 < len(value) <= MOST_OF_EACH:
            raise Unwritable(f"The {name} are no list of numbers.")
        for number in value:
            if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= MOST_ID:
                raise Unwritable(f"The {name} hold something that is no number: {number!r}.")

    return check_numbers


def _token(value) -> None:
    if value != "":
        _line(value, "token")
        if "[" in value or "]" in value or value != " ".join(value.split()):
            raise Unwritable("A token of the whiteboard holds no brackets, tabs or double blanks.")


def _token_kind(value) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", value):
        raise Unwritable("The kind of a token is one word of small letters, digits and hyphens.")


def _check_token_of_kind(token: str, kind: str) -> None:
    if token and not token.startswith(f"{kind} "):
        raise Unwritable(f"A token of the kind {kind} is written '{kind} ...', with something that tells which.")


def _new(value) -> None:
    if not isinstance(value, dict):
        raise Unwritable("A new bug is wanted by its fields.")
    missing = [name for name in REQUIRED if not isinstance(value.get(name), str) or not value[name].strip()]
    if missing:
        raise Unwritable(f"A new bug needs {', '.join(missing)}.")
    for name, field in value.items():
        _line(name, "name of a field")
        if name in ("product", "component"):
            _line(field, name)
        elif name == "summary":
            _line(" ".join(_text(field, name).split()), name, LONGEST_SUMMARY)
        elif name == "description":
            _comment(field, name)
        else:
            _plain(field, name)


def _plain(value, name: str) -> None:
    """Look into whatever else a new bug takes: Bugzilla judges it, but it must be something that can be sent."""
    if isinstance(value, str):
        _text(value, name)
    elif isinstance(value, dict):
        for key, one in value.items():
            _plain(key, name)
            _plain(one, name)
    elif isinstance(value, list):
        for one in value:
            _plain(one, name)
    elif value is not None and not isinstance(value, (bool, int)):
        raise Unwritable(f"The {name} is neither text nor number.")


_CHECKS = {
    "comment": _comment,
    "assigned_to": _login,
    "status": _word("status"),
    "resolution": _word("resolution"),
    "flags": _flags,
    "needinfo": _needinfo,
    "token": _token,
    "token_kind": _token_kind,
    "depends_on": _numbers("bugs that it depends on"),
    "blocks": _numbers("bugs that it blocks"),
    "new": _new,
}
