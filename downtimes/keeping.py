"""Which lists are told of downtimes and who is asked to agree: kept by a lead, each change on the record.

Addresses and names drift, so they are rows (design.md, decision 10). What may be typed: `keeping_forms.py`.
"""

from django.db import IntegrityError, transaction

from ciduty.people.models import Approver
from ciduty.record import write
from ciduty.states import NotAllowed
from downtimes.models import CheckLink, ListUse, MailingList

LISTS = "lists and approvers"
NO_MANDATORY_LIST = (
    "No list in use is marked as mandatory: nothing can be announced, since nobody would have to be told. Mark one."
)
NO_PRE_APPROVER = "Nobody is a pre-approver: no downtime can be agreed to before its lists hear of it. Add one."
TAKEN = "Somebody saved the same address, or the same account, at this moment: look at the list, then save again."


def warnings() -> list[str]:
    """Return what is missing before anything can be announced."""
    mandatory = MailingList.objects.filter(use=ListUse.ANNOUNCE, mandatory=True, is_used=True)
    found = [] if mandatory.exists() else [NO_MANDATORY_LIST]
    return found if Approver.objects.pre_approvers().exists() else [*found, NO_PRE_APPROVER]


def keep_list(row: MailingList, fields: dict, *, by) -> MailingList:
    """Add a list or change one. Raises NotAllowed when the same address was saved at the same moment."""
    return _keep(row, fields, f"list {row.name or fields['name']}", by=by)


def keep_approver(row: Approver, fields: dict, *, by) -> Approver:
    """Add an approver or change one. Raises NotAllowed likewise."""
    return _keep(row, fields, f"approver {row.name or fields['name']}", by=by)


def keep_check_link(row: CheckLink, fields: dict, *, by) -> CheckLink:
    """Add a link of the run sheet or change one. Raises NotAllowed likewise."""
    return _keep(row, fields, f"link {row.label or fields['label']}", by=by)


def _keep(row, fields: dict, called: str, *, by):
    changed = [name for name, value in fields.items() if getattr(row, name) != value]
    is_new = row.pk is None
    if not changed and not is_new:
        return row
    for name, value in fields.items():
        setattr(row, name, value)
    try:
        with transaction.atomic():
            row.save()
            names = ", ".join(name.replace("_", " ") for name in changed)
            sentence = f"Added the {called}" if is_new else f"Changed the {called}: {names}"
            write.entry(LISTS, "added" if is_new else "changed", sentence, by=by)
    except IntegrityError:
        raise NotAllowed(TAKEN) from None
    return row
