"""What becomes of what sources tell: each change once, an edit as an edit, counts that equal a recount.

On PostgreSQL also: two who tell the same thing at the same moment, and that the fast way writes what the slow one does.
"""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from changelog import index, store, workflow
from changelog.models import Backout, BugOfChange, Change, DayCount, Landing, PublicVersion, Revision, Source
from changelog.proposals import LandedAt, Proposal, of_changeset, of_commit
from changelog.rules import State
from ciduty.people.roles import Role
from ciduty.systems.models import named
from tests import public_log
from tests.cast import A_MORNING, BugTextFactory, PersonFactory, at_once, every_row

pytestmark = pytest.mark.django_db

ON_POSTGRESQL = connection.vendor == "postgresql"
NODE = "1f864da71bab5a3c0f2d8e9b7a6c5d4e3f2a1b0c"
LANDED = datetime(2026, 3, 2, 8, 30, tzinfo=timezone(timedelta(hours=5, minutes=45)))


def source(name="autoland", **fields):
    return Source.objects.get_or_create(name=name, defaults={"kind": "import", "publishes": True} | fields)[0]


def landed(repository="autoland", at=LANDED, **fields):
    return LandedAt(repository, at, **fields)


def change_told(message="Bug 1561582 - Two pythons r=duty", node=NODE, **fields):
    return Proposal(**{"identity": of_changeset(node), "message": message, "landings": (landed(),)} | fields)


def told(*proposals, of=None, at=A_MORNING, **options):
    return store.store(proposals, source=of or source(), at=at, **options)


def version():
    return PublicVersion.objects.values_list("value", flat=True).first() or 0


def recounted():
    """Return the day counts as a reader would count them himself, from the public changes alone."""
    counts = Counter()
    for change in Change.objects.filter(is_public=True):
        day = change.at.astimezone(UTC).date()
        counts["", day] += 1
        for term in change.terms.split():
            if term.partition(":")[0] in index.COUNTED:
                counts[term, day] += 1
    return dict(counts)


def counted():
    return {(row.facet, row.day): row.count for row in DayCount.objects.exclude(count=0)}


# --- one change, however often and by whomever it is told ------------------------------------------------------------

THREE_TREES = ("autoland", "mozilla-central", "mozilla-inbound")


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("whole", [(True, True, True), (False, True, False), (False, False, True)])
@pytest.mark.parametrize("together", ["one batch", "one source", "three sources"])
def test_one_changeset_in_three_trees_is_one_change_with_three_landings(order, whole, together):
    tellings = [
        change_told(
            node=NODE if is_whole else NODE[:12],
            landings=(landed(tree, LANDED + timedelta(hours=hour), revision=NODE if is_whole else NODE[:12]),),
        )
        for hour, (tree, is_whole) in enumerate(zip(THREE_TREES, whole, strict=True))
    ]
    if together == "one batch":
        told(*(tellings[one] for one in order))
    for one in order if together != "one batch" else ():
        told(tellings[one], of=source(THREE_TREES[one]) if together == "three sources" else None)
    change = Change.objects.get()
    assert [landing.repository for landing in change.landings.all()] == list(THREE_TREES)
    assert change.repositories == list(THREE_TREES)
    assert (change.landed_at, change.landed_offset) == (LANDED, 345)
    assert [landing.revision for landing in change.landings.all()] == [NODE if one else NODE[:12] for one in whole]
    assert counted() == recounted() and Revision.objects.count() == 0


def test_told_again_nothing_at_all_is_written():
    proposals = [
        change_told(node=f"{number:012x}", message=f"Bug {1561582 + number} - x\n\nBacked out changeset {NODE}")
        for number in range(3)
    ]
    assert told(*proposals).new == 3
    before = every_row()
    assert told(*proposals, at=A_MORNING + timedelta(days=1)) == store.Stored(same=3)
    assert every_row() == before


@pytest.mark.parametrize("shorter_comes", ["first", "later"])
def test_a_whole_revision_is_kept_whichever_comes_first(shorter_comes):
    revisions = [NODE[:12], NODE] if shorter_comes == "first" else [NODE, NODE[:12]]
    for revision in revisions:
        told(change_told(landings=(landed(revision=revision),)))
    assert Landing.objects.get().revision == NODE


def test_an_edit_is_a_revision_and_never_a_second_row():
    told(change_told())
    seen = version()
    done = told(change_told(message="Bug 1561583 - Two pythons and a half", pools=("gecko-t/t-linux",)))
    assert done == store.Stored(edited=1)
    change = Change.objects.get()
    assert (change.summary, change.bugs, change.pools) == (
        "Bug 1561583 - Two pythons and a half", [1561583], ["gecko-t/t-linux"],
    )  # fmt: skip
    revision = Revision.objects.get()
    assert revision.before["bugs"] == [1561582] and revision.after["bugs"] == [1561583]
    assert revision.is_public and revision.by is None
    assert list(BugOfChange.objects.values_list("bug_id", flat=True)) == [1561583]
    assert version() == seen + 1
    assert counted() == recounted()


def test_what_a_source_leaves_out_is_no_edit():
    told(change_told(author="A Developer", files=("a.py", "b.py")))
    assert told(change_told()) == store.Stored(same=1)


def test_a_source_does_not_overwrite_what_a_person_has_set():
    told(change_told())
    change = Change.objects.get()
    duty = PersonFactory(role=Role.DUTY)
    workflow.correct(change, duty, change.revision, summary="In plain words", kind="image")
    told(change_told(message="Bug 1561582 - Two pythons, reworded", kind="deploy", author="A Developer"))
    change.refresh_from_db()
    assert (change.summary, change.kind, change.author) == ("In plain words", "image", "A Developer")
    assert change.message == "Bug 1561582 - Two pythons, reworded"


def test_another_source_adds_its_landing_and_leaves_the_words_alone():
    told(change_told())
    done = told(
        change_told(message="Reworded elsewhere", landings=(landed("mozilla-beta"),)), of=source("mozilla-beta")
    )
    assert done == store.Stored(landed=1, landings=1)
    assert Change.objects.get().summary == "Bug 1561582 - Two pythons r=duty"


def test_of_two_tellings_in_one_batch_the_later_one_counts():
    told(change_told(author="A Developer"), change_told(message="Bug 1561583 - Reworded"))
    change = Change.objects.get()
    assert (change.summary, change.author) == ("Bug 1561583 - Reworded", "A Developer")


def test_one_that_says_nothing_is_named_and_the_others_are_stored():
    refused = []
    silent = change_told(message=" \n ", node="0" * 40)
    done = told(silent, change_told(), refused=lambda proposal, problem: refused.append((proposal, str(problem))))
    assert done.new == 1
    assert refused == [(silent, "hg:000000000000 says nothing: a change needs at least one line.")]
    with pytest.raises(store.Unusable):
        told(silent)


def test_a_moment_that_cannot_be_decides_nothing():
    told(change_told(effective_at=datetime(2100, 1, 1, tzinfo=UTC), authored_at=datetime(1970, 1, 1, tzinfo=UTC)))
    change = Change.objects.get()
    assert change.at == LANDED
    assert (change.effective_at.year, change.authored_at.year) == (2100, 1970)
    told(change_told(node="2" * 40, landings=(), authored_at=datetime(1969, 12, 31, 23, tzinfo=UTC)))
    assert Change.objects.get(identity=of_changeset("2" * 40)).at == A_MORNING


@pytest.mark.parametrize("year", [1, 9999])
def test_the_ends_of_the_calendar_are_not_kept(year):
    told(change_told(authored_at=datetime(year, 6, 1, tzinfo=UTC)))
    assert Change.objects.get().authored_at is None


def test_every_bug_of_the_words_that_are_kept_is_known_for_one_may_not_be_public():
    bugs = range(1_500_000, 1_500_200)
    private = BugTextFactory(bug__id=bugs[-1], bug__visibility="staff").bug
    told(change_told(message="Backed out (" + ", ".join(f"bug {bug}" for bug in bugs) + ")"))
    change = Change.objects.get()
    assert change.bugs == list(bugs)
    assert change.hidden_bugs == [private.pk] and not change.is_public


def test_a_bug_in_the_line_of_impact_is_a_bug_of_the_change():
    told(change_told(impact="Breaks what bug 1234567 mended"))
    assert Change.objects.get().bugs == [1561582, 1234567]


def test_an_author_has_no_address():
    told(change_told(author="A Développeur <developer@example.com>"))
    assert Change.objects.get().author == "A Développeur"


# --- backouts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [NODE, NODE[:12]])
@pytest.mark.parametrize("first", ["the change", "the backout", "both at once"])
@pytest.mark.parametrize("of", [of_changeset, of_commit])
def test_a_backout_is_tied_whichever_came_first(named, first, of):
    change = change_told(identity=of(NODE))
    backout = change_told(identity=of("9" * 40), message=f"Backed out changeset {named} (bug 1561582)")
    batches = {"the change": [[change], [backout]], "the backout": [[backout], [change]]}
    for batch in batches.get(first, [[backout, change]]):
        told(*batch)
    tied = Backout.objects.get()
    assert (tied.change.identity, tied.undoes.identity, tied.revision) == (of("9" * 40), of(NODE), named)


def test_a_short_name_of_two_commits_ties_neither():
    told(change_told(identity=of_commit("abcdef12" + "0" * 32)), change_told(identity=of_commit("abcdef12" + "1" * 32)))
    told(change_told(identity=of_commit("9" * 40), message="This reverts commit abcdef12."))
    assert Backout.objects.get().undoes is None


def test_a_backout_of_a_thousand_changesets_is_tied_to_those_that_are_on_record():
    nodes = [f"{number:06x}abcdef" for number in range(1_000)]
    told(*(change_told(node=node) for node in (nodes[0], nodes[-1])))
    told(change_told(node="9" * 40, message="\n".join(f"Backed out changeset {node}" for node in nodes)))
    assert Backout.objects.count() == 1_000
    assert Backout.objects.exclude(undoes=None).count() == 2


def test_an_edit_that_names_another_changeset_ties_it_anew():
    told(change_told(), change_told(node="8" * 40))
    told(change_told(node="9" * 40, message=f"Backed out changeset {NODE[:12]}"))
    told(change_told(node="9" * 40, message=f"Backed out changeset {'8' * 12}"))
    assert Backout.objects.get().undoes.identity == of_changeset("8" * 40)


# --- the public version, and the counts -------------------------------------------------------------------------------


def test_the_public_version_rises_when_something_public_changed_and_only_then():
    told(change_told(), publishes=False)
    assert version() == 0
    told(change_told(message="Reworded before anybody saw it"), publishes=False)
    assert version() == 0
    told(change_told(node="2" * 40))
    assert version() == 1
    told(change_told(node="2" * 40))
    assert version() == 1
    told(change_told(node="2" * 40, landings=(landed("mozilla-beta"),)))
    assert version() == 2


class TheLog(RuleBasedStateMachine):
    """Sources tell, people publish, hold, correct and withdraw, in any order: the counts equal a recount."""

    def __init__(self):
        super().__init__()
        self.world = transaction.atomic()
        self.world.__enter__()
        self.duty = PersonFactory(role=Role.DUTY)
        source(default_system=named("Build farm"))

    def teardown(self):
        """Leave nothing of this example to the next one."""
        transaction.set_rollback(True)
        self.world.__exit__(None, None, None)

    @rule(
        which=st.integers(0, 3), days=st.integers(0, 2), pool=st.sampled_from(["gecko-t/t-linux", "t-osx", ""]),
        tree=st.sampled_from(THREE_TREES), publishes=st.booleans(), kind=st.sampled_from(["deploy", "image", ""]),
    )  # fmt: skip
    def tell(self, which, days, pool, tree, publishes, kind):
        landing = landed(tree, A_MORNING - timedelta(days=days))
        one = change_told(
            f"Words {days}", node=f"{which}" * 40, pools=(pool,) if pool else (), kind=kind, landings=(landing,)
        )
        told(one, publishes=publishes)

    @precondition(lambda self: Change.objects.exists())
    @rule(
        which=st.integers(0, 3), verb=st.sampled_from(["publish", "hold", "release", "dismiss", "reopen", "withdraw",
                                                       "restore", "take_back", "correct"]),
    )  # fmt: skip
    def act(self, which, verb):
        changes = list(Change.objects.order_by("pk"))
        change = changes[which % len(changes)]
        arguments = {"withdraw": ["It was wrong."], "correct": [change.revision]}.get(verb, [])
        words = {"kind": "tree", "pools": ["t-osx"]} if verb == "correct" else {}
        try:
            getattr(workflow, verb)(change, self.duty, *arguments, **words)
        except workflow.NotAllowed:
            pass

    @invariant()
    def counts_equal_a_recount(self):
        assert counted() == recounted()
        assert not Change.objects.filter(is_public=True).exclude(state__in=[State.PUBLISHED, State.WITHDRAWN]).exists()


def test_after_any_sequence_the_counts_equal_a_recount():
    few = settings(max_examples=8, stateful_step_count=8, deadline=None, database=None, derandomize=True)
    run_state_machine_as_test(TheLog, settings=few)


# --- the fast way and the slow one, and two at once -------------------------------------------------------------------

HARD = [
    "plain",
    "tab\tand \\ backslash \\N \\. and\nnewline",
    "ünïcödé \U0001f600 ✓",
    '"quoted" {json}',
    "a\rb\x00c\x07",
    "\u2028 \u202e",
]


def everything_told():
    for number, words in enumerate(HARD * 2):
        yield Proposal(
            identity=of_commit(f"{number:040x}"), message=f"Bug {1561582 + number} - {words}\n\n{words}\nr=duty",
            author=words, pools=(f"gecko-t/{words}",), platforms=("linux",), bugs=(7, 7), files=(words, "a\\b"),
            files_count=3, links=((words, "https://example.com/"),), authored_at=LANDED,
            effective_at=LANDED if number % 2 else None,
            impact=words if number % 3 else "",
            landings=(landed(words, push_id=words), landed("b", LANDED + timedelta(hours=1))) if number % 4 else (),
        )  # fmt: skip


def as_stored():
    """Return all that is stored of changes, without the numbers that the database gives."""
    plain = [name.attname for name in Change._meta.concrete_fields if name.attname not in ("id", "source_id")]
    return (
        list(Change.objects.order_by("identity").values_list(*plain)),
        list(Landing.objects.order_by("change__identity", "repository").values_list(
            "change__identity", "repository", "at", "offset", "pusher", "push_id", "revision", "url")),
        list(BugOfChange.objects.order_by("change__identity", "bug_id").values_list("change__identity", "bug_id")),
        counted(),
    )  # fmt: skip


@pytest.mark.skipif(not ON_POSTGRESQL, reason="only PostgreSQL has COPY")
def test_copy_writes_what_insert_does(monkeypatch):
    told(*everything_told())
    copied = as_stored()
    assert len(copied[0]) == 2 * len(HARD) and copied[1]
    for model in (BugOfChange, Landing, Change, DayCount):
        model.objects.all().delete()
    monkeypatch.setattr(connection, "vendor", "another")
    told(*everything_told())
    monkeypatch.undo()
    assert as_stored() == copied


def test_what_is_hard_to_write_is_read_back():
    told(*everything_told())
    words = [change.message.splitlines()[0] for change in Change.objects.order_by("identity")[: len(HARD)]]
    assert words[1] == "Bug 1561583 - tab\tand \\ backslash \\N \\. and"
    assert words[2] == "Bug 1561584 - ünïcödé \U0001f600 ✓"
    assert Change.objects.order_by("identity")[1].files == ["tab and \\ backslash \\N \\. and newline", "a\\b"]
    assert Change.objects.order_by("identity")[4].author.startswith("a b")


@pytest.mark.skipif(not ON_POSTGRESQL, reason="two write at once on PostgreSQL alone")
@pytest.mark.django_db(transaction=True)
def test_two_who_tell_the_same_at_once_make_one_row():
    of = [source(name) for name in THREE_TREES]
    tellings = [change_told(node=f"{number:012x}", landings=()) for number in range(300)]
    backwards = [tellings, tellings[::-1], tellings[150:] + tellings[:150]]

    def tell(which):
        landing = (landed(THREE_TREES[which]),)
        return lambda: told(*(replace(one, landings=landing) for one in backwards[which]), of=of[which])

    done = at_once([tell(0), tell(1), tell(2)])
    assert len(done) == 3 and sum(one.new for one in done) == 300
    assert Change.objects.count() == 300 and Landing.objects.count() == 900
    assert set(Change.objects.values_list("is_public", flat=True)) == {True}
    assert counted() == recounted()


@pytest.mark.skipif(not ON_POSTGRESQL, reason="only PostgreSQL has the index")
def test_after_many_the_index_of_words_is_up_to_date():
    told(*(change_told(node=f"{number:012x}") for number in range(store.MANY)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT gin_clean_pending_list('change_lookup')")
        assert cursor.fetchone() == (0,)


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=60), at=st.datetimes(timezones=st.timezones()))
def test_whatever_is_told_is_placed_and_cut(text, at):
    try:
        facts = store.facts_of(
            Proposal(identity="api:1", message=text, author=text, pools=(text,), authored_at=at), Source(), {}
        )
    except store.Unusable:
        assert not text.strip() or not text.isprintable()
        return
    assert facts["summary"] and "\n" not in facts["summary"]
    assert "\0" not in repr(facts).replace("\\x00", "\0")


def test_a_correction_that_drops_a_bug_which_is_not_public_shows_no_former_words():
    public_log.private_bug(1561582)
    told(change_told(message="Bug 1561582 - The secret words r=duty"))
    change = Change.objects.get()
    workflow.word(change, PersonFactory(role=Role.DUTY), public_summary="A change of access.")
    told(change_told(message="Bug 1400200 - The words of today r=duty"))
    assert change.revisions.exists() and not change.revisions.filter(is_public=True).exists()


def test_a_group_that_lands_again_is_still_found_by_where_its_parts_landed():
    one, two = (public_log.told(state=State.PROPOSED, repository=name) for name in ("one", "two"))
    lead = workflow.publish_as_one([one, two], PersonFactory(role=Role.DUTY), summary="Both")
    again = Proposal(identity=lead.identity, summary="Both", landings=(landed("three"),))
    told(again, of=lead.source)
    lead.refresh_from_db()
    assert set(lead.repositories) == {"one", "two", "three"}
