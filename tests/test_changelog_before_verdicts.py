"""Verdicts on an answer, and the answer in a bug: by CiDuty alone, once each, of public words alone."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from changelog import workflow
from changelog.before import posting, verdicts
from changelog.before.answer import answer
from changelog.before.forms import QuestionForm
from changelog.models import Change, PublicVersion, Question, Verdict
from changelog.models.asking import Judged
from changelog.proposals import Proposal
from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.outbox import purposes
from ciduty.outbox.models import BugUpdate
from ciduty.people.roles import Role
from ciduty.record.models import Entry
from ciduty.states import NotAllowed
from tests.announced import ran
from tests.cast import BugFactory, at_once

NOW = datetime(2026, 11, 4, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
NOON = "bad=2026-11-04T12:00:00Z"
PAGE, JUDGE, POST = "/changes/before/", "/changes/before/judge/", "/changes/before/post/"
OP, ANOTHER_OP = "0a1b2c3d", "4e5f6a7b"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def noon(request, settings):
    """The clock stands on Wednesday 4 November 2026, 12:00 UTC."""
    settings.BUGZILLA_URL, settings.SITE_URL = "http://127.0.0.1:9", "https://ciduty.example.com"
    request.getfixturevalue("transactional_db" if "transactional_db" in request.fixturenames else "db")
    clock.move(NOW - clock.now())


def put(summary, before, duty, **facts):
    proposal = Proposal(identity=f"test:{summary[:40]}", summary=summary, effective_at=NOW - before, **facts)
    change = workflow.propose(proposal, at=NOW)
    workflow.publish(change, duty)
    return change


@pytest.fixture
def near(duty):
    return put("deploy: the new image", 10 * MINUTE, duty)


@pytest.fixture
def far(duty):
    return put("Another change", 3 * HOUR, duty)


def asked(query=NOON):
    form = QuestionForm(dict(part.split("=", 1) for part in query.split("&")), at=NOW)
    assert form.is_valid(), form.errors
    return form.asked


def answered(query=NOON):
    return answer(asked(query), NOW)


def order():
    return [line.change.pk for line in answered().suspects]


def judge(change, judged, by, because="", op=OP):
    verdicts.judge(asked(), change, judged, by=by, because=because, op=op)


def send(client, change, judged="ruled out", because="", op=OP, query=NOON):
    return client.post(f"{JUDGE}{change.pk}/?{query}", {"judged": judged, "because": because, "op": op})


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_a_confirmed_change_stands_first_and_a_ruled_out_one_is_no_suspect_any_more(near, far, duty):
    assert order() == [near.pk, far.pk]
    judge(far, Judged.CONFIRMED, duty)
    assert order() == [far.pk, near.pk]
    judge(near, Judged.RULED_OUT, duty, op=ANOTHER_OP)
    assert order() == [far.pk]


def test_open_again_takes_a_verdict_back_and_everything_stays_on_record(near, far, duty):
    judge(near, Judged.RULED_OUT, duty)
    judge(near, Judged.OPEN, duty, op=ANOTHER_OP)
    assert order() == [near.pk, far.pk]
    assert [one.judged for one in Verdict.objects.all()] == ["ruled out", "open"]
    assert len(answered().said) == 2


def test_what_was_never_judged_is_not_opened_again(near, duty):
    with pytest.raises(NotAllowed, match="Nobody has judged this change yet"):
        judge(near, Judged.OPEN, duty)


def test_a_verdict_counts_in_its_own_question_alone(near, duty):
    judge(near, Judged.RULED_OUT, duty)
    assert not order()
    assert [line.change.pk for line in answered(f"{NOON}&platform=windows").suspects] == [near.pk]


def test_a_form_that_is_sent_twice_is_one_verdict(clients, near):
    for _ in range(2):
        assert send(clients[Role.DUTY], near, because="Its machines were never touched").status_code == 302
    assert Verdict.objects.count() == 1
    assert Entry.objects.filter(verb="judged", about=Question.objects.get().about).count() == 1


def test_the_verdicts_of_two_people_are_both_kept_and_the_newer_counts(near, people):
    judge(near, Judged.RULED_OUT, people[Role.DUTY])
    judge(near, Judged.CONFIRMED, people[Role.LEAD], op=ANOTHER_OP)
    assert answered().suspects[0].verdict.by == str(people[Role.LEAD])
    assert Verdict.objects.count() == 2


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one write at a time")
def test_two_people_at_once_are_both_kept(transactional_db, people):
    change = put("deploy: the new image", 10 * MINUTE, people[Role.DUTY])
    acts = [(Judged.CONFIRMED, people[Role.DUTY], OP), (Judged.RULED_OUT, people[Role.LEAD], ANOTHER_OP)]
    at_once([lambda act=act: verdicts.judge(asked(), change, act[0], by=act[1], op=act[2]) or 1 for act in acts])
    assert (Question.objects.count(), Verdict.objects.count()) == (1, 2)


def test_everybody_reads_who_said_what_and_why(near, far, duty, stranger):
    judge(near, Judged.RULED_OUT, duty, "Rolled out <b>elsewhere</b>")
    text = stranger.get(f"{PAGE}?{NOON}").content.decode()
    assert "Ruled out</span>" in text and f"by {duty}: Rolled out &lt;b&gt;elsewhere&lt;/b&gt;" in text
    told = stranger.get(f"/api/changes/before/?{NOON}").json()["verdicts"]
    assert [(one["change"], one["judged"], one["by"]) for one in told] == [(near.pk, "ruled out", str(duty))]


def test_a_verdict_on_what_was_held_since_is_seen_nowhere(near, far, duty, stranger):
    judge(near, Judged.RULED_OUT, duty, "CANARY-8f14e4")
    workflow.hold(near, duty)
    for address in (f"{PAGE}?{NOON}", f"/api/changes/before/?{NOON}"):
        text = stranger.get(address).content.decode()
        assert "CANARY-8f14e4" not in text and "ruled out" not in text.lower().replace("confirm one or rule it out", "")


def test_a_verdict_makes_every_public_answer_new(near, duty):
    before = PublicVersion.objects.get().value
    judge(near, Judged.RULED_OUT, duty)
    assert PublicVersion.objects.get().value > before


def test_what_came_after_the_break_cannot_be_judged(duty):
    late = put("Later", timedelta(seconds=-1), duty)
    with pytest.raises(NotAllowed, match="after it broke"):
        judge(late, Judged.CONFIRMED, duty)
    judge(put("At the break", timedelta(), duty), Judged.CONFIRMED, duty)
    assert Verdict.objects.count() == 1


@pytest.mark.parametrize(
    ("role", "status"), [(Role.PUBLIC, 302), (Role.DEVELOPER, 403), (Role.DUTY, 200), (Role.LEAD, 200)]
)
def test_only_ciduty_judges_and_posts(clients, near, role, status):
    for address in (JUDGE, POST):
        assert clients[role].get(f"{address}?{NOON}").status_code == status
    if status != 200:
        send(clients[role], near)
        clients[role].post(f"{POST}?{NOON}", {"bug": "1400001", "op": OP, "send": "1"})
        assert not Verdict.objects.exists() and not BugUpdate.objects.exists()


def test_each_suspect_has_its_buttons_and_a_bad_form_loses_no_word(clients, near):
    text = clients[Role.DUTY].get(f"{JUDGE}?{NOON}").content.decode()
    assert f'action="{JUDGE}{near.pk}/?{NOON}"' in text and 'value="confirmed"' in text and 'value="ruled out"' in text
    assert 'value="open"' not in text
    again = send(clients[Role.DUTY], near, judged="guilty", because="I saw it")
    assert again.status_code == 422
    assert 'value="I saw it"' in again.content.decode() and not Verdict.objects.exists()


def test_a_change_that_is_not_public_or_not_there_is_not_judged(clients, near, duty):
    workflow.hold(near, duty)
    assert send(clients[Role.DUTY], near).status_code == 404
    for number in (near.pk + 99, 2**63):
        response = clients[Role.DUTY].post(f"{JUDGE}{number}/?{NOON}", {"judged": "ruled out", "op": OP})
        assert response.status_code == 404


# --- the answer in a bug ----------------------------------------------------------------------------------------------


@pytest.fixture
def bug():
    return BugFactory()


def preview(client, bug, op=OP, **more):
    return client.post(f"{POST}?{NOON}", {"bug": str(bug.pk), "op": op, **more})


def test_the_preview_is_exactly_what_is_sent_and_sends_nothing(clients, near, far, duty, bug):
    judge(far, Judged.RULED_OUT, duty, "It runs elsewhere")
    ran(-3 * HOUR, title="Switches in mdc1")
    shown = preview(clients[Role.DUTY], bug)
    assert shown.status_code == 200 and not BugUpdate.objects.exists()
    said = shown.context["preview"].body["comment"]["body"]
    assert preview(clients[Role.DUTY], bug, send="1").status_code == 302
    row = BugUpdate.objects.get()
    assert said == row.wants["comment"] + f"\n\nref {OP}" or said.startswith(row.wants["comment"])
    for words in (
        "What changed before this broke? (Wed 4 Nov 2026 12:00 UTC)", "1. deploy: the new image",
        "took effect 10 minutes before", f"https://ciduty.example.com/changes/{near.pk}/",
        "- Another change (It runs elsewhere)", f"https://ciduty.example.com{PAGE}?{NOON}",
        'Downtime "Switches in mdc1" ended 60 minutes before', f"{duty}, CiDuty",
    ):  # fmt: skip
        assert words in said, words
    assert "&quot;" not in said and "\n\n\n" not in said


def test_sent_twice_it_is_one_comment_and_another_bug_needs_another_form(clients, near, bug):
    for _ in range(2):
        assert preview(clients[Role.DUTY], bug, send="1").status_code == 302
    assert BugUpdate.objects.count() == 1
    other = preview(clients[Role.DUTY], BugFactory(), send="1")
    assert other.status_code == 422 and "sent before, for something else" in other.content.decode()
    assert BugUpdate.objects.count() == 1


def test_a_restricted_bug_is_not_written_to_and_what_was_typed_stays(clients, near):
    bug = BugFactory(visibility=Visibility.RESTRICTED)
    answer = preview(clients[Role.DUTY], bug, send="1")
    assert answer.status_code == 422 and not BugUpdate.objects.exists()
    text = answer.content.decode()
    assert f"Bug {bug.pk} is restricted" in text and f'value="{bug.pk}"' in text


def test_whoever_posts_without_the_page_is_refused_a_restricted_bug_too(near, duty):
    with pytest.raises(NotAllowed, match="is restricted"):
        posted(BugFactory(visibility=Visibility.RESTRICTED), duty)
    assert not BugUpdate.objects.exists() and not Question.objects.exists()


def test_no_bug_or_nonsense_is_asked_for_again(clients, near):
    for typed in ("", "nonsense", "99999999999"):
        answer = clients[Role.DUTY].post(f"{POST}?{NOON}", {"bug": typed, "op": OP})
        assert answer.status_code == 422 and not BugUpdate.objects.exists()


def posted(bug, by, query=NOON):
    return posting.post_to_bug(answered(query), bug.pk, by=by, op=OP)


def stop(row):
    return purposes.named(posting.PURPOSE).may_still_go(row)


def test_what_is_still_public_may_go(near, duty, bug):
    assert stop(posted(bug, duty)) is None


@pytest.mark.parametrize("how", ["held", "corrected", "withdrawn", "restricted"])
def test_a_comment_does_not_leave_when_a_change_that_it_names_says_something_else_by_now(near, duty, bug, how):
    row = posted(bug, duty)
    if how == "held":
        workflow.hold(near, duty)
    elif how == "corrected":
        near.refresh_from_db()
        workflow.correct(near, duty, near.revision, summary="deploy: nothing at all")
    elif how == "withdrawn":
        workflow.withdraw(near, duty, "It never happened")
    else:
        Change.objects.filter(pk=near.pk).update(is_public=False)
    assert "says something else by now" in stop(row).why


def test_a_comment_does_not_leave_to_a_bug_that_turned_restricted(near, duty, bug):
    row = posted(bug, duty)
    Bug.objects.filter(pk=bug.pk).update(visibility=Visibility.RESTRICTED)
    assert "turned restricted" in stop(row).why


def test_a_comment_does_not_leave_when_the_bug_that_was_asked_about_turned_private(near, duty, bug):
    about = BugFactory(created_at=NOW)
    row = posted(bug, duty, f"bad=bug {about.pk}")
    assert stop(row) is None and f"bug {about.pk}" in row.wants["comment"]
    Bug.objects.filter(pk=about.pk).update(visibility=Visibility.STAFF)
    assert "not public any more" in stop(row).why


def test_who_posted_what_stands_on_record_and_on_the_page(clients, near, duty, bug):
    preview(clients[Role.DUTY], bug, send="1")
    assert Entry.objects.get(verb="posted").sentence == f"Posted the answer to bug {bug.pk}"
    assert f"bug {bug.pk}" in clients[Role.DUTY].get(f"{JUDGE}?{NOON}").content.decode()
