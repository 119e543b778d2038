"""Approving, editing and announcing at the same moment: no text is sent that was not agreed to as it stands.

ROUNDS=400 runs the long selection (`make fuzz`); the short one is part of every run on PostgreSQL.
"""

import os
from datetime import timedelta

import pytest
from django.db import connection, transaction

from ciduty.outbox.models import Mail
from ciduty.people.roles import Role
from ciduty.states import NotAllowed
from downtimes import announcing, answering, asking_to_agree, rules, versions, windows
from downtimes.models import Answer, Downtime
from downtimes.rules import Asked, Decision
from tests.cast import at_once
from tests.downtime_stage import approve_as, op, plan

ROUNDS = int(os.environ.get("ROUNDS", "25"))

pytestmark = [
    pytest.mark.skipif(
        connection.vendor == "sqlite", reason="SQLite has one writer at a time: only PostgreSQL can race"
    ),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def mail_is_configured(settings):
    settings.EMAIL_URL = "smtp://127.0.0.1:9"


def waiting_for_the_last_approval(people, number):
    """Return a downtime that needs one more approval, and who is asked for it."""
    downtime = plan(people, separate_because="A round of its own", starts_in=timedelta(days=3 + number % 50))
    version = asking_to_agree.ask_workers(downtime, by=people[Role.LEAD], op=op())
    approve_as(version, Asked.WORKER)
    asking_to_agree.ask_pre_approvers(downtime, by=people[Role.LEAD], op=op())
    return downtime, version, version.asks.get(role=Asked.PRE_APPROVER)


def race(people, number):
    """Let one approve, one edit and one announce at once; return the version and what its mails may still do."""
    downtime, version, ask = waiting_for_the_last_approval(people, number)

    def quietly(verb):
        def act():
            try:
                return verb() or True
            except NotAllowed:
                return None

        return act

    edited = Downtime.objects.get(pk=downtime.pk)
    seen = Downtime.objects.get(pk=downtime.pk)
    at_once(
        [
            quietly(lambda: answering.answer(ask, Decision.APPROVE, "", via=answering.CODE)),
            quietly(
                lambda: windows.edit(
                    edited, {"what_stops": f"Round {number}"}, by=people[Role.DUTY], revision=edited.revision
                )
            ),
            quietly(lambda: announcing.announce(seen, by=people[Role.DUTY], version=version.number)),
            quietly(lambda: announcing.announce(seen, by=people[Role.LEAD], version=version.number)),
        ]
    )
    return downtime, version


def sent_by_now(version):
    """Return the mails of a version that the sender would let go at this moment."""
    with transaction.atomic():
        mails = Mail.objects.filter(batch=announcing.batch_of(version), purpose=announcing.ANNOUNCE)
        return [mail for mail in mails if announcing.announcement_may_still_go(mail) is None]


def stale(version):
    """Answer whether a mail would go whose text is not what people agreed to as it stands."""
    going = sent_by_now(version)
    approved = Answer.objects.filter(version=version, decision=Decision.APPROVE).count()
    return bool(going) and not (versions.is_current(version) and approved == version.asks.count())


def test_r23_nothing_is_sent_that_was_not_agreed_to_as_it_stands(people, mail_is_configured):
    announced = 0
    for number in range(ROUNDS):
        downtime, version = race(people, number)
        rounds = downtime.announcements.filter(version=version)
        assert rounds.count() <= 1, "announced twice"
        announced += rounds.count()
        for announcement in rounds:
            assert announcement.text == version.body
            assert Answer.objects.filter(version=version, decision=Decision.APPROVE).count() == version.asks.count()
        assert not stale(version)
        announcing.cancel(downtime, by=people[Role.DUTY], because="The round is over")
    print(f"{ROUNDS} rounds, {announced} of them announced, none with a text that was not agreed to")


def test_without_its_guards_the_same_race_does_send_what_nobody_agreed_to(people, mail_is_configured, monkeypatch):
    for verb in ("ask for agreement", "ask the pre-approvers", "announce"):
        let_through = {rules.SAME_TEXT.name, rules.PRE_APPROVERS.name}
        monkeypatch.setitem(rules.GATES, verb, [gate for gate in rules.GATES[verb] if gate.name not in let_through])
    monkeypatch.setattr(announcing, "announcement_may_still_go", lambda row: None)
    found = 0
    for number in range(min(ROUNDS, 25)):
        downtime, version = race(people, number)
        found += stale(version)
        announcing.cancel(downtime, by=people[Role.DUTY], because="The round is over")
    assert found
