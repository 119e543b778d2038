"""The outbox: everything said or about to be said, and what failed; one row; what a person does with it."""

from dataclasses import replace

from django.conf import settings
from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from ciduty.desk.context import moment_of
from ciduty.logs import without_tokens
from ciduty.outbox import as_sent, changes, health, mail_check, rows, tabs, tree_wants, workflow
from ciduty.outbox.models import CHANNELS, BugUpdate, Delivery, Mail, TreeChange
from ciduty.record.timeline import timeline
from ciduty.states import NotAllowed
from ciduty.typed import MOST_ID

MODELS = {model.kind: model for model in CHANNELS}


@require_safe
def outbox(request):
    """List one tab: what needs somebody unless told otherwise."""
    at, counts = moment_of(request), tabs.counts()
    shown = request.GET.get("show")
    context = {"health": health.state(at), "no_mail": not settings.EMAIL_URL, "choices": _choices(counts)}
    if shown in tabs.OTHER_TABS:
        page = tabs.page_of_others(shown, request.GET.get("page"))
        context["rows"] = rows.incoming_for(page.rows) if shown == "incoming" else _entries(page.rows)
    else:
        shown = shown if shown in tabs.TABS else "needs"
        page = tabs.page(shown, request.GET.get("page"), counts[shown])
        context |= {"rows": rows.rows_for(request.user, page.rows, at), "tab": tabs.TABS[shown]}
    if shown == "needs":
        context["again"] = sum(waiting.count() for waiting in workflow.waiting_for_settings())
    context |= {"shown": shown, "page": page}
    return render(request, "outbox/_list.html" if request.htmx else "outbox/list.html", context)


def _choices(counts: dict[str, int]) -> list[tuple[str, str, int]]:
    labels = {name: tab.label for name, tab in tabs.TABS.items()} | tabs.OTHER_TABS
    return [(name, label, counts[name]) for name, label in labels.items()]


def _entries(entries) -> list[dict]:
    return [{"entry": entry, "address": rows.address_of(entry.about)} for entry in entries]


@require_safe
def one(request, row_id, kind):
    """Show everything of one row, and its words as they are sent."""
    row = _row_or_404(kind, row_id)
    [shown] = rows.rows_for(request.user, [row], moment_of(request))
    context = {"shown": shown, "row": row, "timeline": timeline(row.about)}
    if kind == "mail":
        context["incoming"] = rows.incoming_for(row.incoming.select_related("mail"))
    if shown.readable and not row.erased_at:
        context |= WORDS[kind](row)
    return render(request, "outbox/_one.html" if request.htmx else "outbox/one.html", context)


def _words_of_mail(row: Mail) -> dict:
    """Return a mail as it was sent, less the link that lets its one reader answer: nobody answers for them here."""
    if not row.message:
        return {}
    sent = as_sent.read(row.message)
    return {"as_sent": replace(sent, text=without_tokens(sent.text))}


def _words_of_update(row: BugUpdate) -> dict:
    preview = changes.preview(row.wants, row.seen, row.op, row.bug_id)
    return {"preview": preview, "by_hand": changes.by_hand(row, settings.BUGZILLA_URL)}


def _words_of_trees(row: TreeChange) -> dict:
    trees = tree_wants.shown(row.wants, row.seen, row.found)
    by_hand = "\n".join(f"{tree.name}: {tree.wanted}" for tree in trees if not tree.did)
    return {"trees": trees, "by_hand": by_hand}


WORDS = {"mail": _words_of_mail, "bug": _words_of_update, "tree": _words_of_trees}


@require_POST
def try_again(request, row_id, kind):
    """Put a row back to be sent now."""
    row = _row_or_404(kind, row_id)
    said = f"{str(row).capitalize()} goes out again now."
    return _do(request, row, said, lambda: workflow.try_again(row, request.user, file_it_again="again" in request.POST))


@require_POST
def hold(request, row_id, kind):
    """Keep a row back."""
    row = _row_or_404(kind, row_id)
    said = f"{str(row).capitalize()} is held until somebody tries it again."
    return _do(request, row, said, lambda: workflow.hold(row, request.user))


@require_POST
def cancel(request, row_id, kind):
    """Let a row never go."""
    row = _row_or_404(kind, row_id)
    return _do(request, row, f"{str(row).capitalize()} is cancelled.", lambda: workflow.cancel(row, request.user))


@require_POST
def done_by_hand(request, row_id, kind):
    """Count a row as done, because somebody did it outside."""
    row = _row_or_404(kind, row_id)
    number = request.POST.get("bug_id", "").strip()
    bug_id = int(number) if number.isdecimal() and number.isascii() and len(number) < 12 else None
    said = f"{str(row).capitalize()} counts as done, from now on."
    return _do(request, row, said, lambda: workflow.done_by_hand(row, request.user, bug_id))


@require_POST
def check(request):
    """Send the person who asks a mail, to prove that mail leaves."""
    if not request.user.email:
        messages.warning(request, "Your account has no mail address: ask a lead to add it, then send the check again.")
        return redirect("outbox")
    row = mail_check.send_to(request.user, settings.SITE_URL + reverse("outbox"))
    if row.last_words:
        messages.warning(request, f"The check mail is written down and did not leave. {row.last_words}")
    else:
        messages.success(request, f"A check mail goes to {row.recipient}; this page shows when the server took it.")
    return redirect("outbox_mail", row.pk)


@require_POST
def try_all_again(request):
    """Send what was held for want of a setting that is there now."""
    went, left = workflow.try_all_again(request.user)
    if went:
        messages.success(request, f"{went} that waited for a setting go out now.")
    if left:
        messages.warning(request, f"{left} did not go: their time is over, or somebody else was quicker.")
    if not went and not left:
        messages.warning(request, "Nothing waits for a setting that is there now: nothing was sent.")
    return redirect("outbox")


def _row_or_404(kind: str, row_id: int) -> Delivery:
    if row_id > MOST_ID:
        raise Http404
    return get_object_or_404(MODELS[kind].objects.select_related("by"), pk=row_id)


def _do(request, row: Delivery, said: str, verb):
    """Do a verb, say what came of it, and go back to the tab or to the row itself."""
    try:
        verb()
    except NotAllowed as refusal:
        messages.warning(request, str(refusal))
    else:
        messages.success(request, said)
    if request.POST.get("show") in tabs.TABS:
        return redirect(f"{reverse('outbox')}?show={request.POST['show']}")
    return redirect(f"outbox_{row.kind}", row.pk)
