"""The demo's mailing lists and pre-approvers: one has an account, one answers with the code in the mail."""

from ciduty.people.models import Approver, Person
from downtimes.models import ListUse, MailingList

LISTS = (
    ("dev.planning", "dev-planning@example.com", ListUse.ANNOUNCE, True),
    ("dev.tree-management", "dev-tree-management@example.com", ListUse.ANNOUNCE, True),
    ("all@", "all@example.com", ListUse.ANNOUNCE, False),
    ("release@", "release@example.com", ListUse.COPY, False),
    ("infra-all@", "infra-all@example.com", ListUse.COPY, False),
)


def load() -> None:
    """Write down whom the demo tells and whom it asks; what is there stays."""
    for name, address, use, mandatory in LISTS:
        MailingList.objects.get_or_create(address=address, use=use, defaults={"name": name, "mandatory": mandatory})
    manager = Person.objects.filter(username="manager").first()
    Approver.objects.get_or_create(
        address="manager@example.com", defaults={"name": "Demo manager", "person": manager, "is_pre_approver": True}
    )
    Approver.objects.get_or_create(
        address="pre-approver@example.com", defaults={"name": "Demo pre-approver", "is_pre_approver": True}
    )
