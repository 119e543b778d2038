"""The outage without a plan: trees closed and everybody told at once; verified and ended as any downtime (issue 7)."""

import html
import re
from datetime import timedelta

import pytest

from ciduty import clock
from ciduty.bugzilla.models import Visibility
from ciduty.outbox import delivery
from ciduty.outbox.models import Mail, TreeChange
from ciduty.people.roles import Role
from ciduty.states import NotAllowed
from ciduty.trees import polling
from ciduty.trees.models import Closure
from ciduty.trees.sandbox import BOT_TOKEN, Sandbox, World, editing
from downtimes.models import Announcement, Downtime, RunTree
from downtimes.run import facts, finishing, outage, reopening, steering
from downtimes.run.rules import Step, Word
from tests.cast import A_MORNING, BugFactory, DowntimeFactory, MailingListFactory
from tests.downtime_stage import op

pytestmark = pytest.mark.django_db

ADDRESS, SHERIFF = "/downtimes/outage/", "sheriff@example.com"
REASON = "hg.mozilla.org does not answer"
PRIVATE = 1666001
TYPED = {
    "op": "0a1b2c3d", "others": "autoland try", "category": "infra", "reason": REASON, "bug": "1400300",
    "expected": "1h", "text": "Please wait.",
}  # fmt: skip


@pytest.fixture(autouse=True)
def morning(people):
    """The clock stands on a working morning, and two lists are told of downtimes."""
    clock.move(A_MORNING - clock.now())
    MailingListFactory(name="dev.planning", address="dev-planning@example.com")
    MailingListFactory(name="all@", address="all@example.com", mandatory=False)


@pytest.fixture
def service(settings):
    """A tree status service of three open trees, which ciduty has read and may write to."""
    world = World()
    world.set_clock(clock.now)
    for name in ("autoland", "mozilla-central", "try"):
        editing.create(world, SHERIFF, name)
    with Sandbox(world) as sandbox:
        settings.TREESTATUS_URL, settings.TREESTATUS_WRITES = sandbox.url, "patch"
        settings.TREESTATUS_TOKEN = BOT_TOKEN
        assert polling.poll().problem == ""
        yield sandbox
    world.close()


def begin(by, *trees, **asked):
    """Begin an outage of these trees, and return it."""
    asked = {
        "op": op(), "category": "infra", "reason": REASON, "bug": None, "expected_end": None, "text": "Please wait.",
    } | asked  # fmt: skip
    return outage.begin_outage(by=by, trees=trees, **asked)


def words(downtime):
    """Return how each tree of a downtime stands now."""
    return {one.name: one.word for one in facts.trees_of(downtime, clock.now())}


def deliver_and_poll():
    """Let the outbox write what is due, and polling read it a minute later."""
    delivery.deliver(delivery.TREES)
    clock.move(timedelta(minutes=1))
    assert polling.poll().problem == ""


def end(downtime, by):
    """Say what a sheriff says, and tell everybody TREE OPEN."""
    steering.do_step(downtime, Step.SHERIFF_AGREES, "the sheriff on duty", by=by)
    letter = finishing.letter(downtime, clock.now())
    return finishing.finish(downtime, by=by, shown_sha256=finishing.sha256_of(letter))


def text_of(answer):
    """Return a page's words without its markup."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def test_one_page_closes_the_trees_and_tells_every_list(clients, duty):
    answer = clients[Role.DUTY].post(ADDRESS, TYPED)
    made = Downtime.objects.get()
    assert answer.headers["Location"] == f"/downtimes/{made.pk}/run/"
    at = clock.now()
    assert (made.kind, made.state, made.title, made.duty) == ("unplanned", "running", REASON, duty)
    assert timedelta(minutes=58) < made.ends_at - at < timedelta(minutes=61)
    assert made.begun_at == made.starts_at == made.told_first_at and at - made.begun_at < timedelta(minutes=1)
    assert (made.category, made.reason, made.tracking_bug) == ("infra", f"{REASON} (Bug 1400300)", 1400300)
    assert words(made) == {"autoland": Word.CLOSED, "try": Word.CLOSED}
    for closure in Closure.objects.standing():
        assert (closure.about, closure.category, closure.bug_id) == (made.about, "infra", 1400300)
        assert (closure.reason, closure.owner, closure.expected_end) == (made.reason, duty, made.ends_at)

    mails = Mail.objects.order_by("pk")
    assert [mail.recipient for mail in mails] == ["dev-planning@example.com", "all@example.com"]
    assert {mail.subject for mail in mails} == {f"[Downtime] Outage: {REASON}"}
    told = bytes(mails[0].message).decode()
    for said in ("autoland, try", "Please wait.", "(Bug 1400300)"):
        assert said in told

    assert clients[Role.DUTY].post(ADDRESS, TYPED).headers["Location"] == f"/downtimes/{made.pk}/run/"  # sent twice
    assert (Downtime.objects.count(), Closure.objects.count(), Mail.objects.count()) == (1, 2, 2)
    assert REASON in text_of(clients[Role.DUTY].get(f"/downtimes/{made.pk}/run/"))
    assert REASON in text_of(clients[Role.PUBLIC].get("/downtimes/"))  # everybody was told


def test_it_ends_as_any_downtime_does_with_an_answer_to_the_first_mail(duty, settings):
    settings.EMAIL_URL = "smtp://localhost:25"
    made = begin(duty, "autoland")
    first = {mail.recipient: mail.message_id for mail in Mail.objects.all()}
    with pytest.raises(NotAllowed, match="autoland is still closed by us"):
        finishing.finish(made, by=duty, shown_sha256="")
    with pytest.raises(NotAllowed, match="Nobody checked yet"):
        reopening.reopen(made, None, by=duty, op=op())
    steering.do_step(made, Step.CHECKED, "", by=duty)
    reopening.reopen(made, None, by=duty, op=op())
    assert words(made) == {"autoland": Word.OPEN}
    made = end(made, duty)
    assert (made.state, made.review.written_at) == ("done", None)
    mails = Mail.objects.filter(subject=f"TREE OPEN: {REASON}")
    assert {mail.recipient: mail.in_reply_to for mail in mails} == first


def test_beside_a_service_it_is_closed_when_polling_says_so(service, duty):
    editing.update(service.world, SHERIFF, ["try"], "closed", "Tests fail", ["checkin_test"])
    assert polling.poll().problem == ""
    made = begin(duty, "autoland", "try")
    before = {row.name: row.before for row in RunTree.objects.all()}
    assert (before["autoland"]["status"], before["try"]["reason"]) == ("open", "Tests fail")
    assert words(made) == {"autoland": Word.CLOSING, "try": Word.CLOSED_BEFORE}
    [change] = TreeChange.objects.all()
    assert (change.wants["trees"], change.wants["reason"], change.wants["tags"]) == (["autoland"], REASON, ["infra"])
    deliver_and_poll()
    assert words(made) == {"autoland": Word.CLOSED, "try": Word.CLOSED_BEFORE}
    steering.do_step(made, Step.CHECKED, "", by=duty)
    reopening.reopen(made, None, by=duty, op=op())
    deliver_and_poll()
    assert words(made) == {"autoland": Word.OPEN, "try": Word.CLOSED_BEFORE}
    assert end(made, duty).state == "done"


def test_a_second_outage_of_a_tree_keeps_it_closed_when_the_first_is_over_and_then_reopens_it(duty, lead):
    first, second = begin(duty, "autoland", "try"), begin(lead, "autoland", reason="The build network is down")
    assert words(second) == {"autoland": Word.CLOSED_BEFORE}
    steering.do_step(first, Step.CHECKED, "", by=duty)
    said = reopening.reopen(first, None, by=duty, op=op())
    assert said == [f"autoland stays as it is: {second.about} needs it so, and gives it back."]
    assert words(first) == {"autoland": Word.LEFT, "try": Word.OPEN} and words(second) == {"autoland": Word.CLOSED}
    [closure] = Closure.objects.standing()
    assert (closure.about, closure.owner, closure.reason) == (second.about, lead, "The build network is down")
    letter = finishing.letter(first, clock.now())
    assert "autoland: closed, left as it is: another downtime needs it so" in " ".join(letter.body.split())
    assert end(first, duty).state == "done"
    steering.do_step(second, Step.CHECKED, "", by=lead)
    assert reopening.reopen(second, None, by=lead, op=op()) == []
    assert words(second) == {"autoland": Word.OPEN} and not Closure.objects.standing().exists()


@pytest.mark.parametrize("both_ask", [True, False])
def test_beside_a_service_a_tree_passes_to_the_outage_that_needs_it_whoever_closed_it(service, duty, lead, both_ask):
    """F55: of equal words both own one log entry, or the second finds the tree closed by the first."""
    editing.update(service.world, SHERIFF, ["autoland"], "approval required", "soft freeze", ["merges"])
    polling.poll()
    first = begin(duty, "autoland")
    if not both_ask:
        deliver_and_poll()
    second = begin(lead, "autoland")
    deliver_and_poll()
    assert words(second) == {"autoland": Word.CLOSED if both_ask else Word.CLOSED_BEFORE}
    for one, by in [(first, duty), (second, lead)]:
        steering.do_step(one, Step.CHECKED, "", by=by)
        reopening.reopen(one, None, by=by, op=op())
        deliver_and_poll()
        assert service.world.tree("autoland")["status"] == ("closed" if one == first else "approval required")
    assert words(first) == {"autoland": Word.LEFT} and words(second) == {"autoland": Word.OPEN}
    assert not Closure.objects.standing().exists() and end(second, lead).state == end(first, duty).state == "done"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"trees": []}, "Name at least one tree"),
        ({"reason": " "}, "Say why it is closed"),
        ({"category": "tired"}, "Choose a category"),
        ({"expected_end": A_MORNING - timedelta(hours=1)}, "that is over"),
        ({"reason": f"See bug {PRIVATE}"}, "is not public"),
        ({"text": f"See bug {PRIVATE}"}, "is not public"),
    ],
)
def test_what_cannot_be_closed_closes_nothing_and_tells_nobody(duty, wrong, says):
    BugFactory(pk=PRIVATE, visibility=Visibility.RESTRICTED, is_loaner_request=False)
    with pytest.raises(NotAllowed, match=says):
        begin(duty, *wrong.pop("trees", ["autoland"]), **wrong)
    for model in (Downtime, Closure, Mail, Announcement):
        assert not model.objects.exists()


def test_an_unknown_tree_and_a_stranger_are_refused(service, duty, developer):
    with pytest.raises(NotAllowed, match="No tree is called autolnad, old: look at its name"):
        begin(duty, "autoland", "autolnad", "old")
    with pytest.raises(NotAllowed, match="Only CiDuty"):
        begin(developer, "autoland")
    assert not Downtime.objects.exists() and not TreeChange.objects.exists()


def test_the_mail_blames_the_outage_for_no_tree_that_was_closed_before(service, duty):
    editing.update(service.world, SHERIFF, ["try"], "closed", "bustage", ["checkin_test"])
    polling.poll()
    outage_ = begin(duty, "autoland", "try")
    text = Announcement.objects.get(downtime=outage_).text
    assert "autoland\nClosed since 2026-03-03 09:00 UTC." in text
    assert "try\nClosed before, and not for this: it stays as it is." in text


def test_a_bug_that_is_not_public_is_kept_and_named_to_nobody(duty):
    BugFactory(pk=PRIVATE, visibility=Visibility.STAFF, is_loaner_request=False)
    made = begin(duty, "autoland", bug=PRIVATE)
    assert (made.tracking_bug, made.reason, Closure.objects.get().reason) == (PRIVATE, REASON, REASON)
    assert str(PRIVATE) not in bytes(Mail.objects.first().message).decode()


def test_the_form_offers_what_is_known_shows_the_mail_and_loses_nothing(service, clients, duty):
    editing.update(service.world, SHERIFF, ["try"], "closed", "Tests fail", ["checkin_test"])
    polling.poll()
    DowntimeFactory(state="running", title="Switches in mdc1", trees=["autoland"], made_by=duty)
    browser = clients[Role.DUTY]
    page = text_of(browser.get(ADDRESS + "?tree=autoland"))
    for said in ("autoland mozilla-central try (closed already)", "“Switches in mdc1” runs already and closes autoland",
                 "This was not planned.", "The mail goes to dev.planning, all@."):  # fmt: skip
        assert said in page
    assert "not listed" not in page  # the service knows what there is

    typed = {name: value for name, value in TYPED.items() if name != "others"} | {"trees": ["autoland"]}
    shown = browser.post(ADDRESS, typed | {"show": "1"})
    assert shown.status_code == 200 and Downtime.objects.count() == 1 and not Mail.objects.exists()
    assert f"[Downtime] Outage: {REASON}" in text_of(shown) and "Closed since" in text_of(shown)
    for wrong, says in (
        ({"trees": []}, "Name at least one tree."),
        ({"trees": ["autolnad"]}, "“autolnad” is no tree that is known here."),
        ({"text": ""}, "Say what everybody is to do"),
        ({"op": "?"}, "This form is no longer whole"),
    ):
        answer = browser.post(ADDRESS, typed | wrong)
        assert answer.status_code == 422 and says in text_of(answer) and REASON in answer.content.decode()
    assert Downtime.objects.count() == 1


def test_every_page_shows_an_outage_whose_end_nobody_knows(clients, duty):
    made = begin(duty, "autoland")
    assert made.ends_at is None
    own = [f"/downtimes/{made.pk}/{name}" for name in ("", "plan/", "run/", "run/saved/", "run/tree-open/", "review/")]
    for hours in (0, 100):
        clock.move(timedelta(hours=hours))
        for address in (*own, "/", "/downtimes/", "/downtimes/calendar.ics", "/trees/", "/changes/", ADDRESS):
            answer = clients[Role.DUTY].get(address)
            assert answer.status_code == 200, (address, hours)
        assert "verdue" not in text_of(clients[Role.DUTY].get(f"/downtimes/{made.pk}/run/"))
    assert REASON in text_of(clients[Role.PUBLIC].get("/downtimes/")) and "autoland" in text_of(
        clients[Role.PUBLIC].get(f"/downtimes/{made.pk}/")
    )


def test_the_way_to_it_stands_where_duty_looks_and_nowhere_else(clients):
    for address in ("/", "/trees/", "/downtimes/"):
        for role, is_there in ((Role.DUTY, True), (Role.MANAGER, False), (Role.PUBLIC, False)):
            page = clients[role].get(address, follow=True).content.decode()
            assert (f'href="{ADDRESS}"' in page) is is_there, (address, role)
    assert clients[Role.MANAGER].get(ADDRESS).status_code == 403
