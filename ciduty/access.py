"""Who may do what: one table of rights, one function per right, one row per page. Default: nobody.

A page whose URL name has no row in PAGES does not exist for anyone (safety.md C2).
"""

import structlog
from django.contrib.auth.views import redirect_to_login
from django.http import Http404
from django.template.response import TemplateResponse

from ciduty.people.roles import CIDUTY_ROLES, Role

log = structlog.get_logger(__name__)

EVERYBODY = frozenset(Role)
SIGNED_IN = EVERYBODY - {Role.PUBLIC}

RIGHTS = {
    "see public pages": EVERYBODY,
    "see own things": SIGNED_IN,
    "see the desk": CIDUTY_ROLES,
    "see every loaner request": CIDUTY_ROLES | {Role.MANAGER},
    "answer loaner requests": CIDUTY_ROLES,
    "ask for a loaner": SIGNED_IN,
    "steer own loans": SIGNED_IN,
    "lend machines": CIDUTY_ROLES,
    "see machines": CIDUTY_ROLES | {Role.MANAGER},
    "change machines": CIDUTY_ROLES,
    "read staff words": CIDUTY_ROLES,
    "ask for a sync": CIDUTY_ROLES,
    "release words": CIDUTY_ROLES,
    "ask for a downtime": SIGNED_IN,
    "see downtime plans": CIDUTY_ROLES | {Role.SCHEDULER, Role.MANAGER},
    "plan downtimes": CIDUTY_ROLES,
    "run downtimes": CIDUTY_ROLES,
    "answer about downtimes": SIGNED_IN,
    "agree to emergencies": frozenset({Role.MANAGER}),
    "keep lists and approvers": frozenset({Role.LEAD}),
    "close trees": CIDUTY_ROLES,
    "propose changes": CIDUTY_ROLES | {Role.SCHEDULER},
    "publish changes": CIDUTY_ROLES,
    "judge changes": CIDUTY_ROLES,
    "keep sources": frozenset({Role.LEAD}),
    "see systems": SIGNED_IN,
    "keep systems": frozenset({Role.LEAD}),
    "keep tokens": frozenset({Role.LEAD}),
    "see the outbox": CIDUTY_ROLES,
    "steer the outbox": CIDUTY_ROLES,
    "manage people": frozenset({Role.LEAD}),
}

PAGES = {
    "front_door": "see public pages",
    "sign_in": "see public pages",
    "sign_out": "see public pages",
    "demo_sign_in": "see public pages",
    "demo_mails": "see own things",
    "demo_mail": "see own things",
    "demo_clock": "see own things",
    "livez": "see public pages",
    "readyz": "see public pages",
    "healthz": "see public pages",
    "styleguide": "see own things",
    "loaner_requests": "see own things",
    "loaner_request": "see own things",
    "answer_loaner_request": "answer loaner requests",
    "approve_loan": "lend machines",
    "ask_about_loan": "lend machines",
    "answer_question": "steer own loans",
    "decline_loan": "lend machines",
    "cancel_loan": "steer own loans",
    "prepare_loan": "lend machines",
    "hand_over_loan": "lend machines",
    "extend_loan": "steer own loans",
    "give_back_loan": "steer own loans",
    "reclaim_loan": "lend machines",
    "finish_loan": "lend machines",
    "do_loan_step": "lend machines",
    "check_loan_step": "lend machines",
    "undo_loan_step": "lend machines",
    "grant_access": "lend machines",
    "revoke_access": "lend machines",
    "reopen_loan_bug": "lend machines",
    "resolve_loan_bug": "lend machines",
    "loans_of_person": "see own things",
    "request_loaner": "ask for a loaner",
    "loaner_application": "see own things",
    "machines": "see machines",
    "machine": "see machines",
    "add_machine": "change machines",
    "edit_machine": "change machines",
    "import_machines": "change machines",
    "confirm_machine_import": "change machines",
    "machine_mark_broken": "change machines",
    "machine_return": "change machines",
    "machine_retire": "change machines",
    "machine_bring_back": "change machines",
    "downtimes": "see public pages",
    "downtime": "see public pages",
    "downtimes_calendar": "see public pages",
    "request_downtime": "ask for a downtime",
    "nomination": "ask for a downtime",
    "withdraw_nomination": "ask for a downtime",
    "review_nominations": "plan downtimes",
    "accept_nomination": "plan downtimes",
    "defer_nomination": "plan downtimes",
    "decline_nomination": "plan downtimes",
    "add_downtime": "plan downtimes",
    "plan_downtime": "see downtime plans",
    "edit_downtime": "plan downtimes",
    "confirm_duty": "plan downtimes",
    "edit_downtime_item": "plan downtimes",
    "move_downtime_item": "plan downtimes",
    "take_out_downtime_item": "plan downtimes",
    "assign_downtime_item": "plan downtimes",
    "downtime_notice": "plan downtimes",
    "downtime_agreement": "see downtime plans",
    "ask_workers": "plan downtimes",
    "ask_pre_approvers": "plan downtimes",
    "settle_question": "plan downtimes",
    "answer_about_downtime": "answer about downtimes",
    "sign_off": "see public pages",
    "announce_downtime": "plan downtimes",
    "postpone_downtime": "plan downtimes",
    "cancel_downtime": "plan downtimes",
    "ask_for_emergency": "plan downtimes",
    "agree_to_emergency": "agree to emergencies",
    "run_downtime": "see own things",  # a worker too: the view asks
    "run_downtime_saved": "see own things",
    "begin_downtime": "run downtimes",
    "hold_downtime": "run downtimes",
    "release_downtime": "run downtimes",
    "do_run_step": "run downtimes",
    "take_over_downtime": "run downtimes",
    "extend_downtime": "run downtimes",
    "close_run_trees": "run downtimes",
    "claim_run_tree": "run downtimes",
    "leave_run_tree": "run downtimes",
    "reopen_run_trees": "run downtimes",
    "look_at_run_trees": "run downtimes",
    "do_run_item": "see own things",  # the worker of the item, or CiDuty: the verb asks
    "tell_run_bugs": "run downtimes",
    "tree_open": "run downtimes",
    "add_outage": "run downtimes",
    "review_downtime": "run downtimes",
    "lists_and_approvers": "keep lists and approvers",
    "keep_check_link": "keep lists and approvers",
    "keep_list": "keep lists and approvers",
    "keep_approver": "keep lists and approvers",
    "trees": "see public pages",
    "tree": "see public pages",
    "api_trees": "see public pages",
    "close_tree_by_hand": "close trees",
    "reopen_tree_by_hand": "close trees",
    "changes": "see public pages",
    "change": "see public pages",
    "changes_density": "see public pages",
    "changes_atom": "see public pages",
    "changes_json_feed": "see public pages",
    "changes_csv": "see public pages",
    "api_changes": "see public pages",  # a program proposes with a token, which the view asks for
    "api_change": "see public pages",
    "api_sources": "see public pages",
    "api_changelog": "see public pages",
    "api_changes_before": "see public pages",
    "api_schema": "see public pages",
    "api_docs": "see public pages",
    "before_it_broke": "see public pages",
    "judge_answer": "judge changes",
    "judge_change": "judge changes",
    "post_answer_to_bug": "judge changes",
    "change_queue": "publish changes",
    "say_change": "propose changes",
    "add_change": "propose changes",
    "change_record": "publish changes",
    "publish_change": "publish changes",
    "publish_changes_as_one": "publish changes",
    "take_back_change": "publish changes",
    "dismiss_change": "publish changes",
    "reopen_change": "publish changes",
    "hold_change": "publish changes",
    "release_change": "publish changes",
    "withdraw_change": "publish changes",
    "restore_change": "publish changes",
    "correct_change": "publish changes",
    "change_sources": "publish changes",
    "change_source": "publish changes",
    "read_change_source": "publish changes",
    "add_change_source": "keep sources",
    "edit_change_source": "keep sources",
    "digests": "see public pages",
    "confirm_digest": "see public pages",
    "leave_digest": "see public pages",
    "systems": "see systems",
    "system": "see systems",
    "add_system": "keep systems",
    "edit_system": "keep systems",
    "api_tokens": "keep tokens",
    "add_api_token": "keep tokens",
    "revoke_api_token": "keep tokens",
    "sync_now": "ask for a sync",
    "hold_back_words": "release words",
    "release_words": "release words",
    "outbox": "see the outbox",
    "outbox_mail": "see the outbox",
    "outbox_bug": "see the outbox",
    "outbox_mail_try_again": "steer the outbox",
    "outbox_mail_hold": "steer the outbox",
    "outbox_mail_cancel": "steer the outbox",
    "outbox_mail_done": "steer the outbox",
    "outbox_bug_try_again": "steer the outbox",
    "outbox_bug_hold": "steer the outbox",
    "outbox_bug_cancel": "steer the outbox",
    "outbox_bug_done": "steer the outbox",
    "outbox_tree": "see the outbox",
    "outbox_tree_try_again": "steer the outbox",
    "outbox_tree_hold": "steer the outbox",
    "outbox_tree_cancel": "steer the outbox",
    "outbox_tree_done": "steer the outbox",
    "outbox_check": "steer the outbox",
    "outbox_try_all_again": "steer the outbox",
    "people": "manage people",
    "person": "manage people",
    "add_person": "manage people",
}


def role_of(person) -> Role:
    """Return the role of whoever asks; a stranger's is PUBLIC."""
    return Role(person.role) if person.is_authenticated else Role.PUBLIC


def may(person, right: str) -> bool:
    """Answer whether this person has the right. Raises KeyError for a right that is not in the table."""
    return role_of(person) in RIGHTS[right]


def may_see_desk(person) -> bool:
    """Answer whether the person works at the desk."""
    return may(person, "see the desk")


def may_see_every_loaner_request(person) -> bool:
    """Answer whether the person sees other people's requests."""
    return may(person, "see every loaner request")


def may_answer_loaner_requests(person) -> bool:
    """Answer whether the person answers loaner requests in CiDuty's name."""
    return may(person, "answer loaner requests")


def may_lend_machines(person) -> bool:
    """Answer whether the person decides about loans, prepares machines and takes them back."""
    return may(person, "lend machines")


def may_see_machines(person) -> bool:
    """Answer whether the person sees the pool of machines, and who has which."""
    return may(person, "see machines")


def may_change_machines(person) -> bool:
    """Answer whether the person adds, changes and moves machines."""
    return may(person, "change machines")


def may_read_staff_words(person) -> bool:
    """Answer whether the person reads bugs that only staff groups may see (design.md, decision 3)."""
    return may(person, "read staff words")


def may_ask_for_sync(person) -> bool:
    """Answer whether the person may press Sync now."""
    return may(person, "ask for a sync")


def may_release_words(person) -> bool:
    """Answer whether the person may hold back the words of a bug, and show them again (safety.md F14)."""
    return may(person, "release words")


def may_see_downtime_plans(person) -> bool:
    """Answer whether the person sees a downtime before it is announced."""
    return may(person, "see downtime plans")


def may_plan_downtimes(person) -> bool:
    """Answer whether the person plans downtimes, asks for agreement and announces them."""
    return may(person, "plan downtimes")


def may_run_downtimes(person) -> bool:
    """Answer whether the person begins downtimes, closes and reopens their trees, and tells everybody TREE OPEN."""
    return may(person, "run downtimes")


def may_agree_to_emergencies(person) -> bool:
    """Answer whether the person is the second one who lets a downtime go under 24 hours (design.md, decision 4)."""
    return may(person, "agree to emergencies")


def may_keep_lists_and_approvers(person) -> bool:
    """Answer whether the person says which lists are told and who is asked to agree."""
    return may(person, "keep lists and approvers")


def may_close_trees(person) -> bool:
    """Answer whether the person closes trees, ends closures, and sees who closed one."""
    return may(person, "close trees")


def may_propose_changes(person) -> bool:
    """Answer whether the person says what changed in CI; where they may not publish, somebody of CiDuty does."""
    return may(person, "propose changes")


def may_publish_changes(person) -> bool:
    """Answer whether the person publishes, corrects, holds and withdraws changes."""
    return may(person, "publish changes")


def may_judge_changes(person) -> bool:
    """Answer whether the person says which change broke something, and which did not."""
    return may(person, "judge changes")


def may_keep_sources(person) -> bool:
    """Answer whether the person says where changes are read, and what is noise there."""
    return may(person, "keep sources")


def may_keep_systems(person) -> bool:
    """Answer whether the person keeps the catalogue of systems."""
    return may(person, "keep systems")


def may_keep_tokens(person) -> bool:
    """Answer whether the person gives programs their keys, and takes them back."""
    return may(person, "keep tokens")


def may_see_outbox(person) -> bool:
    """Answer whether the person sees what is said to the outside, and to whom."""
    return may(person, "see the outbox")


def may_steer_outbox(person) -> bool:
    """Answer whether the person tries again, holds, cancels, or says that something was done by hand."""
    return may(person, "steer the outbox")


def may_manage_people(person) -> bool:
    """Answer whether the person gives out roles and maps Bugzilla logins."""
    return may(person, "manage people")


class AccessMiddleware:
    """Asks the table before any view runs."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        """Answer, and keep every page out of shared caches."""
        response = self.get_response(request)
        # Every page, a stranger's too: it may set a cookie further out. A page for shared caches says so itself.
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def process_view(self, request, view, args, kwargs):
        """Let the view run, send a stranger to the sign-in page, or say who may."""
        right = PAGES.get(request.resolver_match.view_name)
        if right is None:
            log.error("A page has no row in access.py and is refused.", page=request.resolver_match.view_name)
            raise Http404
        # Who asks is looked up only where it matters: a page for everybody, and for caches, never opens a session.
        if RIGHTS[right] == EVERYBODY or may(request.user, right):
            return None
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")
        who = ", ".join(role.label for role in Role if role in RIGHTS[right])
        return TemplateResponse(request, "403.html", {"who": who, "right": right}, status=403)
