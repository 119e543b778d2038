"""The words of a bug that turns private leave nowhere through downtimes, whenever it turns; what was typed may.

One window with two bugs of the same words in every place: one of them turns private before the notice is drafted, after
everybody agreed, between the claim of a mail and its sending, or after the lists were told.
"""

import re
from datetime import timedelta

import pytest

from ciduty import clock
from ciduty.bugzilla import mirror, poll
from ciduty.bugzilla.models import Bug, BugText, Visibility
from ciduty.outbox import delivery, post, smtp
from ciduty.outbox.models import BugUpdate, Mail
from ciduty.outbox.rules import State
from ciduty.people.models import BugzillaLogin
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from downtimes import announcing, facts, review, rules, sync, windows
from downtimes.models import Item, Nomination, Told
from downtimes.run import beginning, bug_words, finishing, steering, working
from downtimes.run.rules import Step
from tests import downtime_stage, run_stage
from tests.canaries import canary, every_logger_talks, login, places_found, plant_one, plant_people
from tests.cast import BugTextFactory, ItemFactory, addresses_of_the_site, cycle_done
from tests.instruments.mail_server import MailServer

pytestmark = pytest.mark.django_db

MOMENTS = ["before drafting", "after agreement", "between claim and send", "after publication"]
#: How a bug turns private, and the group that it is put into.
TURNS = {"turned private, seen by the bot": "infra-bot-sees", "turned private, hidden from the bot": "infra"}
PUBLIC = "public"
ROLES_OF_PLANS = (Role.SCHEDULER, Role.MANAGER, Role.DUTY, Role.LEAD)


def typed(kind):
    """Return the word that a person typed for the public about a bug."""
    return canary(kind, "public text")


class Story:
    """One window from its work to the lists; the bug of `kind` can turn private at any moment of it."""

    def __init__(self, bugzilla, people, server, kind):
        self.world, self.people, self.server, self.kind = bugzilla.world, people, server, kind
        self.duty = people[Role.DUTY]
        self.bugs = {}
        for one in (kind, PUBLIC):
            plant_people(self.world, one)
            self.bugs[one] = plant_one(self.world, one, [], "waiting")
        cycle_done()
        self.downtime = downtime_stage.plan(people, title="Switches")
        worker = BugzillaLogin.objects.get(login=downtime_stage.WORKER).person
        for one, bug in self.bugs.items():
            BugzillaLogin.objects.create(person=worker, login=login(one, "assignee").lower())
            nomination = Nomination.objects.get(bug_id=bug)
            review.accept(nomination, by=self.duty, downtime=self.downtime, op=post.new_op())

    @property
    def bug(self):
        return self.bugs[self.kind]

    def item(self, kind=None):
        return Item.objects.get(downtime=self.downtime, bug_id=self.bugs[kind or self.kind])

    def turn_private(self):
        """Put the bug into a group and let one poll pass."""
        self.world.update(self.bug, "scheduler@example.com", {"groups": {"add": [TURNS[self.kind]]}})
        clock.move(timedelta(minutes=1))
        assert poll.poll().outcome == "done"
        assert Bug.objects.get(pk=self.bug).visibility == Visibility.RESTRICTED

    def draft(self):
        """Type the public text of both, and who does the work where nobody is named."""
        for kind in self.bugs:
            item = self.item(kind)
            fields = {"public_text": typed(kind), "minutes": 10, "rollback_minutes": 10}
            windows.edit_item(item, fields, by=self.duty, confirms=True)
            if not item.worker:
                windows.edit_item(item, {"worker": downtime_stage.WORKER}, by=self.duty)

    def agree(self):
        self.downtime.refresh_from_db()
        return downtime_stage.everybody_approves(self.downtime, self.people[Role.LEAD])

    def announce(self):
        number = self.downtime.versions.order_by("-number").first().number
        return announcing.announce(self.downtime, by=self.duty, version=number)

    def deliver(self):
        return dict(delivery.deliver(delivery.MAIL))

    def announcements_taken(self):
        """Return the texts of the announcements that the mail server took, in the order in which they came."""
        of = {mail.message_id for mail in Mail.objects.filter(purpose=announcing.ANNOUNCE)}
        return [taken.message.decode() for taken in self.server.taken() if taken.message_id in of]

    def why_not_announce(self):
        self.downtime.refresh_from_db()
        return " ".join(rules.refusals("announce", facts.facts_of(self.downtime, clock.now())))


@pytest.fixture
def server(settings):
    with MailServer() as server:
        settings.EMAIL_URL = server.url
        yield server


@pytest.fixture
def everything_logged(caplog):
    with every_logger_talks(caplog):
        yield caplog


@pytest.fixture(params=TURNS)
def story(request, bugzilla, people, server, everything_logged):
    return Story(bugzilla, people, server, request.param)


# --- everything that can be read --------------------------------------------------------------------------------------


def pages(clients, downtime):
    """Yield who reads, which page and its text: every page of downtimes, of the outbox and the desk, by everybody."""
    items = list(downtime.items.values_list("pk", flat=True))
    tokens = sorted(set(re.findall(r"/sign-off/([\w-]{43})/", mails_as_text())))
    arguments = {
        "downtime_id": [downtime.pk], "item_id": items, "token": tokens, "answer_id": [1], "bug_id": [1],
        "nomination_id": list(downtime.items.values_list("nomination", flat=True)),
    } | dict.fromkeys(["person_id", "row_id", "machine_id", "application_id", "step_id", "grant_id"], [1])  # fmt: skip
    site = addresses_of_the_site(**arguments)
    addresses = ["/", "/outbox/", *(address for address in site if address.startswith(("/downtimes/", "/sign-off/")))]
    addresses += [f"/outbox/mail/{pk}/" for pk in Mail.objects.values_list("pk", flat=True)]
    addresses += [f"/outbox/bug/{pk}/" for pk in BugUpdate.objects.values_list("pk", flat=True)]
    for role, client in clients.items():
        for address in addresses:
            answer = client.get(address)
            yield role, address, f"{answer.headers}\n{answer.content.decode()}"


def mails_as_text():
    return "\n".join(bytes(mail.message).decode() + mail.subject + mail.recipient for mail in Mail.objects.all())


def written_down():
    """Return everything that goes out or stays as a record."""
    entries = [(entry.sentence, entry.before, entry.after) for entry in Entry.objects.all()]
    updates = [(row.wants, row.seen, row.last_words) for row in BugUpdate.objects.all()]
    kept = [list(model.objects.values()) for model in (Item, Nomination)]
    return {"mails": mails_as_text(), "record": str(entries), "queue": str(updates), "rows": str(kept)}


def unfolded(calendar):
    return calendar.replace("\r\n ", "")


def public_pages(clients, downtime):
    """Return what a stranger reads of a downtime: the list, its page, the calendar."""
    addresses = ("/downtimes/", f"/downtimes/{downtime.pk}/", "/downtimes/calendar.ics")
    return {address: unfolded(clients[Role.PUBLIC].get(address).content.decode()) for address in addresses}


def assert_nothing_left(clients, story, everything_logged, capfd):
    """No word of the bug that turned stands anywhere; the words of the other one stand where they may."""
    seen_by = {role: set() for role in clients}
    for role, address, text in pages(clients, story.downtime):
        assert places_found(text, story.kind) == set(), (role, address)
        seen_by[role] |= places_found(text, PUBLIC)
    for what, text in written_down().items():
        assert places_found(text, story.kind) == set(), what
    logged = everything_logged.text + "".join(capfd.readouterr())
    assert places_found(logged, story.kind) == places_found(logged, PUBLIC) == set()
    assert places_found(mails_as_text(), PUBLIC) == set(), "a mail holds what was typed and no bug's words"
    assert seen_by[Role.PUBLIC] == seen_by[Role.DEVELOPER] - {"summary", "creator's name", "assignee's name"} == set()
    for role in ROLES_OF_PLANS:
        assert {"summary", "assignee"} <= seen_by[role], role


# --- whenever it turns ------------------------------------------------------------------------------------------------


def tell_anew(story):
    """A person reads the text again, names who works, and everybody agrees to that; then the lists are told."""
    story.draft()
    story.agree()
    story.announce()
    return story.deliver()


@pytest.mark.parametrize("moment", MOMENTS)
def test_whenever_a_bug_turns_private_none_of_its_words_leave(
    moment, story, clients, everything_logged, capfd, monkeypatch
):
    if moment == "before drafting":
        story.turn_private()
    story.draft()
    story.agree()
    if moment == "after agreement":
        story.turn_private()
        with pytest.raises(NotAllowed):
            story.announce()
        assert_nothing_left(clients, story, everything_logged, capfd)
        story.draft()
        story.agree()
    story.announce()
    if moment == "between claim and send":
        turn_at_the_first_sending(story, monkeypatch)
    story.deliver()
    if moment == "after publication":
        assert typed(story.kind) in str(public_pages(clients, story.downtime))
        story.turn_private()
    if moment in ("between claim and send", "after publication"):
        assert typed(story.kind) not in str(public_pages(clients, story.downtime))
        assert_nothing_left(clients, story, everything_logged, capfd)
        tell_anew(story)
    assert_nothing_left(clients, story, everything_logged, capfd)
    public = public_pages(clients, story.downtime)
    for kind in story.bugs:  # a person stands for both texts as the bugs are now
        assert typed(kind) in public[f"/downtimes/{story.downtime.pk}/"]
        assert typed(kind) in public["/downtimes/calendar.ics"]
        assert typed(kind) in story.announcements_taken()[-1]


def turn_at_the_first_sending(story, monkeypatch):
    """Let the bug turn private when the first mail was claimed and is about to be sent."""
    send, turned = smtp.Postman.send, []

    def turn_first(postman, row, holding):
        if not turned:
            turned.append(row)
            assert Mail.objects.get(pk=row.pk).state == State.SENDING
            story.turn_private()
        return send(postman, row, holding)

    monkeypatch.setattr(smtp.Postman, "send", turn_first)


def test_between_claim_and_send_one_mail_goes_with_what_was_typed_and_the_others_are_held(story, monkeypatch):
    story.draft()
    story.agree()
    story.deliver()
    story.announce()
    turn_at_the_first_sending(story, monkeypatch)
    lists = Mail.objects.filter(purpose=announcing.ANNOUNCE)
    assert story.deliver() == {"sent": 1, "held": lists.count() - 1}
    (taken,) = story.announcements_taken()
    assert typed(story.kind) in taken
    assert places_found(taken, story.kind) == set()
    assert sorted(lists.values_list("state", flat=True)) == ["accepted"] + ["held"] * (lists.count() - 1)


def test_after_publication_its_words_are_gone_from_public_pages_within_one_poll_and_the_others_stand(story, clients):
    story.draft()
    story.agree()
    story.announce()
    story.deliver()
    before = public_pages(clients, story.downtime)
    story.turn_private()
    after = public_pages(clients, story.downtime)
    for address in list(before)[1:]:
        assert typed(story.kind) in before[address] and typed(PUBLIC) in before[address]
        assert typed(story.kind) not in after[address]
        assert typed(PUBLIC) in after[address]
        assert str(story.bug) in after[address]


def test_while_it_runs_and_in_tree_open_none_of_its_words_leave(story, clients, everything_logged, capfd):
    story.draft()
    story.agree()
    story.announce()
    story.deliver()
    run_stage.accepted(story.downtime)
    run = run_stage.now(story.downtime)
    clock.move(run.starts_at - clock.now() + timedelta(seconds=1))
    steering.do_step(run, Step.SHERIFF_TOLD, "Sheriff", by=story.duty)
    run_stage.close(beginning.begin(run, by=story.duty))
    for item in run.items.all():
        working.do(working.do(item, "start", by=story.duty), "land", by=story.duty, words=item.public_text)
    story.turn_private()
    assert_nothing_left(clients, story, everything_logged, capfd)
    run_stage.reopen(run)
    steering.do_step(run, Step.SHERIFF_AGREES, "Sheriff", by=story.duty)
    bug_words.tell(run, by=story.duty, shown={draft.item.pk: draft.op for draft in bug_words.drafts(run)})
    finishing.finish(run, by=story.duty, shown_sha256=finishing.sha256_of(finishing.letter(run, clock.now())))
    delivery.deliver(delivery.BUGS)
    story.deliver()
    assert_nothing_left(clients, story, everything_logged, capfd)
    letters = [taken.message.decode() for taken in story.server.taken() if b"Subject: TREE OPEN" in taken.message]
    assert [(typed(story.kind) in letter, typed(PUBLIC) in letter) for letter in letters] == [(False, True)] * 3
    assert typed(story.kind) not in str(public_pages(clients, run))


def test_words_that_everybody_may_read_are_found_by_the_same_sweep(story, clients):
    """What a person typed into the public text stands on the page, in the calendar, in every mail of the draft."""
    story.draft()
    story.agree()
    story.announce()
    story.deliver()
    found = {(role, address) for role, address, text in pages(clients, story.downtime) if typed(PUBLIC) in text}
    assert {(role, f"/downtimes/{story.downtime.pk}/") for role in clients} <= found
    assert {(role, "/downtimes/calendar.ics") for role in clients} <= {
        (role, address) for role, address, text in pages(clients, story.downtime) if typed(PUBLIC) in unfolded(text)
    }
    announced = story.downtime.announcements.get(kind=Told.ANNOUNCEMENT)
    mails = Mail.objects.filter(batch=announced.batch)
    assert mails.count() == 3
    assert all(typed(PUBLIC) in bytes(mail.message).decode() for mail in mails)
    assert len(story.announcements_taken()) == 3


# --- who does the work ------------------------------------------------------------------------------------------------


def planned_item(visibility=Visibility.RESTRICTED, **fields):
    """Return an item whose bug turned just now, after the mirror was followed for the last time."""
    fields = {"worker": "assignee@example.com"} | fields
    words = BugTextFactory(bug__is_loaner_request=False, assignee="assignee@example.com")
    item = ItemFactory(bug_id=words.pk, **fields)
    sync.follow()
    turn(item, visibility)
    return item


def turn(item, visibility):
    held_back = visibility == Visibility.RESTRICTED
    Bug.objects.filter(pk=item.bug_id).update(visibility=visibility, held_back=held_back, stamp=mirror.next_stamp())


def worker_after_following(item):
    sync.follow()
    item.refresh_from_db()
    return item.worker


@pytest.mark.parametrize("confirmed_as", [Visibility.PUBLIC, Visibility.STAFF, ""])
def test_a_worker_who_was_named_while_the_bug_could_be_read_goes_when_it_turns_restricted(db, confirmed_as):
    assert worker_after_following(planned_item(confirmed_as=confirmed_as)) == ""


def test_a_worker_whom_a_person_named_for_the_restricted_bug_stays(db):
    item = planned_item(confirmed_as=Visibility.RESTRICTED)
    assert worker_after_following(item) == "assignee@example.com"
    assert not Entry.objects.filter(verb=sync.WORKER_ERASED).exists()


@pytest.mark.parametrize("visibility", [Visibility.PUBLIC, Visibility.STAFF])
def test_a_worker_of_a_bug_that_can_be_read_stays(db, visibility):
    assert worker_after_following(planned_item(visibility)) == "assignee@example.com"


def test_a_bug_that_could_not_be_read_for_a_moment_loses_no_worker(db):
    """It is RESTRICTED until it can be read again, and nobody holds it back."""
    item = planned_item()
    Bug.objects.filter(pk=item.bug_id).update(held_back=False)
    assert worker_after_following(item) == "assignee@example.com"


def test_the_record_says_so_once_in_words_of_ours_and_the_gates_ask_for_both_anew(db):
    item = planned_item()
    revision = item.downtime.revision
    sync.follow(), sync.follow()
    entry = Entry.objects.get(about=item.downtime.about, verb=sync.WORKER_ERASED)
    assert f"bug {item.bug_id}" in entry.sentence
    assert "assignee" not in f"{entry.sentence}{entry.before}{entry.after}"
    item.downtime.refresh_from_db()
    assert item.downtime.revision == revision + 1
    seen = facts.facts_of(item.downtime, clock.now())
    assert "enter the worker" in rules.WORKER.refuses(seen)
    assert "confirm it" in rules.VAGUE.refuses(seen)


def test_a_worker_who_is_named_afterwards_stays_though_nobody_confirmed_the_text_yet(db):
    item = planned_item()
    assert worker_after_following(item) == ""
    windows.edit_item(item, {"worker": "other@example.com"}, by=item.downtime.made_by)
    turn(item, Visibility.RESTRICTED)  # somebody wrote into the bug
    assert worker_after_following(item) == "other@example.com"


def test_a_bug_that_turns_a_second_time_loses_its_worker_a_second_time(db):
    item = planned_item()
    assert worker_after_following(item) == ""
    turn(item, Visibility.PUBLIC)
    windows.edit_item(item, {"worker": "assignee@example.com"}, by=item.downtime.made_by, confirms=True)
    turn(item, Visibility.RESTRICTED)
    assert worker_after_following(item) == ""
    assert Entry.objects.filter(verb=sync.WORKER_ERASED).count() == 2


def test_a_worker_who_is_named_for_a_bug_that_was_restricted_all_along_stays(db):
    words = BugTextFactory(bug__visibility=Visibility.RESTRICTED, bug__held_back=True, bug__is_loaner_request=False)
    item = ItemFactory(bug_id=words.pk, worker="other@example.com", confirmed_as="", confirmed_by=None)
    assert worker_after_following(item) == "other@example.com"


@pytest.mark.parametrize("state", rules.State.values)
def test_no_page_of_a_plan_shows_who_had_a_bug_that_is_restricted_now_or_words_left_behind(clients, state):
    item = planned_item()
    BugText.objects.update(summary="Left behind")
    type(item.downtime).objects.filter(pk=item.downtime_id).update(state=state)
    sync.follow()
    for role in ROLES_OF_PLANS:
        page = clients[role].get(f"/downtimes/{item.downtime_id}/plan/").content.decode()
        assert str(item.bug_id) in page
        assert "assignee@example.com" not in page
        assert "Left behind" not in page
