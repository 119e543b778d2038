"""What `before` must put first, and why: cases made by hand, each with the words that must stand as its reasons.

`SUSPECTS` says who is suspect, in order; a change that is not named there must not be one.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from changelog.before.suspects import (
    MOST,
    Broken,
    Candidate,
    During,
    is_same_pool,
    may_be_suspect,
    reasons_of,
    span,
    suspects,
)
from changelog.rules import Kind

BROKE = datetime(2026, 3, 3, 9, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
WIN, LINUX, MAC = "gecko-t/win11-64-2009", "gecko-t/t-linux-2404", "gecko-t/osx-1015"
PUPPET, TASKGRAPH = 1, 2
NOBODY: tuple[str, ...] = ()


def change(before, **facts):
    """Return a change so long before the break; sets are given as tuples."""
    for name in ("pools", "platforms", "trees", "bugs"):
        facts[name] = frozenset(facts.get(name, ()))
    return Candidate(pk=0, at=BROKE - before, **facts)


@dataclass(frozen=True)
class Case:
    """What was there by name, what broke, who is suspect in which order, and the first one's reasons."""

    says: str
    changes: dict[str, Candidate]
    order: tuple[str, ...]
    because: tuple[str, ...] = ()
    broken: Broken = Broken(BROKE, BROKE - DAY)


def broke(back=DAY, **facts):
    facts["platforms"] = frozenset(facts.get("platforms", ()))
    return Broken(BROKE, BROKE - back, **facts)


DEPLOY = change(12 * MINUTE, kind=Kind.DEPLOY, pools=(WIN,), how="took effect")
PUSH = change(timedelta(), trees=("autoland",), in_the_push=True)
MAINTENANCE = During("Switches in mdc1", "downtime", BROKE - 20 * MINUTE)

CASES = [
    Case(
        "with a moment alone the nearest comes first",
        {"older": change(5 * HOUR), "nearest": change(12 * MINUTE), "old": change(2 * HOUR)},
        ("nearest", "old", "older"), ("landed 12 minutes before",),
    ),
    Case(
        "the same pool beats what is nearer",
        {"near": change(MINUTE), "deploy": replace(DEPLOY, at=BROKE - 5 * HOUR)},
        ("deploy", "near"), ("same pool", "a deploy of that pool", "took effect 5 hours before"),
        broke(pool=WIN),
    ),
    Case(
        "a deploy of that pool beats a config of that pool at the same time",
        {"config": replace(DEPLOY, kind=Kind.CONFIG), "deploy": DEPLOY},
        ("deploy", "config"), ("same pool", "a deploy of that pool", "took effect 12 minutes before"),
        broke(pool=WIN),
    ),
    Case(
        "a new image of that pool is as likely as a deploy, and the nearer one wins",
        {"deploy": DEPLOY, "image": replace(DEPLOY, kind=Kind.IMAGE, at=BROKE - 10 * MINUTE)},
        ("image", "deploy"), ("same pool", "an image of that pool", "took effect 10 minutes before"),
        broke(pool=WIN),
    ),
    Case(
        "what was backed out later beats the nearest bystander",
        {"near": change(5 * MINUTE), "out": change(6 * HOUR, taken_back_at=BROKE + 40 * MINUTE)},
        ("out", "near"), ("backed out later, 40 minutes after it broke", "landed 6 hours before"),
    ),
    Case(
        "what was backed out before it broke is no suspect",
        {"out": change(2 * HOUR, taken_back_at=BROKE - MINUTE), "near": change(3 * HOUR)},
        ("near",),
    ),
    Case(
        "what was backed out at the very moment of the break is no suspect",
        {"out": change(2 * HOUR, taken_back_at=BROKE)}, NOBODY,
    ),
    Case(
        "what took effect after the break is never suspect, however much speaks for it",
        {"after": replace(DEPLOY, at=BROKE + MINUTE, landed_at=BROKE - HOUR), "before": change(3 * HOUR)},
        ("before",), ("landed 3 hours before",), broke(pool=WIN),
    ),
    Case(
        "what took effect at the very moment of the break is suspect",
        {"then": change(timedelta(), how="took effect")}, ("then",), ("took effect less than a minute before",),
    ),
    Case(
        "what landed long ago and took effect in between is named with both times",
        {"late": change(30 * MINUTE, how="took effect", landed_at=BROKE - 4 * DAY), "near": change(20 * MINUTE)},
        ("late", "near"),
        ("took effect 30 minutes before", "landed 3 days earlier and took effect only then"),
    ),
    Case(
        "of two of that pool the nearer one wins, though the other took effect late",
        {
            "late": replace(DEPLOY, at=BROKE - 2 * HOUR, landed_at=BROKE - 4 * DAY),
            "near": replace(DEPLOY, kind=Kind.IMAGE, at=BROKE - 20 * MINUTE),
        },
        ("near", "late"), ("same pool", "an image of that pool", "took effect 20 minutes before"), broke(pool=WIN),
    ),
    Case(
        "the same system beats another one",
        {"other": change(5 * MINUTE, system=TASKGRAPH), "same": change(2 * HOUR, system=PUPPET)},
        ("same", "other"), ("same system", "landed 2 hours before"), broke(system=PUPPET),
    ),
    Case(
        "the same pool is closer than the same system",
        {"system": change(HOUR, system=PUPPET), "pool": change(HOUR, pools=(WIN,))},
        ("pool", "system"), ("same pool", "landed 60 minutes before"), broke(system=PUPPET, pool=WIN),
    ),
    Case(
        "the same platform comes before no platform at all",
        {"any": change(30 * MINUTE), "windows": change(40 * MINUTE, platforms=("windows",))},
        ("windows", "any"), ("same platform", "landed 40 minutes before"), broke(platforms=("windows",)),
    ),
    Case(
        "a far platform is an alibi, even minutes before",
        {"mac": change(2 * MINUTE, platforms=("macos",)), "any": change(20 * HOUR)},
        ("any",), ("landed 20 hours before",), broke(platforms=("windows",)),
    ),
    Case(
        "one platform of several is enough",
        {"both": change(HOUR, platforms=("macos", "windows"))},
        ("both",), ("same platform", "landed 60 minutes before"), broke(platforms=("windows",)),
    ),
    Case(
        "other pools count against, and a bystander without pools comes first",
        {"linux": change(5 * MINUTE, pools=(LINUX,)), "any": change(10 * HOUR)},
        ("any",), ("landed 10 hours before",), broke(pool=WIN),
    ),
    Case(
        "what is for many pools is for this one too",
        {"all": change(HOUR, pools=(LINUX, MAC, WIN)), "near": change(MINUTE)},
        ("all", "near"), ("same pool", "landed 60 minutes before"), broke(pool=WIN),
    ),
    Case(
        "a host that broke is of its pool",
        {"class": change(HOUR, pools=("t-w732-ix",)), "near": change(MINUTE)},
        ("class", "near"), ("same pool", "landed 60 minutes before"), broke(pool="t-w732-ix-110"),
    ),
    Case(
        "part of the bad push beats the push before it",
        {"before": change(10 * MINUTE, trees=("autoland",)), "push": PUSH},
        ("push", "before"), ("part of the push that broke", "landed less than a minute before"), broke(tree="autoland"),
    ),
    Case(
        "the tree that broke beats another tree",
        {"other": change(20 * MINUTE, trees=("mozilla-esr60",)), "same": change(30 * MINUTE, trees=("autoland",))},
        ("same", "other"), ("landed 30 minutes before", "same tree, autoland"), broke(tree="autoland"),
    ),
    Case(
        "a deploy of the pool beats the bad push itself",
        {"push": PUSH, "deploy": DEPLOY},
        ("deploy", "push"), ("same pool", "took effect 12 minutes before", "a deploy of that pool"),
        broke(tree="autoland", pool=WIN),
    ),
    Case(
        "what names the same bug comes first",
        {"near": change(5 * MINUTE), "bug": change(9 * HOUR, bugs=(1899999, 1))},
        ("bug", "near"), ("names bug 1899999", "landed 9 hours before"), broke(bug=1899999),
    ),
    Case(
        "a downtime that ended just before comes first",
        {"near": change(10 * MINUTE), "downtime": change(5 * HOUR, how="took effect", is_downtime=MAINTENANCE)},
        ("downtime", "near"), ("ended 20 minutes before", "took effect 5 hours before"),
    ),
    Case(
        "a downtime that ended long before is one of many",
        {
            "near": change(10 * MINUTE),
            "downtime": change(9 * HOUR, how="took effect", is_downtime=replace(MAINTENANCE, ends_at=BROKE - 3 * HOUR)),
        },
        ("near", "downtime"), ("landed 10 minutes before",),
    ),
    Case(
        "a downtime that runs while it breaks is suspect",
        {
            "near": change(2 * HOUR),
            "downtime": change(HOUR, how="took effect", is_downtime=replace(MAINTENANCE, ends_at=BROKE + HOUR)),
        },
        ("downtime", "near"), ("was running when it broke", "took effect 60 minutes before"),
    ),
    Case(
        "what was changed while trees were closed comes before what was not",
        {"open": change(40 * MINUTE), "closed": change(50 * MINUTE, during=MAINTENANCE)},
        ("closed", "open"), ("landed 50 minutes before", "made during the downtime “Switches in mdc1”"),
    ),
    Case(
        "a backout of what came in between is less likely than anything else as near",
        {"backout": change(10 * MINUTE, undoes_at=BROKE - 3 * HOUR), "plain": change(12 * MINUTE)},
        ("plain", "backout"), ("landed 12 minutes before",),
    ),
    Case(
        "a backout of what came long before changes what runs, as anything does",
        {"backout": change(10 * MINUTE, undoes_at=BROKE - 9 * DAY), "plain": change(12 * MINUTE)},
        ("backout", "plain"), ("landed 10 minutes before",),
    ),
    Case(
        "a change of process breaks no machine",
        {"process": change(5 * MINUTE, kind=Kind.PROCESS), "plain": change(10 * HOUR)},
        ("plain", "process"), ("landed 10 hours before",),
    ),
    Case(
        "what people ruled out is no suspect any more",
        {"ruled out": replace(DEPLOY, verdict="ruled out"), "near": change(HOUR)}, ("near",), (), broke(pool=WIN),
    ),
    Case(
        "what people confirmed stands first, however far it is",
        {"deploy": DEPLOY, "confirmed": change(23 * HOUR, verdict="confirmed", pools=(LINUX,), platforms=("linux",))},
        ("confirmed", "deploy"), ("landed 23 hours before", "for other pools", "for other platforms"),
        broke(pool=WIN, platforms=("windows",)),
    ),
    Case(
        "what was withdrawn never happened",
        {"withdrawn": replace(DEPLOY, is_withdrawn=True)}, NOBODY, (), broke(pool=WIN),
    ),
    Case(
        "what is a week old and about nothing that was asked for is no suspect",
        {"old": change(6 * DAY)}, NOBODY, (), broke(back=7 * DAY),
    ),
    Case(
        "what is a week old and about that very pool is one",
        {"old": change(6 * DAY, pools=(WIN,))}, ("old",), ("same pool", "landed 6 days before"),
        broke(back=7 * DAY, pool=WIN),
    ),
    Case(
        "of seven that are alike, the five nearest are suspect",
        {str(number): change(number * MINUTE) for number in range(1, 8)}, ("1", "2", "3", "4", "5"),
    ),
    Case(
        "who stands far behind the first is left out",
        {"deploy": replace(DEPLOY, platforms=frozenset({"windows"})), "near": change(HOUR), "far": change(9 * HOUR)},
        ("deploy",), ("same pool", "a deploy of that pool", "same platform", "took effect 12 minutes before"),
        broke(pool=WIN, platforms=("windows",)),
    ),
    Case("nothing between is nothing to suspect", {}, NOBODY),
]  # fmt: skip


def judged(case):
    """Return the names of a case's suspects in order, and the suspects themselves."""
    named = {number: name for number, name in enumerate(case.changes, start=1)}
    candidates = [replace(one, pk=number) for number, one in enumerate(case.changes.values(), start=1)]
    found = suspects(candidates, case.broken)
    return tuple(named[one.pk] for one in found), found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_the_right_one_stands_first_for_the_right_reasons(case):
    order, found = judged(case)
    assert order == case.order
    if case.because:
        assert {reason.words for reason in found[0].reasons} == set(case.because)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.says)
def test_the_order_of_rows_makes_no_difference(case):
    backwards = replace(case, changes=dict(reversed(case.changes.items())))
    assert judged(backwards)[0] == case.order


def test_there_are_at_least_24_cases_each_of_its_own():
    assert len({case.says for case in CASES}) == len(CASES) >= 24


def test_of_two_that_are_alike_the_later_row_comes_first():
    twins = [replace(change(HOUR), pk=number) for number in (7, 9, 8)]
    assert [one.pk for one in suspects(twins, broke())] == [9, 8, 7]


def test_places_are_counted_from_one_and_end_at_five():
    found = suspects([replace(change(number * MINUTE), pk=number) for number in range(40)], broke())
    assert [one.place for one in found] == list(range(1, MOST + 1))


def test_what_speaks_against_stands_behind_what_speaks_for():
    reasons = reasons_of(replace(DEPLOY, platforms=frozenset({"macos"})), broke(pool=WIN, platforms=("windows",)))
    assert [reason.speaks_against for reason in reasons] == [False, False, False, True]
    assert reasons[-1].words == "for other platforms"


def test_no_words_of_a_machine_say_that_it_was_this_one():
    said = " ".join(reason.words for case in CASES for one in judged(case)[1] for reason in one.reasons)
    assert "same pool" in said and "confirmed" not in said and "caused" not in said


@pytest.mark.parametrize(
    ("named", "asked", "same"),
    [
        (WIN, WIN, True),
        (WIN, "gecko-t-win11-64-2009", True),
        (WIN, WIN + "-gpu", False),
        ("t-w732-ix", "t-w732-ix-110", True),
        ("t-w732-ix-110", "t-w732-ix", False),
        ("t-w732-ix", "t-w732-ix-1234", True),
        ("t-w732-ix", "t-w732-ix-12345", False),
        ("gecko-t/win11-64", WIN, False),  # no host of a pool of Taskcluster is named so
        ("gecko-t", WIN, False),
    ],
)
def test_a_pool_is_itself_in_both_spellings_and_the_class_of_its_hosts(named, asked, same):
    assert is_same_pool(named, asked) is same


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(), "less than a minute"), (timedelta(seconds=59), "less than a minute"), (MINUTE, "1 minute"),
        (119 * MINUTE, "119 minutes"), (2 * HOUR, "2 hours"), (2 * DAY - timedelta(seconds=1), "47 hours"),
        (2 * DAY, "2 days"), (-HOUR, "less than a minute"),
    ],
)  # fmt: skip
def test_a_length_of_time_is_written_in_one_unit(length, words):
    assert span(length) == words


def test_the_edge_of_the_break_is_on_the_right_side():
    at = change(timedelta())
    assert may_be_suspect(at, broke())
    assert not may_be_suspect(replace(at, at=BROKE + timedelta(microseconds=1)), broke())
