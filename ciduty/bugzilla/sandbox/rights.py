"""Who may change which field, as upstream's check_can_change_field. Who sees a bug is decided in stored."""

from ciduty.bugzilla.sandbox import errors, schema
from ciduty.bugzilla.sandbox.directory import Account

_ASSIGNEE_OR_REPORTER = "the assignee or reporter of the bug, or a user with the required permissions"
_ASSIGNEE = "the assignee of the bug, or a user with the required permissions"
_EMPOWERED = "a user with the required permissions"


def check(account: Account, bug: dict, field: str, label: str, wanted) -> None:
    """Raise Refusal 115 when an account may not change a field of a bug."""
    who = _who_may(account, bug, field, wanted)
    if who is None:
        return
    old, new = bug[field], wanted
    came = f" from {old}" if old not in (None, "") else ""
    goes = f" to {new}" if new not in (None, "") else ""
    raise errors.Refusal(
        115, f"You tried to change the {label} field{came}{goes}, but only {who} may change that field.", 401
    )


def _who_may(account: Account, bug: dict, field: str, wanted) -> str | None:
    """Return None when this account may, else who may."""
    if account.may_edit:
        return None
    if field == "is_confirmed" or field == "deadline":
        return _EMPOWERED
    if bug["assigned_to"] == account.login:
        return None
    if field in ("assigned_to", "target_milestone"):
        return _ASSIGNEE
    if field == "status" and bug["status"] in schema.OPEN_STATUSES and wanted in schema.OPEN_STATUSES:
        return _ASSIGNEE
    return None if bug["creator"] == account.login else _ASSIGNEE_OR_REPORTER
