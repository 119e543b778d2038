"""What a request says is read as far as its words allow; what cannot be understood is told, and nothing is guessed."""

import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ciduty.bugzilla.models import Visibility
from loaners import wishes
from loaners.models import LoanerRequest
from loaners.parsing import Found, classes_of, parse
from tests.cast import ApplicationFactory, MachineClassFactory, PersonFactory, request_with_words

CLASSES = [
    "b-2008-ix", "bld-linux64-ec2", "t-linux64-ms", "t-w1064-ms", "t-w864-ix", "t-win7-32", "t-win7-32-gpu",
    "t-yosemite-r7", "talos-linux",
]  # fmt: skip
NO_CLASS = "The summary does not say which machine class."
NO_BUG = "The summary does not say which bug is being debugged."
NO_UNTIL = "The summary does not say until when."

#: Summary -> class, person, bug, until, as far as it says them.
SUMMARIES = {
    "Loan a slave of t-w864-ix to user": ("t-w864-ix", "user", None, None),
    "loaner request for t-yosemite-r7": ("t-yosemite-r7", None, None, None),
    "Slave loan request for a bld-linux64-ec2 vm": ("bld-linux64-ec2", None, None, None),
    "Need a Win10 hw machine to debug bug 1412345": (None, None, 1412345, None),
    "LOAN A T-W1064-MS MACHINE TO DEVELOPER2: tests need a desktop": ("t-w1064-ms", "DEVELOPER2", None, None),
    "Loan a t-linux64-ms machine to developer: fuzz differs": ("t-linux64-ms", "developer", None, None),
    "Please loan me t-w1064-ms-042.": ("t-w1064-ms", None, None, None),
    "Could I have t-linux64-ms?": ("t-linux64-ms", None, None, None),
    "Loan t-w864-ix-103.releng.example.com to me until 2026-12-01": ("t-w864-ix", None, None, date(2026, 12, 1)),
    "Loan of (t-yosemite-r7-0218) to somebody@example.com!": ("t-yosemite-r7", "somebody@example.com", None, None),
    "Any t-w1064-* to look at Bug #1412345, till 2026-12-01.": ("t-w1064-ms", None, 1412345, date(2026, 12, 1)),
    "t-w1064-ms-0?? please": ("t-w1064-ms", None, None, None),
    "t-win7-32-017 for bug1412345": ("t-win7-32", None, 1412345, None),
    "t-win7-32-gpu-002 for bug 1412345 and a look at the fan": ("t-win7-32-gpu", None, 1412345, None),
    "t-w1064-ms and t-w1064-ms-007": ("t-w1064-ms", None, None, None),
    "Loan a talos-linux to a newcomer: noise": ("talos-linux", None, None, None),
    "Loan a talos-linux to debug: noise": ("talos-linux", None, None, None),
    "loan b-2008-ix to user, please": ("b-2008-ix", None, None, None),
    "Loan request: Android phone": (None, None, None, None),
    "Machine for the hang in show_bug.cgi?id=1412345": (None, None, 1412345, None),
    "": (None, None, None, None),
}


@pytest.mark.parametrize(("summary", "expected"), SUMMARIES.items(), ids=[text[:40] or "empty" for text in SUMMARIES])
def test_a_summary_as_people_write_it_is_read(summary, expected):
    said = parse(summary, classes=CLASSES)
    found = (said.machine_class, said.person, said.bug, said.until)
    assert tuple(one and one.value for one in found) == expected
    assert {one.where for one in found if one} <= {"summary"}
    assert (NO_BUG in said.missing) == (expected[2] is None)
    assert (NO_UNTIL in said.missing) == (expected[3] is None)


@pytest.mark.parametrize(
    ("summary", "sentence"),
    [
        ("Loan a machine", NO_CLASS),
        ("Loan me a t-amiga-500", "The summary names “t-amiga-500”, which is no machine class that ciduty knows."),
        ("t-w864-ix or t-w1064-ms", "The summary names several machine classes: t-w1064-ms, t-w864-ix."),
        ("Loan me any t-*", "The summary names several machine classes: t-linux64-ms, t-w1064-ms, t-w864-ix,"),
        ("t-w1064-ms-gpu for me", "The summary names “t-w1064-ms-gpu”, which is no machine class that ciduty knows."),
        ("for bug 1 and bug 2", "The summary names several bugs, and not which one is being debugged."),
        ("for bugs 1412345, 1412346", "The summary names several bugs"),
        ("for bug 0", NO_BUG),
        ("for bug 9999999999", NO_BUG),
        ("for bug 12345678901234567890", NO_BUG),
        ("debug 1412345", NO_BUG),
        ("until Friday", "The summary says until “Friday”, which is no date that ciduty understands."),
        ("until next week, please.", "The summary says until “next week, please”, which is no date"),
        ("until 2026-02-31", "The summary says until “2026-02-31”, which is no date"),
        ("until 2026-12-011", "The summary says until “2026-12-011”, which is no date"),
        ("on 2026-12-01", NO_UNTIL),
    ],
)
def test_what_is_missing_or_not_clear_is_told_and_not_guessed(summary, sentence):
    assert any(told.startswith(sentence) for told in parse(summary, classes=CLASSES).missing)


FORM = "Machine: {machine}\nFor: Somebody Else\nBug being debugged: {bug}\nUntil: {until}\n\nAs on bug 7 and bug 8."


def test_a_description_is_read_line_by_line_and_says_where_each_value_stands():
    text = FORM.format(machine="t-linux64-ms", bug="1412345", until="2026-12-01")
    said = parse("Loan a machine", text, classes=CLASSES)
    assert said.machine_class == Found("t-linux64-ms", "description")
    assert said.person == Found("Somebody Else", "description")
    assert said.bug == Found(1412345, "description")
    assert said.until == Found(date(2026, 12, 1), "description")
    assert said.missing == ()


def test_what_neither_summary_nor_description_says_is_missing_from_the_bug():
    said = parse("Loan a machine", "Hello.", classes=CLASSES)
    assert said.missing == (
        "The bug does not say which machine class.",
        "The bug does not say which bug is being debugged.",
        "The bug does not say until when.",
    )


def test_the_summary_goes_before_the_description():
    said = parse("t-w1064-ms", FORM.format(machine="t-linux64-ms", bug="none yet", until="a week"), classes=CLASSES)
    assert said.machine_class == Found("t-w1064-ms", "summary")
    assert said.bug is None
    assert "The bug says until “a week”, which is no date that ciduty understands." in said.missing


def test_below_the_last_question_people_write_freely_and_no_line_is_an_answer():
    text = "Why try or an interactive task is not enough:\n\nUntil: 2099-01-01 it hung.\nFor: nobody in particular"
    said = parse("Loan a machine", text, classes=CLASSES)
    assert (said.until, said.person) == (None, None)


def test_a_class_that_is_the_beginning_of_another_is_not_taken_for_it():
    assert classes_of("t-win7-32-gpu", CLASSES) == {"t-win7-32-gpu"}
    assert classes_of("t-win7-32-001", CLASSES) == {"t-win7-32"}
    assert classes_of("t-win7-32-001", ["t-win7"]) == set()
    assert classes_of("*", CLASSES) == set()


anything = st.text(max_size=300) | st.lists(
    st.sampled_from(["loan ", "to ", "bug ", "bugs 1,", "until ", "2026-12-01", "t-w1064-ms", "-", "*", "?", ":", "\n",
                     "For", " ", "9" * 40, "İ", "\u0661", "\x00", "\ud800", "\u2028"]), max_size=80,
).map("".join)  # fmt: skip


@given(anything, st.none() | anything, st.lists(st.sampled_from(CLASSES) | st.text(max_size=8), max_size=4))
@settings(max_examples=400, deadline=None, derandomize=True)
def test_no_text_breaks_the_reader_and_nothing_is_both_found_and_missing(summary, description, classes):
    said = parse(summary, description, classes=classes)
    assert said.machine_class is None or said.machine_class.value in classes
    assert len(said.missing) == [said.machine_class, said.bug, said.until].count(None)
    assert all(len(told) < 600 for told in said.missing)


LONG = 65_535
HOSTILE = [
    " ", "a ", "t-", "*-", "-*?", "bug ", "bugs 1,", "bug 1 and ", "until ", "until a a ", "loan to ", "lend ", "For:",
    "For:\n", "to x ", "9", "?id=", "t-w1064-ms ", "t-w1064-ms-", "(", "\n", ":",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_64_kilobytes_of_anything_are_read_in_linear_time(piece):
    def seconds(length):
        text = (piece * length)[:length]
        best = []
        for _ in range(3):
            began = time.process_time()
            parse(text, text, classes=CLASSES)
            best.append(time.process_time() - began)
        return min(best)

    quarter, whole = seconds(LONG // 4), seconds(LONG)
    assert whole < 1, f"{piece!r} took {whole:.2f} s"
    assert whole < 10 * max(quarter, 0.01), f"{piece!r} grows faster than its length: {quarter:.4f} to {whole:.4f} s"


# --- what the pages are given -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_wish_comes_from_the_application_where_there_is_one():
    request = request_with_words(summary="Loan a t-linux64-ms machine to nobody")
    application = ApplicationFactory(bug_id=request.pk, why="It hangs.")
    wish = wishes.wish_of(request)
    assert (wish.machine_class, wish.bug, wish.until) == (application.machine_class, 1399999, application.until)
    assert (wish.why, wish.person, wish.access, wish.asked_here) == ("It hangs.", "developer", "RDP", True)
    assert wish.missing == ()


@pytest.mark.django_db
def test_an_application_without_a_bug_says_so():
    request = request_with_words()
    ApplicationFactory(bug_id=request.pk, debugging_bug=None)
    assert wishes.wish_of(request).missing == ("There is no bug yet that is being debugged.",)


@pytest.mark.django_db
def test_a_request_that_was_filed_in_bugzilla_is_read_from_its_summary_and_says_where_the_rest_is():
    MachineClassFactory(name="t-w1064-ms")
    wish = wishes.wish_of(request_with_words(summary="Loan a t-w1064-ms-042 machine to me for bug 1412345"))
    assert (wish.machine_class.name, wish.bug, wish.until, wish.person) == ("t-w1064-ms", 1412345, None, "Developer")
    assert wish.missing == (NO_UNTIL, wishes.IN_BUGZILLA)


@pytest.mark.django_db
def test_a_class_that_is_no_longer_lent_is_understood_all_the_same():
    MachineClassFactory(name="t-xp32-ix", is_lent=False)
    assert wishes.wish_of(request_with_words(summary="Loan a T-XP32-IX-001")).machine_class.name == "t-xp32-ix"


@pytest.mark.django_db
@pytest.mark.parametrize("asked_here", [True, False])
def test_of_a_restricted_bug_nothing_is_known(asked_here):
    request = request_with_words(bug__visibility=Visibility.RESTRICTED, summary="CANARY t-w1064-ms")
    if asked_here:
        ApplicationFactory(bug_id=request.pk, why="CANARY")
    wish = wishes.wish_of(request)
    assert wish == wishes.Wish(asked_here=asked_here, missing=(wishes.RESTRICTED,))


@pytest.mark.django_db
def test_many_wishes_cost_as_many_queries_as_one(django_assert_num_queries):
    person = PersonFactory()
    for _ in range(20):
        ApplicationFactory(bug_id=request_with_words().pk, person=person)
        request_with_words(summary="Loan a t-w1064-ms")
    requests = list(LoanerRequest.objects.select_related("bug", "bug__text"))
    with django_assert_num_queries(2):
        assert len(wishes.wishes_of(requests)) == 40
