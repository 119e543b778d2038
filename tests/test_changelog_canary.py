"""A word that is held stands nowhere in public, one that is published stands everywhere, and a bug's never.

The same canaries stand in every field of a change; what everybody can read is swept for them.
"""

import re
from datetime import timedelta

import pytest

from changelog import index, workflow
from changelog.find import Query
from changelog.models import Backout, Change, DayCount, PublicVersion
from changelog.public import density
from changelog.rules import State
from ciduty import clock
from ciduty.bugzilla.models import Bug, Visibility
from ciduty.people.roles import Role
from tests.cast import BugFactory
from tests.public_log import NOON, told

pytestmark = pytest.mark.django_db

BUG = 1876543
#: One word for each place that a source or a person can write into.
FIELDS = {
    "summary": "CANARYsummary", "message": "CANARYmessage", "impact": "CANARYimpact", "author": "CANARYauthor",
    "pools": ("CANARYpool",), "reviewers": ("CANARYreviewer",), "links": (("CANARYtitle", "https://example.com/CANARYlink"),),
    "files": ("CANARYfile",),
}  # fmt: skip
TREE = "CANARYtree"
WORDS = sorted(set(re.findall(r"CANARY\w+", str(FIELDS))) | {TREE})
#: What every surface shows of a published change; the rest stands on its page and in the API.
SHORT = {"CANARYsummary", "CANARYimpact", "CANARYauthor", "CANARYpool", "CANARYtree"}


@pytest.fixture(autouse=True)
def noon():
    """The clock stands on Wednesday 4 March 2026, 12:00 UTC."""
    clock.move(NOON - clock.now())


def planted(state, duty, **fields):
    change = told(state=State.PROPOSED, repository=TREE, bugs=(BUG,), **FIELDS | fields)
    workflow.correct(change, duty, change.revision, because="CANARYbecause", summary="CANARYsummary again")
    if state == State.PROPOSED:
        return change
    workflow.publish(change, duty)
    workflow.correct(change, duty, change.revision, because="CANARYbecause", impact="CANARYimpact again")
    if state == State.HELD:
        workflow.hold(change, duty, "CANARYbecause")
    if state == "dismissed":
        workflow.take_back(change, duty), workflow.dismiss(change, duty)
    return change


def surfaces(client, change):
    """Yield every public address that could tell of a change, and all that is answered: status, headers, body."""
    asked = [
        "", "?q=CANARYsummary", "?q=CANARYauthor", f"?bug={BUG}", "?pool=CANARYpool", "?author=CANARYauthor",
        f"?repository={TREE}", "?since=2026-03-04",
    ]  # fmt: skip
    for name in ("/changes/", "/changes/feed.atom", "/changes/feed.json", "/changes/changes.csv", "/api/changes/",
                 "/changes/density/"):  # fmt: skip
        for one in asked:
            yield name + one, answer_of(client, name + one)
    for address in (f"/changes/{change.pk}/", f"/api/changes/{change.pk}/", "/api/changelog/", "/api/schema/"):
        yield address, answer_of(client, address)


def answer_of(client, address):
    answer = client.get(address)
    body = b"".join(answer) if answer.streaming else answer.content
    return f"{answer.status_code}\n{sorted(answer.headers.items())}\n{body.decode()}"


def without_what_was_asked(address, text):
    """Return an answer without the words that the asker typed: a page repeats the question."""
    for word in re.findall(r"=(CANARY\w+|\d{7})", address):
        text = text.replace(word, "").replace(word.lower(), "")
    return text


@pytest.mark.parametrize("state", [State.PROPOSED, State.HELD, "dismissed"])
def test_no_word_of_what_is_not_public_stands_on_any_surface(clients, duty, state):
    stranger = clients[Role.PUBLIC]
    nothing = dict(surfaces(stranger, Change(pk=10_000))) if state == State.PROPOSED else {}
    version = PublicVersion.objects.values_list("value", flat=True).first() or 0
    change = planted(state, duty)
    for address, text in surfaces(stranger, change):
        rest = without_what_was_asked(address, text)
        assert "CANARY" not in rest.upper() and str(BUG) not in rest, address
        if "?" not in address:
            assert answer_of(clients[Role.LEAD], address) == text, "who asks makes no difference"
    if state == State.PROPOSED:
        assert (PublicVersion.objects.values_list("value", flat=True).first() or 0) == version
        again = dict(surfaces(stranger, Change(pk=10_000)))
        assert again == nothing, "not even a tag, a count or a length tells of it"
    assert not DayCount.objects.exclude(count=0).exists()
    assert density.strip(Query(), "", NOON.date()).in_all == 0
    stored = Change.objects.get()
    assert not stored.is_public


def test_a_published_word_stands_on_every_surface_and_is_found_by_each(clients, duty):
    change = planted(State.PUBLISHED, duty)
    stranger = clients[Role.PUBLIC]
    for address, text in surfaces(stranger, change):
        if "density" in address or "schema" in address:
            continue
        assert set(WORDS) & SHORT <= set(re.findall(r"CANARY\w+", text)) | _asked(address), address
    whole = answer_of(stranger, f"/changes/{change.pk}/")
    assert set(WORDS) | {"CANARYbecause"} <= set(re.findall(r"CANARY\w+", whole))
    assert density.strip(Query(pool="CANARYpool"), "", NOON.date()).in_all == 1


def _asked(address):
    # Treeherder has no place for pools, impact or trees but its description and project.
    return {"CANARYpool", "CANARYtree", "CANARYsummary"} if "changelog" in address else set()


def test_what_a_search_finds_and_what_it_misses_look_the_same_for_a_held_word(stranger, duty):
    planted(State.HELD, duty)
    for name in ("/changes/", "/changes/feed.atom", "/changes/feed.json", "/changes/changes.csv", "/api/changes/"):
        held, nowhere = (
            without_what_was_asked(f"?q={word}", answer_of(stranger, f"{name}?q={word}"))
            for word in ("CANARYsummary", "CANARYnowhere")
        )
        assert re.sub(r"'ETag', '[^']*'", "", held) == re.sub(r"'ETag', '[^']*'", "", nowhere), name


@pytest.mark.parametrize("visibility", [Visibility.STAFF, Visibility.RESTRICTED])
def test_a_bug_that_turns_private_takes_its_change_from_every_surface(clients, duty, visibility):
    BugFactory(id=BUG, visibility=Visibility.PUBLIC, is_loaner_request=False)
    change = planted(State.PUBLISHED, duty)
    stranger = clients[Role.PUBLIC]
    assert "CANARY" in answer_of(stranger, "/changes/")
    Bug.objects.filter(pk=BUG).update(visibility=visibility)
    with index.reindexing([change.pk], lambda bugs: {BUG} & set(bugs)):
        pass
    for address, text in surfaces(stranger, change):
        rest = without_what_was_asked(address, text)
        assert "CANARY" not in rest and str(BUG) not in rest, address
    change.refresh_from_db()
    workflow.correct(change, duty, change.revision, public_summary="Work on a server", impact="", pools=[])
    Change.objects.update(author="Somebody")
    for address, text in surfaces(stranger, change):
        rest = without_what_was_asked(address, text)
        left = set(re.findall(r"CANARY\w+", rest)) - {TREE}
        assert not left and str(BUG) not in rest, (address, left)
    assert "Work on a server" in answer_of(stranger, "/changes/")


def test_a_held_change_is_no_mark_on_a_public_one(stranger, duty):
    public = told("Public")
    addresses = ("/changes/", f"/changes/{public.pk}/", "/api/changes/", f"/api/changes/{public.pk}/")
    plain = {address: answer_of(stranger, address) for address in addresses}
    held = planted(State.HELD, duty)
    Backout.objects.create(change=held, revision="abcdef0", undoes=public)
    for address, before in plain.items():
        without_tag = [re.sub(r"'ETag', '[^']*'", "", text) for text in (before, answer_of(stranger, address))]
        assert without_tag[0] == without_tag[1], address


def test_a_revision_of_before_the_publication_is_shown_to_nobody(stranger, duty):
    change = planted(State.PUBLISHED, duty)
    clock.move(timedelta(hours=1))
    whole = answer_of(stranger, f"/api/changes/{change.pk}/")
    assert '"Impact":"CANARYimpact"' in whole
    assert '"Summary":"CANARYsummary"' not in whole, "that correction was made while it was a proposal"
