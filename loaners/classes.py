"""The machine classes that ciduty ships, under the names of the field, and how they get into an empty table."""

#: Placeholder until a lead writes the address of their own how-to into the class.
INTERACTIVE_TASK = "https://example.com/help/one-click-interactive-task/"

#: What ships. Only Linux tests in the cloud have a one-click interactive task; Windows hardware stands in a group of
#: its own while it is lent (domain.md, chapters 1 and 3).
SHIPPED = (
    {"name": "b-2008-ix", "label": "Windows builds, Server 2008 on hardware", "needs_group_switch": True},
    {"name": "bld-linux64-ec2", "label": "Linux 64-bit builds, cloud", "is_cloud": True},
    {"name": "t-linux64-ms", "label": "Linux 64-bit tests, Moonshot hardware"},
    {"name": "t-mojave-r7", "label": "macOS 10.14 tests, Mac mini"},
    {"name": "t-w1064-ms", "label": "Windows 10 64-bit tests, Moonshot hardware", "needs_group_switch": True},
    {"name": "t-w732-ix", "label": "Windows 7 32-bit tests, hardware", "needs_group_switch": True},
    {"name": "t-yosemite-r7", "label": "OS X 10.10 tests, Mac mini"},
    {
        "name": "tst-linux32-ec2",
        "label": "Linux 32-bit tests, cloud",
        "is_cloud": True,
        "self_service_url": INTERACTIVE_TASK,
    },
    {
        "name": "tst-linux64-ec2",
        "label": "Linux 64-bit tests, cloud",
        "is_cloud": True,
        "self_service_url": INTERACTIVE_TASK,
    },
)


def load(machine_class) -> int:
    """Write the shipped classes into an empty table, and return how many; a table that holds any is left alone.

    `machine_class` is the model, a migration's historical one too.
    """
    if machine_class.objects.exists():
        return 0
    return len(machine_class.objects.bulk_create(machine_class(**fields) for fields in SHIPPED))
