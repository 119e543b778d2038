"""The question, from what people type to moments: zones, pushes, bugs; and what is said to nonsense."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from changelog import store, workflow
from changelog.before import asking, moments
from changelog.before.asking import CannotTell
from changelog.before.forms import QuestionForm
from changelog.before.moments import NoMoment
from changelog.models import Change, Landing, SeenRevision, Source
from changelog.models.sources import SourceKind
from changelog.proposals import LandedAt, Proposal
from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.people.roles import Role
from ciduty.systems.models import named
from tests.cast import BugFactory

NOW = datetime(2026, 11, 4, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
BUCHAREST = ZoneInfo("Europe/Bucharest")
HG, GIT = "1f864da71bab" + "0123456789abcdef0123456789ab", "2f864da71bab" + "0123456789abcdef0123456789ab"
any_case = hypothesis_settings(deadline=None, derandomize=True, max_examples=60)
PAGE = "/changes/before/"


@pytest.fixture
def noon(db):
    """The clock stands on Wednesday 4 November 2026, 12:00 UTC."""
    clock.move(NOW - clock.now())


# --- moments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("2026-11-03 14:30 UTC", "2026-11-03T14:30:00Z"),
        ("2026-11-03T14:30:05Z", "2026-11-03T14:30:05Z"),
        ("2026-11-03T14:30:05.123456+00:00", "2026-11-03T14:30:05Z"),
        ("2026-11-03 14:30 +0200", "2026-11-03T12:30:00Z"),
        ("2026-11-03T14:30 02:00", "2026-11-03T12:30:00Z"),  # a plus sign that an address lost
        ("2026-11-03 14:30 -05:30", "2026-11-03T20:00:00Z"),
        ("2026-11-03 14:30 Europe/Bucharest", "2026-11-03T12:30:00Z"),
        ("2026-11-03 14:30", "2026-11-03T12:30:00Z"),  # in the form's zone
        ("  2026-11-03   9:05  ", "2026-11-03T07:05:00Z"),
        ("14:30 UTC", "2026-11-04T14:30:00Z"),
        ("yesterday 14:30", "2026-11-03T12:30:00Z"),
        ("today, 01:00", "2026-11-03T23:00:00Z"),
        ("now", "2026-11-04T12:00:00Z"),
        ("20 minutes ago", "2026-11-04T11:40:00Z"),
        ("2h ago", "2026-11-04T10:00:00Z"),
        ("1 day ago", "2026-11-03T12:00:00Z"),
    ],
)
def test_a_moment_is_read_as_people_type_it(typed, meant):
    assert moments.written(moments.read(typed, BUCHAREST, NOW)) == meant


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("2026-11-03", "a whole day: say the time too, like 2026-11-03 14:30 UTC"),
        ("2026-02-30 10:00 UTC", "no moment of any day"),
        ("2026-11-03 25:00 UTC", "no moment of any day"),
        (
            "2026-11-03 14:30 EET",
            r"EET is the name of several zones: .* an offset like 2026-11-03 14:30 \+0200",
        ),
        ("2026-11-03 14:30 Mars/Olympus", "There is no zone Mars/Olympus"),
        ("2026-11-03 14:30 +9900", "no offset from UTC"),
        ("1969-12-31 23:59 UTC", "between 1970 and 2199"),
        ("2200-01-01 00:00 UTC", "between 1970 and 2199"),
        ("0001-01-01 00:00 +1200", "no moment of any day|between 1970 and 2199"),
        ("2026-03-29 03:30", "skips 03:30 on 2026-03-29"),
        ("2026-10-25 03:30", "twice on 2026-10-25: write 2026-10-25 00:30 UTC for the first time, or 2026-10-25 01:30"),
    ],
)
def test_what_is_no_single_moment_is_refused_with_what_to_write_instead(typed, why):
    with pytest.raises(NoMoment, match=why):
        moments.read(typed, BUCHAREST, NOW)


@pytest.mark.parametrize("words", ["yesterday", "soon", "", "12", "14.30", "bug 1899999"])
def test_other_words_are_no_moment_or_a_whole_day(words):
    if words == "yesterday":
        with pytest.raises(NoMoment):
            moments.read(words, UTC, NOW)
    else:
        assert moments.read(words, UTC, NOW) is None


@any_case
@given(st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30), timezones=st.just(UTC)))
def test_what_a_permalink_writes_is_read_back_as_the_same_moment(at):
    at = at.replace(microsecond=0)
    assert moments.read(moments.written(at), BUCHAREST, NOW) == at


@any_case
@given(st.text(max_size=60))
def test_no_words_at_all_break_the_reading_of_a_moment(words):
    try:
        at = moments.read(words, BUCHAREST, NOW)
    except NoMoment as problem:
        assert str(problem)
    else:
        assert at is None or at.tzinfo is not None


# --- pushes -----------------------------------------------------------------------------------------------------------


def landed(identity, *trees, at=NOW - HOUR, publishes=True, message="Bump the image", **facts):
    """Store a change that reached these trees, an hour apart."""
    source, _ = Source.objects.get_or_create(name="autoland", defaults={"kind": SourceKind.MERCURIAL})
    revision = identity.partition(":")[2]
    landings = tuple(
        LandedAt(tree, at + HOUR * number, push_id=str(10 + number), revision=revision)
        for number, tree in enumerate(trees)
    )
    proposal = Proposal(identity=identity, message=message, landings=landings, **facts)
    store.store([proposal], source=source, at=NOW, publishes=publishes)
    return Change.objects.get(identity=identity)


def point(text, **options):
    return asking.point(text, UTC, NOW, **options)


def refusal(text, **options):
    with pytest.raises(CannotTell) as refused:
        point(text, **options)
    return str(refused.value)


@pytest.mark.parametrize(
    "typed",
    [
        HG[:12], HG[:7], HG[:12].upper(), f"hg {HG[:12]}", f"changeset: {HG[:12]}", f"push {HG[:9]}",
        f"https://hg.mozilla.org/integration/autoland/rev/{HG[:12]}",
        f"https://treeherder.mozilla.org/jobs?repo=autoland&revision={HG[:12]}",
    ],
)  # fmt: skip
def test_a_push_is_found_by_its_revision_or_address(noon, typed):
    change = landed(f"hg:{HG[:12]}", "autoland")
    found = point(typed)
    assert (found.at, found.text, found.pushed.change) == (NOW - HOUR, HG[:12], change.pk)
    assert (found.pushed.repository, found.pushed.push) == ("autoland", "autoland 10")


def test_a_commit_is_found_by_seven_digits_and_by_forty(noon):
    landed(f"git:{GIT}", "mozilla-releng/build-puppet")
    assert point(GIT[:7]).text == point(GIT).text == GIT[:12]


def test_a_revision_of_40_digits_finds_what_was_told_by_12_and_no_other(noon):
    change = landed(f"hg:{HG[:12]}", "autoland")
    assert point(HG).pushed.change == change.pk
    Landing.objects.update(revision=HG)
    assert point(HG).pushed.change == change.pk
    assert "No push with the revision" in refusal(HG[:39] + "0")


def test_six_digits_are_too_few_and_41_too_many(noon):
    assert "has 6 digits, and a revision has 7 to 40" in refusal("1f864d")
    assert "has 41 digits" in refusal("a" * 41)


def test_a_push_in_three_trees_is_meant_where_it_landed_first_unless_a_tree_is_named(noon):
    landed(f"hg:{HG[:12]}", "autoland", "mozilla-central", "mozilla-beta", at=NOW - DAY)
    assert point(HG[:12]).at == NOW - DAY
    assert [one.repository for one in point(HG[:12]).elsewhere] == ["mozilla-central", "mozilla-beta"]
    there = point(f"{HG[:12]} in mozilla-central")
    assert (there.at, there.text) == (NOW - DAY + HOUR, f"{HG[:12]} in mozilla-central")
    assert point(f"https://hg.mozilla.org/mozilla-central/rev/{HG[:12]}").text == there.text
    assert "it landed in autoland, mozilla-central, mozilla-beta" in refusal(f"{HG[:12]} in comm-central")


def test_digits_that_name_two_revisions_are_shown_to_choose_from(noon):
    landed(f"hg:{HG[:12]}", "autoland")
    landed(f"git:{HG[:8]}{'0' * 32}", "build-puppet")
    with pytest.raises(CannotTell, match="names 2 revisions") as refused:
        point(HG[:8])
    assert set(refused.value.candidates) == {HG[:12], HG[:8] + "0000"}


def test_a_revision_that_a_filter_dropped_is_found_where_it_was_seen(noon):
    SeenRevision.objects.create(repository="mozilla-central", revision=HG, at=NOW - 3 * HOUR)
    found = point(HG[:10])
    assert (found.at, found.text, found.pushed.change) == (NOW - 3 * HOUR, HG[:12], None)


def test_a_landing_under_a_name_of_its_own_is_found_by_its_revision(noon):
    change = landed("api:deploys:77", "ops")
    Landing.objects.update(revision=GIT)
    assert point(GIT[:12]).pushed.change == change.pk


@pytest.mark.parametrize("how", ["proposed", "held", "restricted"])
def test_a_revision_of_a_change_that_is_not_public_is_as_unknown_as_any_other(noon, duty, how):
    bug = BugFactory(visibility=Visibility.PUBLIC)
    change = landed(f"hg:{HG[:12]}", "autoland", publishes=how != "proposed", message=f"Bug {bug.pk} - CANARY")
    if how == "held":
        workflow.hold(change, duty)
    if how == "restricted":
        Bug.objects.filter(pk=bug.pk).update(visibility=Visibility.RESTRICTED)
        workflow.hold(change, duty), workflow.release(change, duty)
        workflow.publish(change, duty, public_summary="Something of ours")
        assert Change.objects.get().is_public
    assert refusal(HG[:12]).replace(HG[:12], "") == refusal("7" * 6 + "abcdef").replace("777777abcdef", "")


def test_an_unknown_revision_says_what_was_read_and_what_to_do_instead(noon):
    landed(f"hg:{HG[:12]}", "autoland", at=NOW - 9 * DAY)
    Source.objects.update(read_at=NOW - MINUTE)
    Source.objects.create(name="SECRET-REPOSITORY", kind=SourceKind.GIT, read_at=NOW)  # nothing public came from it
    said = refusal("abcdef012345")
    assert "No push with the revision abcdef012345 is known." in said
    assert "autoland (since 26 Oct 2026, last at 2026-11-04 11:59 UTC)" in said
    assert "Give the moment instead" in said and "SECRET" not in said


# --- bugs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["bug {}", "{}", "Bug: {}", "https://bugzilla.mozilla.org/show_bug.cgi?id={}#c3"])
def test_a_public_bug_stands_for_the_moment_at_which_it_was_filed(noon, typed):
    bug = BugFactory(created_at=NOW - 2 * HOUR)
    found = point(typed.format(bug.pk))
    assert (found.at, found.text, found.bug) == (NOW - 2 * HOUR, f"bug {bug.pk}", bug.pk)


def test_one_sentence_for_a_restricted_bug_a_staff_bug_and_one_that_nobody_knows(noon):
    restricted, staff = BugFactory(visibility=Visibility.RESTRICTED), BugFactory(visibility=Visibility.STAFF)
    numbers = (restricted.pk, staff.pk, 1999999, 4000000000)
    said = {refusal(f"bug {number}").replace(str(number), "N") for number in numbers}
    assert said == {asking.NO_SUCH_BUG.format("N")}


def test_a_bug_is_no_last_good_moment(noon):
    assert "no last good moment" in refusal(f"bug {BugFactory().pk}", may_be_bug=False)


# --- the form ---------------------------------------------------------------------------------------------------------


def form_of(**typed):
    form = QuestionForm(typed, at=NOW)
    return form, form.is_valid()


@pytest.mark.parametrize(
    ("typed", "field", "why"),
    [
        ({}, "bad", "Say what broke"),
        ({"bad": "nonsense"}, "bad", "is no moment, push or bug"),
        ({"bad": "2026-11-04 12:00:01 UTC"}, "bad", "still to come: it is 2026-11-04 12:00 UTC now"),
        ({"bad": "now", "good": "2026-11-04 12:00 UTC"}, "good", "the same moment"),
        ({"bad": "1 hour ago", "good": "30 minutes ago"}, "good", "later than the bad one"),
        ({"bad": "now", "good": "rubbish"}, "good", "is no moment, push or bug"),
        ({"bad": "now", "back": "5"}, "back", "Choose how far back"),
        ({"bad": "now", "platform": "amiga"}, "platform", "no such platform"),
        ({"bad": "now", "system": "none-such"}, "system", "no such system"),
        ({"bad": "now", "zone": "Mars"}, "zone", "Choose a zone"),
        ({"bad": "now", "pool": "p" * 201}, "pool", "201 characters long, and 200 fit"),
        ({"bad": "now", "pool": "ß" * 200}, "pool", "too long to be a permalink"),
        ({"bad": "no\x00w"}, "bad", "U\\+0000|Null characters"),
        ({"bad": "x" * 301}, "bad", "301 characters long"),
    ],
)
def test_what_cannot_be_asked_is_said_beside_its_field(noon, typed, field, why):
    form, is_valid = form_of(**typed)
    assert not is_valid
    assert list(form.errors) == [field]
    assert re.search(why, " ".join(form.errors[field]))


def test_a_moment_at_this_very_second_is_no_future(noon):
    form, is_valid = form_of(bad="2026-11-04 12:00:00 UTC")
    assert is_valid and form.asked.until == NOW


def test_good_and_bad_bound_the_time_and_how_far_back_counts_only_without_a_good_one(noon):
    asked = form_of(bad="now", back="6")[0].asked
    assert (asked.since, asked.until, asked.query) == (NOW - 6 * HOUR, NOW, "bad=2026-11-04T12:00:00Z&back=6")
    asked = form_of(bad="now", good="2 days ago", back="6")[0].asked
    assert asked.since == NOW - 2 * DAY
    assert asked.query == "bad=2026-11-04T12:00:00Z&good=2026-11-02T12:00:00Z"


@pytest.mark.parametrize("bad", ["1 hour ago", HG[:7], f"{HG[:12]} in mozilla-central", "bug 1400999"])
def test_a_permalink_leads_to_itself(noon, bad):
    landed(f"hg:{HG[:12]}", "autoland", "mozilla-central", at=NOW - DAY)
    BugFactory(id=1400999, created_at=NOW - 2 * HOUR)
    named("Windows workers")
    typed = {"bad": bad, "good": "3 days ago", "pool": "Gecko-t/win 11 & more", "platform": "windows"}
    query = form_of(**typed, system="windows-workers")[0].asked.query
    address = f"{PAGE}?{query}"
    assert form_of(**dict(asked_again(address)))[0].asked.query == query


def asked_again(address):
    return parse_qsl(urlsplit(address).query)


def test_other_words_for_the_same_question_are_sent_to_one_permalink(noon, stranger):
    landed(f"hg:{HG[:12]}", "autoland")
    for typed in ({"bad": HG[:7]}, {"bad": HG, "zone": "UTC", "pool": ""}, {"back": "24", "bad": HG[:12]}):
        answer = stranger.get(PAGE, typed)
        assert (answer.status_code, answer["Location"]) == (302, f"{PAGE}?bad={HG[:12]}")
    assert stranger.get(f"{PAGE}?bad={HG[:12]}").status_code == 200


def test_asked_differently_the_form_holds_the_same_question(noon, stranger):
    text = stranger.get(f"{PAGE}?bad=2026-11-04T10:00:00Z&pool=p&ask=again").content.decode()
    assert 'value="2026-11-04T10:00:00Z"' in text and "Mend what is marked" not in text
    assert '<option value="24" selected>' in text  # and not the first of the list
    assert '<option value="6" selected>' in stranger.get(f"{PAGE}?bad=now&back=6&ask=again").content.decode()


def test_bad_input_is_shown_again_as_it_was_typed(noon, clients):
    for role in (Role.PUBLIC, Role.DUTY):
        answer = clients[role].get(PAGE, {"bad": "<b>rubbish</b>", "pool": "gecko-t/win&dows"})
        text = answer.content.decode()
        assert answer.status_code == 422
        assert 'value="&lt;b&gt;rubbish&lt;/b&gt;"' in text and 'value="gecko-t/win&amp;dows"' in text
        assert "is no moment, push or bug" in text
