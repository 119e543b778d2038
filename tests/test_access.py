"""Who may do what: every address of the site, for every role, with every method. The table below is written by hand."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.urls import reverse

from changelog.models import Change, Source
from changelog.models.sources import SourceKind
from ciduty import access, clock
from ciduty.bugzilla.models import Visibility
from ciduty.people import tokens
from ciduty.people.models import ApiToken
from ciduty.people.roles import Role
from ciduty.systems.models import System
from ciduty.trees.models import Closure, Tree
from downtimes.models import Downtime, RunTree
from loaners.models import Grant, Step
from tests import public_log
from tests.cast import (
    A_MORNING,
    AnswerFactory,
    ApplicationFactory,
    BugUpdateFactory,
    DowntimeFactory,
    ItemFactory,
    MachineFactory,
    MailFactory,
    NominationFactory,
    TreeChangeFactory,
    browser_of,
    every_row,
    names_of_the_site,
    request_with_words,
)

pytestmark = pytest.mark.django_db

#: The columns of the table: public, developer, scheduler, manager, duty, lead.
COLUMNS = [Role.PUBLIC, Role.DEVELOPER, Role.SCHEDULER, Role.MANAGER, Role.DUTY, Role.LEAD]
#: . the page - s sent to the sign-in page - f forbidden - n no such page - m not with this method - > sent on, after
#: doing what was asked or because the page stands elsewhere - e the form shown again - x out of order, and says so -
#: k wants a program's key
OUTCOMES = {200: ".", 401: "k", 403: "f", 404: "n", 405: "m", 422: "e", 503: "x"}
#: Address, outcome of GET and HEAD, outcome of an empty POST. Bugzilla is not configured, so its health is bad.
TABLE = {
    "front_door": ("/", ".>>>..", "mmmmmm"),
    "styleguide": ("/styleguide/", "s.....", "smmmmm"),
    "livez": ("/livez", "......", "mmmmmm"),
    "readyz": ("/readyz", "......", "mmmmmm"),
    "healthz": ("/healthz", "xxxxxx", "mmmmmm"),
    "sign_in": ("/sign-in/", ".>>>>>", ".>>>>>"),
    "sign_out": ("/sign-out/", "mmmmmm", ">>>>>>"),
    "people": ("/people/", "sffff.", "sffffm"),
    "add_person": ("/people/add/", "sffff.", "sffffe"),
    "person": ("/people/{somebody}/", "sffff.", "sffffe"),
    "sync_now": ("/sync/", "sfffmm", "sfff>>"),
    "hold_back_words": ("/bugs/{bug}/hold-back/", "sfffmm", "sfff>>"),
    "release_words": ("/bugs/{bug}/release/", "sfffmm", "sfff>>"),
    "loaner_requests": ("/loaners/", "s.....", "smmmmm"),
    "loaner_request": ("/loaners/{bug}/", "s.n...", "smmmmm"),
    "request_loaner": ("/loaners/request/", "s.....", "seeeee"),
    "loaner_application": ("/loaners/request/{row}/", "s.nn..", "smmmmm"),
    "machines": ("/machines/", "sff...", "sffmmm"),
    "machine": ("/machines/{row}/", "sff...", "sffmmm"),
    "add_machine": ("/machines/add/", "sfff..", "sfffee"),
    "edit_machine": ("/machines/{row}/edit/", "sfff..", "sfffee"),
    "import_machines": ("/machines/import/", "sfff..", "sfffee"),
    "confirm_machine_import": ("/machines/import/confirm/", "sfffmm", "sfff>>"),
    "machine_mark_broken": ("/machines/{row}/mark-broken/", "sfffmm", "sfffee"),
    "machine_return": ("/machines/{row}/return/", "sfffmm", "sfff>>"),
    "machine_retire": ("/machines/{row}/retire/", "sfffmm", "sfff>>"),
    "machine_bring_back": ("/machines/{row}/bring-back/", "sfffmm", "sfff>>"),
    "outbox": ("/outbox/", "sfff..", "sfffmm"),
    "outbox_check": ("/outbox/check/", "sfffmm", "sfff>>"),
    "outbox_try_all_again": ("/outbox/try-all-again/", "sfffmm", "sfff>>"),
    "outbox_mail": ("/outbox/mail/{row}/", "sfff..", "sfffmm"),
    "outbox_mail_try_again": ("/outbox/mail/{row}/try-again/", "sfffmm", "sfff>>"),
    "outbox_mail_hold": ("/outbox/mail/{row}/hold/", "sfffmm", "sfff>>"),
    "outbox_mail_cancel": ("/outbox/mail/{row}/cancel/", "sfffmm", "sfff>>"),
    "outbox_mail_done": ("/outbox/mail/{row}/done/", "sfffmm", "sfff>>"),
    "outbox_bug": ("/outbox/bug/{row}/", "sfff..", "sfffmm"),
    "outbox_bug_try_again": ("/outbox/bug/{row}/try-again/", "sfffmm", "sfff>>"),
    "outbox_bug_hold": ("/outbox/bug/{row}/hold/", "sfffmm", "sfff>>"),
    "outbox_bug_cancel": ("/outbox/bug/{row}/cancel/", "sfffmm", "sfff>>"),
    "outbox_bug_done": ("/outbox/bug/{row}/done/", "sfffmm", "sfff>>"),
    "outbox_tree": ("/outbox/tree/{row}/", "sfff..", "sfffmm"),
    "outbox_tree_try_again": ("/outbox/tree/{row}/try-again/", "sfffmm", "sfff>>"),
    "outbox_tree_hold": ("/outbox/tree/{row}/hold/", "sfffmm", "sfff>>"),
    "outbox_tree_cancel": ("/outbox/tree/{row}/cancel/", "sfffmm", "sfff>>"),
    "outbox_tree_done": ("/outbox/tree/{row}/done/", "sfffmm", "sfff>>"),
    "answer_loaner_request": ("/loaners/{bug}/answer/", "sfffmm", "sfffee"),
    "approve_loan": ("/loaners/{bug}/approve/", "sfffmm", "sfffee"),
    "ask_about_loan": ("/loaners/{bug}/ask/", "sfffmm", "sfffee"),
    "decline_loan": ("/loaners/{bug}/decline/", "sfffmm", "sfffee"),
    "answer_question": ("/loaners/{bug}/hear-back/", "smmmmm", "s>nfff"),
    "cancel_loan": ("/loaners/{bug}/cancel/", "smmmmm", "senfee"),
    "prepare_loan": ("/loaners/{bug}/prepare/", "sfffmm", "sfff>>"),
    "hand_over_loan": ("/loaners/{bug}/hand-over/", "sfffmm", "sfff>>"),
    "extend_loan": ("/loaners/{bug}/extend/", "smmmmm", "s>nf>>"),
    "give_back_loan": ("/loaners/{bug}/give-back/", "smmmmm", "s>nf>>"),
    "reclaim_loan": ("/loaners/{bug}/reclaim/", "sfffmm", "sfff>>"),
    "finish_loan": ("/loaners/{bug}/finish/", "sfffmm", "sfff>>"),
    "do_loan_step": ("/loaners/{bug}/steps/{row}/done/", "sfffmm", "sfff>>"),
    "check_loan_step": ("/loaners/{bug}/steps/{row}/check/", "sfffmm", "sfff>>"),
    "undo_loan_step": ("/loaners/{bug}/steps/{row}/undo/", "sfffmm", "sfff>>"),
    "grant_access": ("/loaners/{bug}/grant/", "sfffmm", "sfff>>"),
    "revoke_access": ("/loaners/{bug}/grants/{row}/revoke/", "sfffmm", "sfffee"),
    "reopen_loan_bug": ("/loaners/{bug}/reopen-bug/", "sfffmm", "sfff>>"),
    "resolve_loan_bug": ("/loaners/{bug}/resolve-bug/", "sfffmm", "sfff>>"),
    "loans_of_person": ("/loaners/person/{somebody}/", "sn....", "smmmmm"),
    "downtimes": ("/downtimes/", "......", "mmmmmm"),
    "downtimes_calendar": ("/downtimes/calendar.ics", "......", "mmmmmm"),
    "downtime": ("/downtimes/{row}/", "nnnnnn", "mmmmmm"),  # nobody announced it yet
    "request_downtime": ("/downtimes/request/", "s.....", "seeeee"),
    "nomination": ("/downtimes/request/{row}/", "sn....", "smmmmm"),
    "withdraw_nomination": ("/downtimes/request/{row}/withdraw/", "smmmmm", "sn>f>>"),
    "review_nominations": ("/downtimes/review/", "sfff..", "sfffmm"),
    "accept_nomination": ("/downtimes/review/{row}/accept/", "sfff..", "sfffee"),
    "defer_nomination": ("/downtimes/review/{row}/defer/", "sfff..", "sfffee"),
    "decline_nomination": ("/downtimes/review/{row}/decline/", "sfff..", "sfffee"),
    "add_downtime": ("/downtimes/new/", "sfff..", "sfffee"),
    "plan_downtime": ("/downtimes/{row}/plan/", "sf....", "sfmmmm"),
    "edit_downtime": ("/downtimes/{row}/edit/", "sfff..", "sfffee"),
    "confirm_duty": ("/downtimes/{row}/confirm-duty/", "sfffmm", "sfff>>"),
    "downtime_notice": ("/downtimes/{row}/notice/", "sfff..", "sfffee"),
    "edit_downtime_item": ("/downtimes/{row}/items/{row}/", "sfff..", "sfffee"),
    "move_downtime_item": ("/downtimes/{row}/items/{row}/move/", "sfffmm", "sfff>>"),
    "assign_downtime_item": ("/downtimes/{row}/items/{row}/assign/", "sfffmm", "sfff>>"),
    "take_out_downtime_item": ("/downtimes/{row}/items/{row}/take-out/", "sfffmm", "sfff>>"),
    "downtime_agreement": ("/downtimes/{row}/agreement/", "sf....", "sfmmmm"),
    "settle_question": ("/downtimes/{row}/agreement/{row}/settle/", "sfffmm", "sfffee"),
    "ask_workers": ("/downtimes/{row}/ask-workers/", "sfffmm", "sfff>>"),
    "ask_pre_approvers": ("/downtimes/{row}/ask-pre-approvers/", "sfffmm", "sfff>>"),
    "answer_about_downtime": ("/downtimes/{row}/answer/", "snnnnn", "snnnnn"),  # nobody of them was asked
    "sign_off": ("/sign-off/{token}/", "nnnnnn", "nnnnnn"),  # no mail holds this token
    "announce_downtime": ("/downtimes/{row}/announce/", "sfffmm", "sfff>>"),
    "postpone_downtime": ("/downtimes/{row}/postpone/", "sfffmm", "sfffee"),
    "cancel_downtime": ("/downtimes/{row}/cancel/", "sfffmm", "sfffee"),
    "ask_for_emergency": ("/downtimes/{row}/emergency/", "sfffmm", "sfffee"),
    "agree_to_emergency": ("/downtimes/{row}/emergency/agree/", "sffmff", "sff>ff"),
    "run_downtime": ("/downtimes/{row}/run/", "sn....", "smmmmm"),
    "run_downtime_saved": ("/downtimes/{row}/run/saved/", "sn....", "smmmmm"),
    "begin_downtime": ("/downtimes/{row}/run/begin/", "sfffmm", "sfff>>"),
    "hold_downtime": ("/downtimes/{row}/run/hold/", "sfffmm", "sfffee"),
    "release_downtime": ("/downtimes/{row}/run/go-ahead/", "sfffmm", "sfffee"),
    "do_run_step": ("/downtimes/{row}/run/step/", "sfffmm", "sfffee"),
    "take_over_downtime": ("/downtimes/{row}/run/take-over/", "sfffmm", "sfffee"),
    "extend_downtime": ("/downtimes/{row}/run/extend/", "sfffmm", "sfffee"),
    "close_run_trees": ("/downtimes/{row}/run/close/", "sfffmm", "sfffee"),
    "reopen_run_trees": ("/downtimes/{row}/run/reopen/", "sfffmm", "sfffee"),
    "look_at_run_trees": ("/downtimes/{row}/run/look/", "sfffmm", "sfff>>"),
    "claim_run_tree": ("/downtimes/{row}/run/trees/{tree}/claim/", "sfffmm", "sfff>>"),
    "leave_run_tree": ("/downtimes/{row}/run/trees/{tree}/leave/", "sfffmm", "sfffee"),
    "do_run_item": ("/downtimes/{row}/run/items/{row}/", "smmmmm", "snffee"),  # neither the manager nor IT does it
    "tell_run_bugs": ("/downtimes/{row}/run/bugs/", "sfff..", "sfffee"),
    "tree_open": ("/downtimes/{row}/run/tree-open/", "sfff..", "sfffee"),
    "add_outage": ("/downtimes/outage/", "sfff..", "sfffee"),
    "review_downtime": ("/downtimes/{row}/review/", "sfff..", "sfffee"),
    "keep_check_link": ("/downtimes/lists/link/", "sffffm", "sffffe"),
    "lists_and_approvers": ("/downtimes/lists/", "sffff.", "sffffm"),
    "keep_list": ("/downtimes/lists/list/", "sffffm", "sffffe"),
    "keep_approver": ("/downtimes/lists/approver/", "sffffm", "sffffe"),
    "changes": ("/changes/", "......", "mmmmmm"),
    "changes_density": ("/changes/density/", "......", "mmmmmm"),
    "changes_atom": ("/changes/feed.atom", "......", "mmmmmm"),
    "changes_json_feed": ("/changes/feed.json", "......", "mmmmmm"),
    "changes_csv": ("/changes/changes.csv", "......", "mmmmmm"),
    "change": ("/changes/{row}/", "......", "mmmmmm"),
    "api_changes": ("/api/changes/", "......", "kkkkkk"),
    "api_change": ("/api/changes/{row}/", "......", "mmmmmm"),
    "api_changes_before": ("/api/changes/before/", "eeeeee", "mmmmmm"),
    "api_sources": ("/api/sources/", "......", "mmmmmm"),
    "api_changelog": ("/api/changelog/", "......", "mmmmmm"),
    "api_schema": ("/api/schema/", "......", "mmmmmm"),
    "api_docs": ("/api/docs/", "......", "mmmmmm"),
    "before_it_broke": ("/changes/before/", "......", "mmmmmm"),
    "judge_answer": ("/changes/before/judge/", "sfffee", "sfffmm"),
    "judge_change": ("/changes/before/judge/{row}/", "sfffmm", "sfffee"),
    "post_answer_to_bug": ("/changes/before/post/", "sfffee", "sfffee"),
    "change_queue": ("/changes/queue/", "sfff..", "sfffmm"),
    "say_change": ("/changes/say/", "sf.f..", "sfefee"),
    "add_change": ("/changes/add/", "sf.f..", "sfefee"),
    "change_record": ("/changes/{row}/record/", "sfff..", "sfffmm"),
    "correct_change": ("/changes/{row}/correct/", "sfff..", "sfffee"),
    "publish_change": ("/changes/{row}/publish/", "sfffmm", "sfff>>"),
    "publish_changes_as_one": ("/changes/publish-as-one/", "sfffmm", "sfffee"),
    "take_back_change": ("/changes/{row}/take-back/", "sfffmm", "sfff>>"),
    "dismiss_change": ("/changes/{row}/dismiss/", "sfffmm", "sfff>>"),
    "reopen_change": ("/changes/{row}/reopen/", "sfffmm", "sfff>>"),
    "hold_change": ("/changes/{row}/hold/", "sfffmm", "sfff>>"),
    "release_change": ("/changes/{row}/release/", "sfffmm", "sfff>>"),
    "withdraw_change": ("/changes/{row}/withdraw/", "sfffmm", "sfffee"),
    "restore_change": ("/changes/{row}/restore/", "sfffmm", "sfff>>"),
    "change_sources": ("/changes/sources/", "sfff..", "sfffmm"),
    "change_source": ("/changes/sources/{row}/", "sfff..", "sfffmm"),
    "read_change_source": ("/changes/sources/{row}/read/", "sfffmm", "sfff>>"),
    "add_change_source": ("/changes/sources/add/", "sffff.", "sffffe"),
    "edit_change_source": ("/changes/sources/{row}/edit/", "sffff.", "sffffe"),
    "digests": ("/changes/digests/", "......", "eeeeee"),
    "confirm_digest": ("/changes/digests/confirm/{token}/", "nnnnnn", "nnnnnn"),  # no mail holds this token
    "leave_digest": ("/changes/digests/leave/{token}/", "nnnnnn", "nnnnnn"),
    "systems": ("/systems/", "s.....", "smmmmm"),
    "system": ("/systems/{system}/", "s.....", "smmmmm"),
    "add_system": ("/systems/add/", "sffff.", "sffffe"),
    "edit_system": ("/systems/{system}/edit/", "sffff.", "sffffe"),
    "api_tokens": ("/people/tokens/", "sffff.", "sffffm"),
    "add_api_token": ("/people/tokens/add/", "sffff.", "sffffe"),
    "revoke_api_token": ("/people/tokens/{row}/revoke/", "sffffm", "sffff>"),
    "trees": ("/trees/", "......", "mmmmmm"),
    "tree": ("/trees/{tree}/", "......", "mmmmmm"),
    "api_trees": ("/api/trees/", "......", "mmmmmm"),
    "close_tree_by_hand": ("/trees/by-hand/close/", "sfff..", "sfffee"),
    "reopen_tree_by_hand": ("/trees/by-hand/reopen/{row}/", "sfffmm", "sfff>>"),
    "demo_sign_in": ("/demo/sign-in/", "mmmmmm", "nnnnnn"),
    "demo_mails": ("/demo/mail/", "s.....", "smmmmm"),
    "demo_mail": ("/demo/mail/{mail}/", "snnnnn", "smmmmm"),
    "demo_clock": ("/demo/clock/", "smmmmm", "snnnnn"),
}
ONLY_IN_THE_DEMO = {"demo_sign_in", "demo_mails", "demo_mail", "demo_clock"}
A_MAIL = "20260303T090000.000000Z-developer@example.com.eml"
A_TOKEN = "A" * 43
A_SYSTEM = "worker-images"
#: The number of the mail and of the bug update that stand in the outbox.
ROW = 7
ELSEWHERE = [
    "https://elsewhere.example.com/",
    "//elsewhere.example.com/",
    "///elsewhere.example.com/",
    "/\\elsewhere.example.com/",
    "\\\\elsewhere.example.com/",
    "https:elsewhere.example.com",
    "https:///elsewhere.example.com/",
    " https://elsewhere.example.com/",
    "\thttps://elsewhere.example.com/",
    "javascript:alert(1)",
    "data:text/html,hello",
]


def address_of(name, bug=1400123, somebody=1):
    values = {"row": ROW, "mail": A_MAIL, "token": A_TOKEN, "tree": "autoland", "system": A_SYSTEM}
    return TABLE[name][0].format(bug=bug, somebody=somebody, **values)


def outcome(response):
    if response.status_code == 302:
        return "s" if response.headers["Location"].startswith("/sign-in/?next=") else ">"
    return OUTCOMES[response.status_code]


def outcomes(clients, name, method):
    bug, somebody = request_with_words().pk, clients["people"][Role.SCHEDULER].pk
    address = address_of(name, bug, somebody)
    with_work(bug, clients["people"][Role.DUTY])
    return "".join(outcome(getattr(clients[role], method)(address)) for role in COLUMNS)


def with_work(bug, by):
    """Give a request a step and a grant, so that their addresses lead somewhere."""
    Step.objects.update_or_create(
        pk=ROW, defaults={"request_id": bug, "kind": "prepare", "position": 1, "key": "vpn", "checklist_version": 1}
    )
    given = {"granted_by": by, "granted_at": A_MORNING, "expires_at": A_MORNING}
    Grant.objects.update_or_create(pk=ROW, defaults={"request_id": bug, "what": "VPN", "grantee": "x", **given})


@pytest.fixture
def everybody(clients, people):
    MailFactory(pk=ROW)
    BugUpdateFactory(pk=ROW)
    TreeChangeFactory(pk=ROW)
    MachineFactory(pk=ROW)
    ItemFactory(pk=ROW, downtime=DowntimeFactory(pk=ROW))
    RunTree.objects.create(downtime_id=ROW, name="autoland", position=1)
    ApplicationFactory(pk=ROW, person=people[Role.DEVELOPER])
    NominationFactory(pk=ROW)
    AnswerFactory(pk=ROW, version__downtime=Downtime.objects.get(pk=ROW))
    with_changes(people)
    return {**clients, "people": people}


def with_changes(people):
    """Put a published change, its source, a system, a token and a closed tree where the table's addresses lead."""
    System.objects.create(slug=A_SYSTEM, title="Worker images")
    Source.objects.create(pk=ROW, name="autoland", kind=SourceKind.MERCURIAL, address="https://hg.example.com/autoland")
    change = public_log.told()
    Change.objects.filter(pk=change.pk).delete()
    Change.objects.bulk_create([_numbered(change)])
    token, _ = tokens.make(
        people[Role.LEAD], "a program", ["propose"], clock.now() + timedelta(days=30), people[Role.LEAD], clock.now()
    )
    ApiToken.objects.filter(pk=token.pk).update(id=ROW)
    tree = Tree.objects.create(name="autoland", status="closed", read_at=A_MORNING)
    facts = {"tree": tree, "reason": "Backlog", "category": "backlog", "closed_at": A_MORNING}
    Closure.objects.create(pk=ROW, owner=people[Role.DUTY], **facts)


def _numbered(change):
    change.pk = ROW
    return change


def test_every_address_has_a_row_in_this_table():
    assert {name for name, _ in names_of_the_site()} == set(TABLE) - ONLY_IN_THE_DEMO


def test_every_address_of_the_demo_has_a_row_in_this_table(demo):
    assert {name for name, _ in names_of_the_site()} == set(TABLE)


def test_the_table_names_the_addresses_that_people_know(demo):
    values = {"bug": 1400123, "row": ROW, "somebody": 1, "mail": A_MAIL, "token": A_TOKEN}
    values |= {"tree": "autoland", "system": A_SYSTEM}
    arguments = {name: [values[part] for part in re.findall(r"{(\w+)}", TABLE[name][0])] for name in TABLE}
    assert {name: reverse(name, args=arguments[name]) for name in TABLE} == {name: address_of(name) for name in TABLE}


@pytest.mark.parametrize("name", TABLE)
def test_every_role_gets_what_the_table_says(everybody, demo, name):
    _, reading, acting = TABLE[name]
    expected = {"get": reading, "head": reading, "post": acting}
    assert {method: outcomes(everybody, name, method) for method in expected} == expected


def test_no_address_takes_other_methods(everybody, demo):
    answered = {
        (name, method, role): outcome(getattr(everybody[role], method)(address_of(name)))
        for name in TABLE.keys() - {"sign_in"}
        for method in ("put", "patch", "delete")
        for role in (Role.PUBLIC, Role.LEAD)
    }
    assert {asked: answer for asked, answer in answered.items() if answer not in "smfn"} == {}


@pytest.mark.parametrize("name", sorted(ONLY_IN_THE_DEMO))
def test_outside_the_demo_its_addresses_do_not_exist(everybody, name):
    for method in ("get", "head", "post"):
        assert outcomes(everybody, name, method) == "nnnnnn", method


def test_a_page_without_a_row_in_access_does_not_exist_for_anybody(everybody, demo, monkeypatch):
    monkeypatch.setattr(access, "PAGES", {})
    answered = {
        (name, method, role): outcome(getattr(everybody[role], method)(address_of(name)))
        for name in TABLE
        for method in ("get", "post")
        for role in (Role.PUBLIC, Role.LEAD)
    }
    assert {asked: answer for asked, answer in answered.items() if answer != "n"} == {}


def test_access_has_no_row_for_a_page_that_is_gone(demo):
    assert set(access.PAGES) == {name for name, _ in names_of_the_site()}
    assert set(access.PAGES.values()) <= set(access.RIGHTS)


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_looking_changes_nothing(everybody, demo, settings, method):
    settings.BUGZILLA_URL = "http://127.0.0.1:9"  # nobody answers there, and no page may ask
    bug, somebody = request_with_words(bug__held_back=True).pk, everybody["people"][Role.DUTY].pk
    before = every_row(leave_out=["django_session"])
    for name in TABLE:
        for role in COLUMNS:
            getattr(everybody[role], method)(address_of(name, bug, somebody) + "?next=/&role=lead&show=all")
    assert every_row(leave_out=["django_session"]) == before


@pytest.mark.parametrize(
    "name", [name for name, (_, _, acting) in TABLE.items() if set(acting) & set(".>e") or name in ONLY_IN_THE_DEMO]
)
def test_no_form_acts_without_its_token(people, demo, name):
    bug = request_with_words().pk
    client = browser_of(people[Role.LEAD] if name != "sign_in" else None, enforce_csrf_checks=True)
    before = every_row()
    response = client.post(
        address_of(name, bug, people[Role.DUTY].pk), {"role": "duty", "username": "duty", "password": "x"}
    )
    assert response.status_code == 403
    assert "This form is too old" in response.content.decode()
    assert every_row() == before


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.SCHEDULER])
def test_somebody_sees_their_own_public_requests_and_no_others(clients, role):
    own = request_with_words(creator=f"{role}@example.com", summary="My own request")
    other = request_with_words(creator="developer2@example.com", summary="Somebody else's request")
    assert clients[role].get(f"/loaners/{own.pk}/").status_code == 200
    assert clients[role].get(f"/loaners/{other.pk}/").status_code == 404
    for show in ("waiting", "answered", "closed", "all"):
        page = clients[role].get("/loaners/", {"show": show}).content.decode()
        assert "Somebody else" not in page
        assert str(other.pk) not in page
    assert "My own request" in clients[role].get("/loaners/").content.decode()


def _apart_from_the_number(response, bug):
    """Return the answer less the moment, the form's token and the number that was asked for."""
    body = re.sub(r"<time .*?</time>|csrfmiddlewaretoken\" value=\"\w+\"", "", response.content.decode())
    headers = {
        name: value.replace(str(bug), "N") for name, value in response.headers.items() if name != "Content-Length"
    }
    return response.status_code, headers, body.replace(str(bug), "N")


@pytest.mark.parametrize("role", [Role.PUBLIC, Role.DEVELOPER, Role.SCHEDULER])
@pytest.mark.parametrize("method", ["get", "head", "post"])
def test_a_hidden_request_is_answered_as_one_that_does_not_exist(clients, role, method):
    def answer(bug):
        return _apart_from_the_number(getattr(clients[role], method)(f"/loaners/{bug}/"), bug)

    absent = answer(9999999)
    for words in (
        {"bug__visibility": Visibility.STAFF, "creator": f"{role}@example.com"},
        {"bug__visibility": Visibility.RESTRICTED, "creator": f"{role}@example.com"},
        {"creator": "developer2@example.com"},
    ):
        assert answer(request_with_words(**words).pk) == absent


@pytest.mark.parametrize("number", [0, 2**31 - 1, 2**31, 2**63, 2**64, 10**60])
def test_a_number_that_nothing_has_is_no_such_page(clients, number):
    assert clients[Role.LEAD].get(f"/loaners/{number}/").status_code == 404
    assert clients[Role.LEAD].get(f"/people/{number}/").status_code == 404
    assert clients[Role.LEAD].post(f"/bugs/{number}/release/").status_code == 404
    assert clients[Role.LEAD].get(f"/outbox/mail/{number}/").status_code == 404
    assert clients[Role.LEAD].post(f"/outbox/bug/{number}/cancel/").status_code == 404


def test_a_manager_knows_of_every_request_and_reads_no_staff_words(clients):
    request = request_with_words(
        bug__visibility=Visibility.STAFF,
        summary="Only for staff",
        creator="staff@example.com",
        assignee="other@example.com",
    )
    for address in (f"/loaners/{request.pk}/", "/loaners/"):
        page = clients[Role.MANAGER].get(address).content.decode()
        assert "its words stay in Bugzilla" in page
        assert "Only for staff" not in page
        assert "staff@example.com" not in page
        assert "other@example.com" not in page
        assert "Only for staff" in clients[Role.DUTY].get(address).content.decode()


def test_words_that_were_left_behind_by_a_restricted_bug_are_shown_to_nobody(clients):
    request = request_with_words(
        bug__visibility=Visibility.RESTRICTED, summary="Left behind", assignee="behind@example.com"
    )
    for role in COLUMNS:
        for address in ("/", "/loaners/?show=all", f"/loaners/{request.pk}/"):
            page = clients[role].get(address, follow=True).content.decode()
            assert "Left behind" not in page
            assert "behind@example.com" not in page


def test_somebody_whose_account_is_switched_off_is_out_at_once(clients, duty):
    assert clients[Role.DUTY].get("/loaners/").status_code == 200
    duty.is_active = False
    duty.save()
    assert outcome(clients[Role.DUTY].get("/loaners/")) == "s"


def test_a_role_that_is_taken_away_is_gone_at_once(clients, lead):
    assert clients[Role.LEAD].get("/people/").status_code == 200
    lead.role = Role.DEVELOPER
    lead.save()
    response = clients[Role.LEAD].get("/people/")
    assert response.status_code == 403
    assert "It is for: Lead." in response.content.decode()


@pytest.mark.parametrize("target", ELSEWHERE)
def test_nobody_is_sent_to_another_host(people, clients, target):
    people[Role.MANAGER].set_password("a password of the manager")
    people[Role.MANAGER].save()
    bug = request_with_words().pk
    answers = [
        browser_of().post(
            "/sign-in/", {"username": "manager", "password": "a password of the manager", "next": target}
        ),
        browser_of().post(f"/sign-in/?next={target}", {"username": "manager", "password": "a password of the manager"}),
        clients[Role.DUTY].get("/sign-in/", {"next": target}),
        clients[Role.DUTY].post("/sync/", {"next": target}),
        clients[Role.DUTY].post(f"/bugs/{bug}/release/", {"next": target}),
        clients[Role.DUTY].post("/sign-out/", {"next": target}),
    ]
    for answer in answers:
        location = answer.headers["Location"]
        assert answer.status_code == 302
        assert location.startswith("/") and not location.startswith(("//", "/\\"))
        assert "elsewhere.example.com" not in urlsplit(location).netloc + urlsplit(location).path


def test_a_page_of_this_site_is_returned_to(clients):
    assert clients[Role.DUTY].post("/sync/", {"next": "/loaners/"}).headers["Location"] == "/loaners/"
    stranger = clients[Role.PUBLIC].get("/loaners/?show=all")
    assert stranger.headers["Location"] == "/sign-in/?next=/loaners/%3Fshow%3Dall"


def test_a_request_for_a_host_that_is_not_ours_is_refused(stranger):
    assert stranger.get("/", headers={"host": "elsewhere.example.com"}).status_code == 400
