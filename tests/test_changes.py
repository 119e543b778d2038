"""What may be wanted of a bug, whether it is so already, what is written, and what a person is shown of it."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ciduty.bugzilla.values import BugState, Flag
from ciduty.outbox import changes, judging, whiteboard
from ciduty.outbox.changes import Applied, Conflict, ToWrite, Unwritable, judge

OP, OTHER_OP = "c7f3a1b2", "00112233"
AT = datetime(2026, 3, 3, 9, tzinfo=UTC)
FLAG = "needs-treeclosure"
TOKEN = {"token": "downtime 2026-12-01T08:00Z", "token_kind": "downtime"}
WRITTEN = f"[downtime 2026-12-01T08:00Z {OP}]"
NEW = {"product": "Release Engineering", "component": "General", "summary": "Reclaim", "description": "Of a month ago."}


def flag(status, number=7, name=FLAG, requestee=""):
    return Flag(number, name, status, "sheriff@example.com", requestee, AT, AT)


def bug(**fields):
    return BugState(**{
        "id": 5, "status": "NEW", "resolution": "", "is_open": True, "assignee": "nobody@example.com",
        "whiteboard": "", "flags": (), "depends_on": (), "blocks": (), "changed_at": AT,
    } | fields)  # fmt: skip


def grant(status="+"):
    return {"flags": [{"name": FLAG, "status": status}]}


# --- what may be wanted -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wants", [
    {"comment": "Hello"}, {"comment": "äöü ✓ \U0001f600\r\nand\ttabs"}, {"assigned_to": "duty@example.com"},
    {"status": "RESOLVED", "resolution": "FIXED"}, grant(), grant("X"), {"needinfo": {"of": "developer@example.com"}},
    {"flags": [{"name": FLAG, "status": "?", "requestee": "sheriff@example.com"}]}, {"needinfo": {"clear": [3, 4]}},
    TOKEN, {"token": "", "token_kind": "downtime"}, {"depends_on": [1]}, {"blocks": [1, 2]}, {"new": NEW},
    {"new": NEW | {"type": "task", "cc": ["a@example.com"], "flags": [{"name": FLAG, "status": "?"}], "is_x": True}},
    {"new": NEW} | TOKEN, {"new": NEW | {"summary": "a  " * 127}},
])  # fmt: skip
def test_what_bugzilla_takes_may_be_wanted(wants):
    changes.check(wants)
    assert json.loads(json.dumps(wants)) == wants


@pytest.mark.parametrize(("wants", "says"), [
    ({}, "Nothing is wanted"), ([], "Nothing is wanted"), ({"commnet": "x"}, "'commnet'"), ({"comment": ""}, "empty"),
    ({"comment": " \n"}, "empty"), ({"comment": 7}, "no text"), ({"comment": "a\x00b"}, "U+0000"),
    ({"comment": "a\x1bb"}, "U+001B"), ({"comment": "a\x85b"}, "U+0085"), ({"comment": "a\ud800b"}, "U+D800"),
    ({"assigned_to": ""}, "empty"), ({"assigned_to": "a@b c"}, "no login"), ({"assigned_to": "a,b"}, "no login"),
    ({"assigned_to": None}, "no text"), ({"status": "closed"}, "like RESOLVED"), ({"resolution": ""}, "empty"),
    ({"flags": []}, "no list"), (grant("*"), "is one of"), ({"flags": [{"name": FLAG}]}, "name and status"),
    ({"flags": [{"name": FLAG, "status": "+", "id": 7}]}, "name and status"), (grant(None), "is one of"),
    ({"flags": [{"name": FLAG, "status": "+", "requestee": "a@example.com"}]}, "Only a flag with ?"),
    ({"flags": [{"name": FLAG, "status": "+"}, {"name": FLAG, "status": "?"}]}, "twice"),
    ({"needinfo": {}}, "'of' a login"), ({"needinfo": {"clear": True}}, "no list of numbers"),
    ({"needinfo": {"of": "a@example.com", "clear": [1]}}, "'of' a login"), ({"needinfo": {"of": ""}}, "empty"),
    ({"token": "downtime x"}, "belong together"), ({"token_kind": "downtime"}, "belong together"),
    (TOKEN | {"token": "downtime [x]"}, "brackets"), (TOKEN | {"token": "downtime x\ny"}, "one line"),
    (TOKEN | {"token": "downtime  x"}, "double blanks"), (TOKEN | {"token": "downtime"}, "something that tells which"),
    (TOKEN | {"token": "loaner x"}, "something that tells which"), (TOKEN | {"token_kind": "Down time"}, "one word"),
    ({"depends_on": [0]}, "no number"), ({"blocks": [True]}, "no number"), ({"blocks": "7"}, "no list"),
    ({"blocks": [2**31]}, "no number"), ({"new": NEW, "comment": "x"}, "nothing but the token"), ({"new": 7}, "fields"),
    ({"new": {}}, "product, component, summary, description"), ({"new": NEW | {"component": " "}}, "needs component"),
    ({"new": NEW | {"summary": "x" * 256}}, "256 characters long; Bugzilla takes 255"),
    ({"new": NEW | {"summary": "a\x07"}}, "U+0007"), ({"new": NEW | {"cc": ["a\ud800"]}}, "U+D800"),
    ({"new": NEW | {"estimated_time": 1.5}}, "neither text nor number"),
])  # fmt: skip
def test_what_bugzilla_would_refuse_is_refused_in_a_sentence(wants, says):
    with pytest.raises(Unwritable) as refusal:
        changes.check(wants)
    sentence = str(refusal.value)
    assert says in sentence and sentence.endswith(".") and "\n" not in sentence


@pytest.mark.parametrize("character", ["x", "ä", "\U0001f600"])
def test_a_comment_is_as_long_as_bugzilla_counts_with_our_line_in_it(character):
    ours = len(changes.comment_with_ref("", OP))
    longest = character * (65_535 - ours)
    assert len(changes.comment_with_ref(longest, OP)) == 65_535
    for fits in (longest, longest + " \r\n \n", longest[:-1].replace(character * 2, character + "\r\n", 1)):
        changes.check({"comment": fits})
    for name in ("comment", "description"):
        wants = {"comment": longest + character}
        if name == "description":
            wants = {"new": NEW | {name: longest + character}}
        with pytest.raises(Unwritable, match="65536 characters long"):
            changes.check(wants)


def test_a_summary_of_255_characters_fits():
    changes.check({"new": NEW | {"summary": "\U0001f600" * 255}})


def test_our_ref_is_the_last_line_of_a_comment():
    assert changes.comment_with_ref("Hello\r\nthere \n\n", OP) == f"Hello\nthere\n\nref {OP}"


# --- the whiteboard ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), [
    ("", WRITTEN), ("[loaner]", f"[loaner]{WRITTEN}"), ("words", f"words {WRITTEN}"), ("words\n", f"words\n{WRITTEN}"),
    (f"a [downtime 2026-11-30T08:00Z {OTHER_OP}] b", f"a {WRITTEN} b"), (WRITTEN, WRITTEN),
    (f"[downtime x {OTHER_OP}][b][downtime y {OTHER_OP}]", f"{WRITTEN}[b]"),
    ("[downtime]", f"[downtime]{WRITTEN}"), ("[downtime 20261201]", f"[downtime 20261201]{WRITTEN}"),
    ("[downtime x C7F3A1B2]", f"[downtime x C7F3A1B2]{WRITTEN}"),
    ("[downtime x c7f3a1b]", f"[downtime x c7f3a1b]{WRITTEN}"),
    (f"[downtimes x {OTHER_OP}]", f"[downtimes x {OTHER_OP}]{WRITTEN}"),
    (f"[loaner x {OTHER_OP}]", f"[loaner x {OTHER_OP}]{WRITTEN}"),
    (f"[downtime x\n{OTHER_OP}]", f"[downtime x\n{OTHER_OP}]{WRITTEN}"),
])  # fmt: skip
def test_only_our_own_token_is_put_in_place(before, after):
    assert whiteboard.with_token(before, "downtime", TOKEN["token"], OP) == after


def test_taking_our_token_away_leaves_the_rest_to_the_character():
    assert whiteboard.with_token(f" a {WRITTEN}  b", "downtime", "", OP) == " a   b"


any_words = hypothesis_settings(deadline=None, derandomize=True)

#: Whiteboards made of what could be mistaken for a token, and of anything else.
PIECES = st.one_of(
    st.sampled_from(["[downtime ", "]", "[", OTHER_OP, " ", "[loaner:a]", "[downtime x", "\n"]), st.text()
)
WHITEBOARDS = st.lists(PIECES, max_size=8).map("".join)


@any_words
@given(WHITEBOARDS, WHITEBOARDS)
def test_every_other_character_stays_whatever_stands_around_our_token(left, right):
    own = f"[downtime before {OTHER_OP}]"
    bare = whiteboard.with_token(left, "downtime", "", OP), whiteboard.with_token(right, "downtime", "", OP)
    left, right = f"{bare[0]}|", f"|{bare[1]}"
    if whiteboard.with_token(left + right, "downtime", "", OP) != left + right:
        return  # what was taken out has left a new one behind
    assert whiteboard.with_token(left + own + right, "downtime", TOKEN["token"], OP) == left + WRITTEN + right
    assert whiteboard.with_token(left + own + right, "downtime", "", OP) == left + right


@any_words
@given(WHITEBOARDS)
def test_a_token_is_added_at_the_end_once_and_nothing_else_changes(before):
    bare = whiteboard.with_token(before, "downtime", "", OP)
    if whiteboard.with_token(bare, "downtime", "", OP) != bare:
        return
    once = whiteboard.with_token(bare, "downtime", TOKEN["token"], OP)
    assert once in (bare + WRITTEN, f"{bare} {WRITTEN}")
    assert whiteboard.with_token(once, "downtime", TOKEN["token"], OP) == once
    assert whiteboard.same(whiteboard.with_token(once, "downtime", "", OP), bare)


# --- the check --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wants", "read", "body"), [
    ({"comment": "Hi"}, {}, {"comment": {"body": f"Hi\n\nref {OP}"}}),
    ({"assigned_to": "Duty@example.com"}, {}, {"assigned_to": "Duty@example.com"}),
    ({"status": "RESOLVED", "resolution": "FIXED"}, {}, {"status": "RESOLVED", "resolution": "FIXED"}),
    ({"status": "RESOLVED", "resolution": "FIXED"}, {"status": "RESOLVED", "resolution": "WONTFIX"},
     {"status": "RESOLVED", "resolution": "FIXED"}),
    ({"status": "REOPENED"}, {"status": "RESOLVED", "resolution": "FIXED"}, {"status": "REOPENED"}),
    (grant(), {}, {"flags": [{"name": FLAG, "new": True, "status": "+"}]}),
    (grant(), {"flags": (flag("?"),)}, {"flags": [{"id": 7, "status": "+"}]}),
    (grant("X"), {"flags": (flag("?"),)}, {"flags": [{"id": 7, "status": "X"}]}),
    ({"flags": [{"name": FLAG, "status": "?", "requestee": "lead@example.com"}]}, {"flags": (flag("?"),)},
     {"flags": [{"id": 7, "status": "?", "requestee": "lead@example.com"}]}),
    ({"needinfo": {"of": "developer@example.com"}}, {"flags": (flag("?", 3, "needinfo", "lead@example.com"),)},
     {"flags": [{"name": "needinfo", "status": "?", "requestee": "developer@example.com", "new": True}]}),
    ({"needinfo": {"clear": [3]}}, {"flags": (flag("?", 3, "needinfo"), flag("?", 4, "needinfo"), flag("?", 7))},
     {"flags": [{"id": 3, "status": "X"}]}),
    (TOKEN, {"whiteboard": " [a]\t"}, {"whiteboard": f" [a]\t{WRITTEN}"}),
    (TOKEN, {"whiteboard": f"[downtime x {OTHER_OP}]"}, {"whiteboard": WRITTEN}),
    ({"token": "", "token_kind": "downtime"}, {"whiteboard": f"a {WRITTEN}"}, {"whiteboard": "a "}),
    ({"depends_on": [1, 2]}, {"depends_on": (2, 9)}, {"depends_on": {"add": [1]}}),
    ({"blocks": [1]}, {}, {"blocks": {"add": [1]}}),
    ({"comment": "Hi"} | grant(), {"flags": (flag("+"),)}, {"comment": {"body": f"Hi\n\nref {OP}"}}),
])  # fmt: skip
def test_only_what_is_not_yet_as_wanted_is_written(wants, read, body):
    changes.check(wants)
    assert judge(wants, {}, OP, bug(**read), False) == ToWrite(body)


@pytest.mark.parametrize(("wants", "read"), [
    ({"assigned_to": "Nobody@Example.com"}, {}), ({"status": "NEW"}, {}), (grant(), {"flags": (flag("+"),)}),
    (grant("X"), {}),
    ({"needinfo": {"of": "Lead@example.com"}}, {"flags": (flag("?", 3, "needinfo", "lead@example.com"),)}),
    ({"needinfo": {"clear": [3]}}, {"flags": (flag("?", 4, "needinfo"),)}), (TOKEN, {"whiteboard": f"x {WRITTEN}"}),
    ({"token": "", "token_kind": "downtime"}, {"whiteboard": "[downtime]"}), ({"blocks": [1]}, {"blocks": (1,)}),
    ({"status": "RESOLVED", "resolution": "FIXED"}, {"status": "RESOLVED", "resolution": "FIXED"}),
])  # fmt: skip
def test_what_is_as_wanted_is_applied_whoever_did_it(wants, read):
    changes.check(wants)
    assert judge(wants, {}, OP, bug(**read), False) == Applied()


def test_our_ref_proves_everything_even_where_somebody_changed_it_back():
    wants = {"comment": "Hi", "assigned_to": "duty@example.com"} | grant()
    assert judge(wants, {}, OP, bug(), True) == Applied(but="assigned_to, flags")


def test_our_token_proves_everything_too_and_a_ref_found_without_a_comment_of_ours_proves_nothing():
    wants = {"comment": "Hi"} | TOKEN
    assert judge(wants, {}, OP, bug(whiteboard=WRITTEN), False) == Applied()
    assert isinstance(judge(wants, {}, OP, bug(whiteboard=WRITTEN.replace(OP, OTHER_OP)), False), ToWrite)
    assert isinstance(judge(grant(), {}, OP, bug(), True), ToWrite)


@pytest.mark.parametrize(("wants", "seen", "read", "why"), [
    ({"assigned_to": "duty@example.com"}, {"assigned_to": "nobody@example.com"}, {"assignee": "lead@example.com"},
     "the assignee was nobody@example.com when this was decided and is lead@example.com now, not duty@example.com"),
    ({"status": "RESOLVED", "resolution": "FIXED"}, {"status": "NEW"}, {"status": "ASSIGNED"},
     "the status was NEW when this was decided and is ASSIGNED now, not RESOLVED"),
    ({"status": "RESOLVED", "resolution": "FIXED"}, {"status": "NEW"}, {"status": "RESOLVED", "resolution": "WONTFIX"},
     "the resolution was empty when this was decided and is WONTFIX now, not FIXED"),
    (grant(), {"flags": {FLAG: {"id": 7, "status": "?"}}}, {"flags": (flag("-"),)},
     f"the flag {FLAG} was ? when this was decided and is - now, not +"),
    (grant(), {"flags": {FLAG: {"id": 7, "status": "?"}}}, {},
     f"the flag {FLAG} was ? when this was decided and is not set now, not +"),
    (grant(), {"flags": {FLAG: {"id": 7, "status": "?"}}}, {"flags": (flag("?", 8),)},
     f"the flag {FLAG} was ? when this was decided and is another ? now, not +"),
    (grant("X"), {"flags": {FLAG: {"id": 7, "status": "?"}}}, {"flags": (flag("+"),)},
     f"the flag {FLAG} was ? when this was decided and is + now, not cleared"),
    (grant(), {"flags": {FLAG: None}}, {"flags": (flag("?"),)},
     f"the flag {FLAG} was not set when this was decided and is ? now, not +"),
    (grant(), {}, {"flags": (flag("?"), flag("-", 8))},
     f"the flag {FLAG} stands 2 times in the bug, and it was not said which is meant"),
])  # fmt: skip
def test_what_somebody_else_moved_is_a_conflict_that_names_field_old_and_new(wants, seen, read, why):
    assert judge(wants, seen, OP, bug(**read), False) == Conflict(why)
    assert judge({"comment": "Hi"} | wants, seen, OP, bug(**read), False) == Conflict(why)


@pytest.mark.parametrize(("wants", "seen", "read"), [
    ({"assigned_to": "duty@example.com"}, {"assigned_to": "Nobody@example.com"}, {}),
    ({"status": "RESOLVED", "resolution": "FIXED"}, {"status": "NEW"}, {}),
    (grant(), {"flags": {FLAG: {"id": 7, "status": "?"}}}, {"flags": (flag("?"), flag("?", 8))}),
    (grant(), {"flags": {FLAG: None}}, {}), (grant(), {"flags": {FLAG: {"status": "?"}}}, {"flags": (flag("?"),)}),
    (TOKEN, {"token": "", "audience": "staff"}, {"whiteboard": f"[downtime x {OTHER_OP}]"}),
])  # fmt: skip
def test_what_is_as_it_was_seen_is_written(wants, seen, read):
    assert isinstance(judge(wants, seen, OP, bug(**read), False), ToWrite)


def test_what_bugzilla_must_report_follows_from_what_was_sent():
    body = {"status": "RESOLVED", "resolution": "FIXED", "flags": [{}], "whiteboard": "x", "comment": {"body": "y"}}
    closed = bug(status="RESOLVED", resolution="WONTFIX")
    assert judging.expected_changes(body, bug()) == {"status", "resolution", "flagtypes.name", "whiteboard"}
    assert judging.expected_changes(body, closed) == {"resolution", "flagtypes.name", "whiteboard"}
    assert "cc" in judging.tolerated_changes(body) and "cc" not in judging.tolerated_changes({"whiteboard": "x"})


# --- for a reader -----------------------------------------------------------------------------------------------------


def test_a_preview_shows_before_and_after_and_the_body_as_it_is_sent():
    wants = {"comment": "Hi", "assigned_to": "duty@example.com", "status": "RESOLVED", "resolution": "FIXED",
             "depends_on": [9]} | grant() | TOKEN  # fmt: skip
    read = bug(flags=(flag("?", requestee="sheriff@example.com"),), whiteboard="[a\u202e]", depends_on=(3,))
    preview = changes.preview(wants, read, OP, 5)
    assert preview.rows == [
        ("Assignee", "nobody@example.com", "duty@example.com"),
        ("Whiteboard", "[a[U+202E]]", f"[a[U+202E]]{WRITTEN}"),
        ("Depends on", "3", "and 9"),
        ("Status", "NEW", "RESOLVED FIXED"),
        (f"Flag {FLAG}", "? sheriff@example.com", "+"),
        ("Comment", "", f"Hi\n\nref {OP}"),
    ]
    assert preview.body == judge(wants, {}, OP, read, False).body | {"ids": [5]}
    assert json.loads(preview.json) == preview.body


def test_a_preview_of_what_was_only_seen_says_what_it_does_not_know():
    seen = {"assigned_to": "nobody@example.com", "flags": {FLAG: {"id": 7, "status": "?"}}, "audience": "public"}
    preview = changes.preview({"assigned_to": "duty@example.com"} | grant() | TOKEN, seen, OP)
    assert ("Whiteboard", "(what stands there then)", f"(what stands there then) {WRITTEN}") in preview.rows
    assert preview.body["flags"] == [{"id": 7, "status": "+"}]
    assert changes.preview({"assigned_to": "nobody@example.com"}, seen, OP) == ([], {})


def test_a_preview_of_a_new_bug_is_what_is_posted():
    preview = changes.preview({"new": NEW} | TOKEN, {}, OP)
    assert preview.body["description"] == f"{NEW['description']}\n\nref {OP}"
    assert (preview.body["whiteboard"], preview.body["version"]) == (WRITTEN, "unspecified")
    assert ("Summary", "", "Reclaim") in preview.rows


def test_what_to_do_by_hand_names_the_bug_the_fields_and_the_comment_with_our_ref():
    wants = {"comment": "Hi", "assigned_to": "duty@example.com", "status": "RESOLVED", "resolution": "FIXED",
             "needinfo": {"of": "lead@example.com"}, "blocks": [9, 10]} | grant("X") | TOKEN  # fmt: skip
    update = SimpleNamespace(wants=wants, op=OP, bug_id=5)
    assert changes.by_hand(update, "https://bugzilla.example.com/").split("\n") == [
        "Bug 5: https://bugzilla.example.com/show_bug.cgi?id=5",
        "",
        "Status: RESOLVED FIXED",
        "Assignee: duty@example.com",
        f"Flag {FLAG}: cleared",
        "Needinfo: ask lead@example.com",
        f"Whiteboard: put {WRITTEN} in place of [downtime ... ]",
        "Blocks: add 9, 10",
        "",
        "Comment:",
        "",
        "Hi",
        "",
        f"ref {OP}",
    ]


def test_a_bug_to_be_filed_by_hand_comes_with_all_of_its_fields():
    update = SimpleNamespace(wants={"new": NEW}, op=OP, bug_id=None)
    text = changes.by_hand(update, "https://bugzilla.example.com")
    assert text.startswith("File a bug: https://bugzilla.example.com/enter_bug.cgi\n\nVersion: unspecified\nProduct: ")
    assert text.endswith(f"Description:\n\nOf a month ago.\n\nref {OP}")
