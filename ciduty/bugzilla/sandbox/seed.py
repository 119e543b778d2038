"""The small invented world a sandbox starts with, so that a newcomer finds people and requests to play with."""

from datetime import datetime, timedelta

from ciduty.bugzilla.sandbox.world import World

#: ciduty's own account in the sandbox. Worth nothing anywhere else.
BOT_KEY = "sandbox-bot-key-not-a-secret-0123456789ab"

OPERATIONS = "Infrastructure & Operations"
LOANS = "CIDuty: Loan Requests"

PEOPLE = (
    ("duty@example.com", "Duty", ("moco-specific", "treeclosers")),
    ("lead@example.com", "Team lead", ("moco-specific", "infra-bot-sees", "treeclosers", "insiders")),
    ("developer@example.com", "Developer", ()),
    ("developer2@example.com", "Second developer", ()),
    ("scheduler@example.com", "Downtime scheduler", ("moco-specific", "infra")),
    ("manager@example.com", "Manager", ("moco-specific", "infra", "infra-bot-sees", "treeclosers", "insiders")),
    ("sheriff@example.com", "Sheriff", ("moco-specific", "treeclosers")),
    ("bot@example.com", "CIDuty bot", ("moco-specific", "infra-bot-sees", "treeclosers")),
    ("nobody@example.com", "Nobody; default assignee", ()),
)
#: The story that the demo's change log tells: this pool broke so long ago.
BROKEN_POOL = "gecko-t/win11-64-2009"
BROKE_AGO = timedelta(hours=2, minutes=5)
STRANGERS_TO_EDITING = ("developer2@example.com", "nobody@example.com")


def seed(world: World, now: datetime | None = None) -> None:
    """Put people, products and bugs into an empty world; every time is relative to `now` (aware; else the world's)."""
    people(world)
    products(world)
    bugs(world, now or world.clock())


def bugs(world: World, now: datetime) -> None:
    """File the bugs of the story, so long before `now` as each happened, and let happen what followed."""
    for number, (age, fields, happened) in enumerate(_BUGS):
        _bug(world, 1_400_100 + 7 * number, now - age, fields, happened)


def people(world: World) -> None:
    """Put the people, their groups and the bot's key into a world."""
    for group in ("infra", "moco-specific", "infra-bot-sees", "treeclosers"):
        world.add_group(group)
    for login, real_name, groups in PEOPLE:
        key = BOT_KEY if login == "bot@example.com" else None
        world.add_user(login, real_name, key=key, groups=groups, may_edit=login not in STRANGERS_TO_EDITING)


def products(world: World) -> None:
    """Put the flags, products and components into a world."""
    world.add_flag_type("needs-treeclosure", requestable_by="editbugs", grantable_by="treeclosers")
    world.add_flag_type("needinfo", multiplicable=True)
    nobody = "nobody@example.com"
    world.add_product(OPERATIONS, ["CIDuty", LOANS, "RelOps: Hardware"], default_assignee=nobody)
    world.add_product("Release Engineering", ["Loan Requests", "General"], default_assignee=nobody)
    world.add_product("mozilla.org", ["Server Operations"], default_assignee=nobody)
    services = ["Operations and Service Requests"]
    world.add_product("Taskcluster", services, flag_types=("needinfo",), default_assignee=nobody)


def _bug(world: World, bug_id: int, at: datetime, fields: dict, happened: tuple) -> None:
    fields = {"product": OPERATIONS, "component": LOANS, "creator": "developer@example.com"} | fields
    world.add_bug(id=bug_id, at=at, **fields)
    for after, login, what in happened:
        if isinstance(what, str):
            world.comment(bug_id, login, what, at=at + after)
        else:
            world.update(bug_id, login, what, at=at + after)


def _minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def _hours(count: float) -> timedelta:
    return timedelta(hours=count)


def _days(count: float) -> timedelta:
    return timedelta(days=count)


def _loan(summary: str, machine: str, why: str, how_long: str, **others) -> dict:
    text = (
        f"Machine: {machine}\nWhy: {why}\nHow long: {how_long}\nI am in the VPN group and have read the loaner policy."
    )
    return {"summary": summary, "description": text, **others}


_DUTY, _SHERIFF, _LEAD = "duty@example.com", "sheriff@example.com", "lead@example.com"
_DEVELOPER, _DEVELOPER_2 = "developer@example.com", "developer2@example.com"
_SCHEDULER = "scheduler@example.com"

#: How long ago, what was filed, and what happened since: (how long after, who, a comment or a change).
_BUGS = (
    (
        _days(19),
        _loan(
            "Loan a t-linux64-ms machine to developer: reftest fuzz differs from my laptop",
            "t-linux64-ms",
            "layout/reftests/svg fails by one pixel on the moonshots and nowhere else.",
            "one week",
            whiteboard="[loaner:t-linux64-ms-113]",
        ),
        (
            (
                _hours(2),
                _DUTY,
                {"status": "ASSIGNED", "assigned_to": _DUTY, "comment": {"body": "t-linux64-ms-113 is yours."}},
            ),
            (_days(8), _DEVELOPER, "Done with it, thank you. Nothing of mine is left on the disk."),
            (_days(8.2), _DUTY, {"status": "RESOLVED", "resolution": "FIXED", "comment": {"body": "Re-imaged."}}),
        ),
    ),
    (
        _days(9),
        _loan(
            "Loan a t-yosemite-r7 machine to developer2: audio tests hang after the update",
            "t-yosemite-r7",
            "dom/media tests stop in the middle; a stack from the hung process would help.",
            "until the end of next week",
            creator=_DEVELOPER_2,
        ),
        (
            (
                _hours(5),
                _DUTY,
                {
                    "status": "ASSIGNED",
                    "assigned_to": _DUTY,
                    "whiteboard": "[loaner:t-yosemite-r7-0218]",
                    "comment": {"body": "t-yosemite-r7-0218 is out of the pool; the password comes separately."},
                },
            ),
        ),
    ),
    (
        _days(4),
        {
            "summary": "Downtime: switch firmware upgrade in mdc1",
            "description": "All builders in mdc1 lose their network for about 40 minutes. The trees need to be closed.",
            "component": "RelOps: Hardware",
            "creator": "scheduler@example.com",
            "whiteboard": "[downtime]",
            "flags": [{"name": "needs-treeclosure", "status": "?"}],
        },
        (
            (
                _days(1),
                _SHERIFF,
                {"flags": [{"name": "needs-treeclosure", "status": "+"}], "comment": {"body": "Agreed."}},
            ),
        ),
    ),
    (
        _days(3),
        {
            "summary": "Downtime: database failover of the hg web heads",
            "description": "Pushes fail for up to ten minutes. Planned for a Saturday morning.",
            "product": "mozilla.org",
            "component": "Server Operations",
            "creator": "scheduler@example.com",
            "whiteboard": "[downtime]",
            "flags": [{"name": "needs-treeclosure", "status": "?", "requestee": _SHERIFF}],
        },
        (),
    ),
    (
        _days(2.4),
        _loan(
            "Loan a t-w1064-ms machine to developer: mochitest-media times out only on Windows hardware",
            "t-w1064-ms",
            "test_video_in_audio_element.html times out on the hardware workers; no virtual machine shows it.",
            "three days",
            whiteboard="[loaner]",
        ),
        ((_hours(26), _DEVELOPER, "Is there anything missing from my side?"),),
    ),
    (
        _days(2),
        _loan(
            "Need access to a macosx1014 test machine for a startup crash",
            "t-mojave-r7",
            "Crash at startup in the graphics process, only with the real card.",
            "two days",
            creator=_DEVELOPER_2,
        ),
        (),
    ),
    (
        _days(1.6),
        _loan(
            "Loan request: Android phone",
            "a Pixel 2",
            "A perf regression I cannot see in the emulator.",
            "not sure yet",
        ),
        (
            (
                _hours(1),
                _SHERIFF,
                {
                    "flags": [{"name": "needinfo", "status": "?", "requestee": _DEVELOPER, "new": True}],
                    "comment": {"body": "Which suite, and do you need root?"},
                },
            ),
        ),
    ),
    (
        _hours(20),
        _loan(
            "Loan a talos-linux machine to developer2: tp5o is noisy since Tuesday",
            "t-linux64-ms",
            "Bisecting on the try server takes too long; I would like to run talos by hand.",
            "one week",
            creator=_DEVELOPER_2,
        ),
        ((_hours(3), _DUTY, "Looking for a free one; you will have it tomorrow."),),
    ),
    (
        _hours(9),
        _loan(
            "Extend the loan of t-w1064-ms-042 by a week",
            "t-w1064-ms-042",
            "The fix is in review and I have to verify it on the same machine.",
            "one more week",
            product="Release Engineering",
            component="Loan Requests",
            whiteboard="[loaner:t-w1064-ms-042]",
        ),
        (),
    ),
    (
        _hours(6),
        _loan(
            "Loan a signing test machine to manager",
            "signing-test",
            "The partner build fails verification; details in the partner's report.",
            "one day",
            creator="manager@example.com",
            groups=("moco-specific",),
        ),
        (),
    ),
    (
        _hours(26),
        _loan(
            "Loan a release builder to scheduler: embargoed partner build",
            "release-builder",
            "The build is under embargo; only the bot and the lead may read this.",
            "two days",
            creator="scheduler@example.com",
            groups=("infra-bot-sees",),
        ),
        (),
    ),
    (
        _hours(5),
        {
            "summary": "Rotate the credentials of the imaging server",
            "description": "The old ones were seen in a log. Not to be talked about outside the group.",
            "component": "RelOps: Hardware",
            "creator": "manager@example.com",
            "groups": ("infra-bot-sees",),
        },
        (),
    ),
    (
        _hours(3),
        {
            "summary": "Cooling maintenance in mdc2: which machines may go down?",
            "description": "The supplier wants two hours. Shall the trees be closed?",
            "component": "RelOps: Hardware",
            "creator": "scheduler@example.com",
            "whiteboard": "[downtime]",
            "flags": [{"name": "needs-treeclosure", "status": "?"}],
        },
        (),
    ),
    (
        BROKE_AGO,
        {
            "summary": f"{BROKEN_POOL}: no task gets past its start",
            "description": "Every task of this pool ends after some seconds with exit code 0xc0000142. Other pools are "
            "well. What changed before this broke?",
            "component": "CIDuty",
            "creator": _SHERIFF,
        },
        (),
    ),
    (
        _hours(2),
        _loan(
            "Loan a t-w1064-ms machine to developer2: accessibility tests need a real desktop",
            "t-w1064-ms",
            "The screen reader does not start in the headless session.",
            "four days",
            creator=_DEVELOPER_2,
            whiteboard="[loaner]",
        ),
        (),
    ),
    (
        _minutes(50),
        {
            "summary": "A worker pool that does not start any task",
            "description": "gecko-t/win10-64-hw has pending tasks and no running ones.",
            "product": "Taskcluster",
            "component": "Operations and Service Requests",
            "creator": _SHERIFF,
        },
        (),
    ),
    (
        _minutes(35),
        {
            "summary": "Hand-over notes of last night",
            "description": "Two machines came back by themselves; the third is on the list.",
            "component": "CIDuty",
            "creator": _LEAD,
        },
        (),
    ),
    (
        _minutes(12),
        _loan(
            "Loan a b-2012 builder to developer: link step runs out of memory",
            "b-2012",
            "The pgo link fails one time in five; I want to watch it with the debugger.",
            "one week",
        ),
        (),
    ),
    (
        _minutes(4),
        _loan(
            "Please lend me a Windows 10 machine with a touch screen",
            "t-w1064-ref",
            "Touch events arrive twice in the new compositor.",
            "two weeks",
            creator=_DEVELOPER_2,
        ),
        (),
    ),
    (
        _days(6),
        {
            "summary": "New firmware for the core switches in mdc1",
            "description": "Both switches restart in turn. The trees need to be closed for half an hour.",
            "component": "RelOps: Hardware",
            "creator": _SCHEDULER,
            "assigned_to": _SCHEDULER,
            "whiteboard": "[downtime]",
            "flags": [{"name": "needs-treeclosure", "status": "?"}],
        },
        ((_days(2), _SHERIFF, {"flags": [{"name": "needs-treeclosure", "status": "+"}]}),),
    ),
    (
        _days(5),
        {
            "summary": "Move the database of Treeherder to a larger machine",
            "description": "No results are shown while it moves. The trees need to be closed.",
            "product": "mozilla.org",
            "component": "Server Operations",
            "creator": _SCHEDULER,
            "assigned_to": _LEAD,
            "whiteboard": "[downtime]",
            "flags": [{"name": "needs-treeclosure", "status": "?"}],
        },
        ((_days(2), _SHERIFF, {"flags": [{"name": "needs-treeclosure", "status": "+"}]}),),
    ),
)
