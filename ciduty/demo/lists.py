"""The demo's mailing lists, pre-approvers and links of the run sheet. One pre-approver has no account."""

from ciduty.people.models import Approver, Person
from downtimes.models import CheckLink, ListUse, MailingList
from downtimes.run.rules import Phase

LISTS = (
    ("dev.planning", "dev-planning@example.com", ListUse.ANNOUNCE, True),
    ("dev.tree-management", "dev-tree-management@example.com", ListUse.ANNOUNCE, True),
    ("all@", "all@example.com", ListUse.ANNOUNCE, False),
    ("release@", "release@example.com", ListUse.COPY, False),
    ("infra-all@", "infra-all@example.com", ListUse.COPY, False),
)
LINKS = (
    ("Treeherder, autoland", "https://treeherder.mozilla.org/jobs?repo=autoland", "Results come in, few are red."),
    ("Pending and running tasks", "https://firefox-ci-tc.services.mozilla.com/worker-manager", "No pool only waits."),
    (
        "Treeherder, mozilla-central",
        "https://treeherder.mozilla.org/jobs?repo=mozilla-central",
        "The last push is green.",
    ),
)


def load() -> None:
    """Write down whom the demo tells, whom it asks and where it looks; what is there stays."""
    for phase in Phase:
        for label, address, what_is_normal in LINKS:
            CheckLink.objects.get_or_create(
                address=address, phase=phase, defaults={"label": label, "what_is_normal": what_is_normal}
            )
    for name, address, use, mandatory in LISTS:
        MailingList.objects.get_or_create(address=address, use=use, defaults={"name": name, "mandatory": mandatory})
    manager = Person.objects.filter(username="manager").first()
    Approver.objects.get_or_create(
        address="manager@example.com", defaults={"name": "Demo manager", "person": manager, "is_pre_approver": True}
    )
    Approver.objects.get_or_create(
        address="pre-approver@example.com", defaults={"name": "Demo pre-approver", "is_pre_approver": True}
    )
