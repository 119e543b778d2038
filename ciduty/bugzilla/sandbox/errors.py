"""Bugzilla's refusals: code, sentence and HTTP status. Who refuses what stands where the rule stands.

Source of codes and sentences: recorded answers of real servers, and upstream's WebService/Constants.pm.
"""


class Refusal(Exception):
    """What Bugzilla answers instead of doing it. `code` is sent as a string by 5.3 and as a number by 5.2."""

    def __init__(self, code: int, message: str, status: int = 400, code_on_52: int | None = None):
        super().__init__(message)
        self.code, self.message, self.status = code, message, status
        self.code_on_52 = code if code_on_52 is None else code_on_52


def not_signed_in() -> Refusal:
    """Return the refusal of an anonymous caller."""
    return Refusal(410, "You must log in before using this part of Bugzilla.", 401)


def no_such_bug(bug_id) -> Refusal:
    """Return the refusal of a bug number that was never given."""
    return Refusal(101, f"Bug #{bug_id} does not exist.", 404)


def no_such_alias(text: str) -> Refusal:
    """Return the refusal of something that is neither a number nor an alias."""
    return Refusal(100, f"'{text}' is not a valid bug number nor an alias to a bug.")


def bug_hidden(bug_id: int, anonymous: bool) -> Refusal:
    """Return the refusal of a bug the caller may not see; a stranger is told to log in."""
    hint = (
        " To see this bug, you must first log in to an account with the appropriate permissions." if anonymous else ""
    )
    return Refusal(102, f"You are not authorized to access bug #{bug_id}.{hint}", 401)


def no_such_user(login: str) -> Refusal:
    """Return the refusal of a login nobody has."""
    return Refusal(
        51,
        f"There is no user named '{login}'. Either you mis-typed the name or that user has not yet registered for a "
        "Bugzilla account.",
        404,
    )


def no_such(kind: str, name: str, product: str = "") -> Refusal:
    """Return the refusal of a name that does not exist (in that product)."""
    where = f" in the '{product}' product" if product else ""
    return Refusal(51, f"There is no {kind} named '{name}'{where}.", 404)


def missing_argument(name: str, function: str = "") -> Refusal:
    """Return the refusal of a call that lacks an argument."""
    function = f" {function}" if function else ""
    return Refusal(50, f"The function{function} requires a {name} argument, and that argument was not set.")


def no_resource(method: str, path: str) -> Refusal:
    """Return the refusal of an address that is no part of the API; `path` starts behind /rest."""
    return Refusal(32614, f"A REST API resource was not found for '{method} {path}'.", 404)


def group_not_allowed(bug_id: int | None, group: str, product: str, removing: bool = False) -> Refusal:
    """Return the refusal of a group that does not exist or is not the caller's to use."""
    bug = f"bug {bug_id}" if bug_id else "a bug"
    tried, verb = (f"remove {bug} from", "remove bugs from") if removing else (f"restrict {bug} to", "restrict bugs to")
    return Refusal(
        120,
        f"You tried to {tried} the '{group}' group, but either this group does not exist, or you are not allowed to "
        f"{verb} this group in the '{product}' product.",
        401,
    )
