"""Pages of digests: to ask for one, to confirm it from the mailbox, to end it. A link shows, and only a button acts.

Mail programs that offer "unsubscribe" send the button's form themselves (RFC 8058), without having seen the page.
"""

from django.conf import settings
from django.http import QueryDict
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from changelog.digests import rules, subscribing
from changelog.digests.forms import BROKEN_FILTER, LONGEST_QUERY, DigestForm, kept
from changelog.digests.letters import rhythm_in_words
from changelog.models import Subscription
from changelog.models.digests import Rhythm, SubscriptionState
from changelog.public import filters
from ciduty.desk.context import moment_of
from ciduty.outbox import post
from ciduty.people import throttle
from ciduty.states import NotAllowed

NO_MAIL = "No mail server is set up here, so no digest can come. The feeds of the log work without one."


@require_http_methods(["GET", "HEAD", "POST"])
def digests(request):
    """Ask for a digest of what a filter finds; the answer is the same whatever is known of the address."""
    if request.method != "POST":
        query, problems = filters.read(request.GET)
        written = kept(query)
        is_too_long = len(written) > LONGEST_QUERY
        form = DigestForm(initial={"op": post.new_op(), "rhythm": Rhythm.DAILY, "query": written})
        said = list(problems.values()) + ([BROKEN_FILTER] if is_too_long else [])
        return _page(request, form, written, said=said, has_time=bool(query.since or query.until))
    form = DigestForm(request.POST)
    if not settings.EMAIL_URL:
        form.add_error(None, NO_MAIL)
    if not form.is_valid():
        return _page(request, form, request.POST.get("query", "")[:LONGEST_QUERY], status=422)
    typed = form.cleaned_data
    try:
        subscribing.ask(
            typed["address"], typed["query"], typed["rhythm"], op=typed["op"],
            from_address=throttle.address_of(request),
        )  # fmt: skip
    except NotAllowed as problem:
        form.add_error(None, str(problem))
        return _page(request, form, typed["query"], status=429)
    context = {"address": typed["address"], "days": rules.CONFIRM_WITHIN.days, "most": rules.MOST_PER_ADDRESS}
    return render(request, "changelog/digests/asked.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def confirm_digest(request, token):
    """Show what a mail's link would begin; the button begins it."""
    subscription = subscribing.asked_with(token, moment_of(request))
    if subscription is None or subscription.state == SubscriptionState.ENDED:
        return _private(render(request, "changelog/digests/unknown.html", status=404))
    if request.method == "POST":
        subscribing.confirm(subscription)
        subscription.refresh_from_db()
    return _private(render(request, "changelog/digests/confirm.html", _facts(subscription)))


@csrf_exempt  # the token is the right, and nobody else has it; a mail program sends no cookie (RFC 8058)
@require_http_methods(["GET", "HEAD", "POST"])
def leave_digest(request, token):
    """Show what a mail's link would end; the button ends it, or the mail program's own, without a redirect."""
    subscription = subscribing.left_with(token)
    if subscription is None:
        return _private(render(request, "changelog/digests/unknown.html", status=404))
    is_meant = request.POST.get("List-Unsubscribe") == "One-Click" or "leave" in request.POST
    if request.method == "POST" and is_meant:
        subscribing.leave(subscription)
    return _private(render(request, "changelog/digests/leave.html", _facts(subscription)))


def _page(request, form: DigestForm, query: str, *, said=(), has_time: bool = False, status: int = 200):
    asked, problems = filters.read(QueryDict(query))
    context = {
        "form": form,
        "words": filters.in_words(asked) if query and not problems else "",
        "query": query if not problems else "",
        "said": said,
        "has_time": has_time,
        "can_send": bool(settings.EMAIL_URL),
        "no_mail": NO_MAIL,
        "zone": settings.CIDUTY_CALENDAR.zone,
        "leaves_at": f"{rules.LEAVES_AT:%H:%M}",
    }
    return render(request, "changelog/digests/ask.html", context, status=status)


def _facts(subscription: Subscription) -> dict:
    query, problems = filters.read(QueryDict(subscription.query))
    return {
        "subscription": subscription,
        "is_active": subscription.state == SubscriptionState.ACTIVE,
        "is_asked": subscription.state == SubscriptionState.ASKED,
        "words": filters.in_words(query) if subscription.query and not problems else "",
        "rhythm": rhythm_in_words(subscription.rhythm),
    }


def _private(response):
    """Keep a page with a token out of search engines and caches, and its address out of every Referer header.

    Not "no-referrer": browsers then send "Origin: null" with the form, and the CSRF check refuses it.
    """
    response.headers["Referrer-Policy"] = "strict-origin"
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response.headers["Cache-Control"] = "no-store"
    return response
