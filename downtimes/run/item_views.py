"""What becomes of the work: its moves, what its bugs are told, and TREE OPEN. Each is shown before it is sent."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods, require_POST

from ciduty.desk.context import moment_of
from ciduty.states import NotAllowed
from ciduty.typed import BROKEN, MOST_ID
from downtimes import rules, telling
from downtimes.models import Downtime, Item
from downtimes.run import bug_words, facts, finishing, working
from downtimes.run import rules as run_rules
from downtimes.run.forms import ItemForm, ShownForm
from downtimes.run.sheet_views import again, back, do, downtime_or_404, sheet_or_404

_OP = "op_"
_DID = {
    "start": "Started",
    "land": "Landed",
    "roll back": "Rolled back",
    "leave": "Not done",
    "take back": "Taken back",
}


@require_POST
def do_item(request, downtime_id, item_id):
    """Move one piece of work: its worker may, and CiDuty."""
    item = _item_or_404(request, downtime_id, item_id)
    downtime = item.downtime
    if not working.may_do(item, request.user):
        raise PermissionDenied
    form = ItemForm(request.POST)
    if not form.is_valid():
        return again(request, downtime, item=(item.pk, form))
    verb, words, shown = (form.cleaned_data[name] for name in ("verb", "words", "shown"))
    return do(
        request, downtime, lambda: working.do(item, verb, by=request.user, words=words, shown=shown),
        f"{_DID[verb]}: bug {item.bug_id}.", f"bug-{item.bug_id}", item=(item.pk, form),
    )  # fmt: skip


def _item_or_404(request, downtime_id: int, item_id: int) -> Item:
    downtime = sheet_or_404(request, downtime_id)
    if item_id > MOST_ID:
        raise Http404
    item = get_object_or_404(downtime.items.all(), pk=item_id)
    item.downtime = downtime
    return item


# --- what the bugs are told -------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def tell_bugs(request, downtime_id):
    """Show what each bug would be told of its outcome; sent, tell them."""
    downtime = downtime_or_404(downtime_id)
    if request.method != "POST":
        return _bugs(request, downtime)
    shown = _shown(request.POST)
    if not shown:
        messages.warning(request, BROKEN)
        return _bugs(request, downtime, status=422)
    try:
        bug_words.tell(downtime, by=request.user, shown=shown)
    except NotAllowed as problem:
        messages.warning(request, str(problem))
        return _bugs(request, downtime, status=422)
    messages.success(request, "The bugs are told: the outbox shows when Bugzilla has it.")
    return back(downtime, "after")


def _bugs(request, downtime: Downtime, status: int = 200):
    context = {
        "downtime": downtime,
        "drafts": bug_words.drafts(downtime),
        "waiting": [one for one in facts.work_of(downtime) if not one.outcome],
        "may_send": downtime.state in rules.UNDER_WAY,
    }
    return render(request, "downtimes/run/bugs.html", context, status=status)


def _shown(sent) -> dict[int, str]:
    """Return which drafts were shown: item -> op. What is not of our page is left out."""
    named = ((name.removeprefix(_OP), value) for name, value in sent.items() if name.startswith(_OP))
    return {int(pk): op for pk, op in named if pk.isascii() and pk.isdecimal() and len(pk) < 19}


# --- TREE OPEN --------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def tree_open(request, downtime_id):
    """Show the letter, to whom it goes, and what stands against it; sent, tell everybody and end the downtime."""
    downtime = downtime_or_404(downtime_id)
    if request.method != "POST":
        return _letter(request, downtime)
    form = ShownForm(request.POST)
    if not form.is_valid():
        messages.warning(request, BROKEN)
        return _letter(request, downtime, status=422)
    try:
        finishing.finish(downtime, by=request.user, shown_sha256=form.cleaned_data["shown"])
    except NotAllowed as problem:
        messages.warning(request, str(problem))
        return _letter(request, downtime, status=422)
    messages.success(request, "TREE OPEN: everybody who was told hears it now. Thank you.")
    return back(downtime, "sheet")


def _letter(request, downtime: Downtime, status: int = 200):
    at = moment_of(request)
    letter = finishing.letter(downtime, at)
    seen = facts.facts_of(downtime, at, request.user)
    runs = downtime.state in rules.UNDER_WAY
    context = {
        "downtime": downtime,
        "letter": letter,
        "shown": finishing.sha256_of(letter),
        "recipients": [address for address, _ in telling.told(downtime)],
        "against": run_rules.refusals("tree open", seen) if runs else [],
        "may_send": runs,
    }
    return render(request, "downtimes/run/tree_open.html", context, status=status)
