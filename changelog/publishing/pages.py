"""The pages on which verbs are done, the queue and a change's own: how they are put together, also after a refusal."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from changelog import find, rules
from changelog.models import Change, Source
from changelog.publishing import queue
from changelog.publishing.forms import AsOneForm, SayForm
from changelog.publishing.queue import Row
from changelog.rules import Kind, State
from changelog.workflow import CORRECTABLE
from ciduty.desk.context import moment_of
from ciduty.outbox import post
from ciduty.record.timeline import timeline
from ciduty.systems.models import System
from ciduty.typed import MOST_ID

#: What takes an act back, by the state that it led to.
UNDO = {State.PUBLISHED: "take back", State.HELD: "release", State.WITHDRAWN: "reopen"}
_SAID = {
    State.PUBLISHED: "Published",
    State.HELD: "Held: nobody outside sees it",
    State.WITHDRAWN: "Dismissed",
    State.PROPOSED: "It waits in the queue again",
}


@dataclass(frozen=True)
class Did:
    """What was done last, as it stands now, and the verb that undoes it ("" where none is allowed any more)."""

    change: Change
    sentence: str
    undo: str


def change_or_404(change_id: int) -> Change:
    """Return a change in whatever state. Raises Http404 for a number that none has."""
    if change_id > MOST_ID:
        raise Http404
    return get_object_or_404(
        Change.objects.select_related("system", "source", "published_by", "proposed_by"), pk=change_id
    )


def did(change: Change, at) -> Did:
    """Return what to say of an act that led to where this change stands now."""
    state = State(change.state)
    sentence = _SAID[state]
    if state == State.PUBLISHED and not change.is_public and change.part_of_id is None:
        sentence = "Published, but it waits for words: a bug that it names is not public"
    if state == State.WITHDRAWN and change.published_at is not None:
        sentence = "Withdrawn: it stays in the log, marked"
    undo = UNDO.get(state, "")
    allowed = undo and not rules.why_not(undo, state, change.published_at, at)
    return Did(change, sentence, undo if allowed else "")


def queue_page(request, *, refused: Row | None = None, as_one=None, chosen=(), status: int = 200):
    """Answer with the queue; after a refusal with what was typed and what is wrong with it."""
    at = moment_of(request)
    params = request.GET if request.method != "POST" else QueryDict(_sent_from(request)[1])
    sources = list(Source.objects.filter(is_active=True).only("name"))
    systems = list(System.objects.in_use().only("slug", "title"))
    wanted = queue.read_filter(params, sources, systems)
    try:
        page = queue.page_of(wanted, params.get("after", ""), at, refused)
    except find.BadCursor as problem:
        messages.warning(request, str(problem))
        return redirect("change_queue")
    context = {
        "page": page, "wanted": wanted, "sources": sources, "systems": systems, "kinds": Kind.choices,
        "tabs": [(name, label) for name, (label, _) in queue.TABS.items()],
        "say": SayForm(initial={"op": post.new_op()}, auto_id="say_%s"),
        "as_one": as_one or AsOneForm(auto_id="one_%s"), "chosen": chosen, "here": "queue",
        "did": _did_last(request, at), "next": _address(wanted, params.get("after", "")),
    }  # fmt: skip
    context |= _beside(page, wanted, params, at, refused)
    part = "changelog/publishing/_queue.html" if request.htmx else "changelog/publishing/queue.html"
    return render(request, part, context, status=status)


def _beside(page, wanted, params, at, refused: Row | None) -> dict:
    """Return what stands around the queue on its first page; and a refused row that is on none of the lists."""
    found, shown = {}, page.rows
    if wanted.show == "waiting" and not params.get("after"):
        words, held = queue.short(queue.without_words(), at, refused), queue.short(queue.held(), at)
        found, shown = {"words": words, "held": held}, [*shown, *words.rows]
        if not page.groups:
            found |= {"today": queue.published_on(at), "next_read": queue.next_read(at)}
    if refused is not None and not any(row.problem for row in shown):
        changes = queue.with_facts(Change.objects.filter(pk=refused.change.pk))
        [found["refused"]] = queue.rows_of(changes, at, refused)
    return found


def _address(wanted, after: str) -> str:
    query = "&".join(filter(None, [wanted.query, after and urlencode({"after": after})]))
    return reverse("change_queue") + (f"?{query}" if query else "")


def _sent_from(request) -> tuple[str, str]:
    """Return the path and the query of the page on which the form stood, as it says itself."""
    path, _, query = request.POST.get("next", "")[:2000].partition("?")
    return path, query


def _did_last(request, at) -> Did | None:
    number = request.GET.get("did", "")
    if not (number.isascii() and number.isdecimal() and len(number) < 19):
        return None
    change = Change.objects.filter(pk=int(number)).defer("words", "terms", "files").first()
    return did(change, at) if change else None


def record_page(request, change: Change, *, refused: Row | None = None, status: int = 200):
    """Answer with everything of one change, for CiDuty; after a refusal with what was typed and what is wrong."""
    at = moment_of(request)
    [row] = queue.rows_of([change], at, refused)
    parts = list(queue.with_facts(change.parts.order_by("-at", "-pk"))[: rules.MOST_AS_ONE])
    context = {
        "row": row, "change": change, "parts": parts, "here": "record",
        "links": [link for link in change.links if link["url"].startswith(("https://", "http://"))],
        "landings": list(change.landings.all()),
        "takes_back": list(change.takes_back.select_related("undoes")),
        "taken_back_by": list(change.taken_back_by.select_related("change")),
        "revisions": _revisions(change),
        "verdicts": list(change.verdicts.select_related("by", "question").order_by("-at", "-pk")[:100]),
        "timeline": timeline(change.about), "next": reverse("change_record", args=[change.pk]),
    }  # fmt: skip
    return render(request, "changelog/publishing/record.html", context, status=status)


def _revisions(change: Change) -> list[dict]:
    """Return the corrections of a change, the newest first, each with its lines: what, before, after."""
    rows = list(change.revisions.select_related("by").order_by("-at", "-pk")[:100])
    titles = dict(System.objects.values_list("pk", "title")) if rows else {}
    return [{"row": row, "lines": _lines(row, titles)} for row in rows]


def _lines(revision, titles: dict[int, str]) -> list[tuple]:
    names = dict.fromkeys([*(name for name in CORRECTABLE if name in revision.after), *revision.after])
    lines = []
    for name in names:
        pair = [values.get(name) for values in (revision.before, revision.after)]
        if name == "system_id":
            pair = [titles.get(value, "") for value in pair]
        lines.append(
            (CORRECTABLE.get(name, name), *(", ".join(map(str, x)) if isinstance(x, list) else x for x in pair))
        )
    return lines


def back(request, change: Change | None = None):
    """Return to the page that the form stood on: the queue with its filter, or the change's own page."""
    path, query = _sent_from(request)
    if change is not None and path == reverse("change_record", args=[change.pk]):
        return redirect("change_record", change.pk)
    query = QueryDict(query) if path == reverse("change_queue") else {}
    kept = [(name, query[name]) for name in ("show", "source", "system", "kind") if name in query]
    there = ""
    if change is not None:
        kept.append(("did", change.pk))
        there = f"#c{change.pk}" if change.state == State.PROPOSED else ""
    return redirect(reverse("change_queue") + (f"?{urlencode(kept)}" if kept else "") + there)


def stood_on_the_queue(request, change: Change) -> bool:
    """Answer whether the form that was sent stood on the queue, and not on the change's own page."""
    return _sent_from(request)[0] != reverse("change_record", args=[change.pk])
