"""Asking for a poll; holding back a bug's words, and releasing them again."""

import structlog
from django.contrib import messages
from django.db import transaction
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from ciduty import bell, clock
from ciduty.bugzilla import breaker, mirror, poll, tasks
from ciduty.bugzilla.models import Bug, Visibility

log = structlog.get_logger(__name__)


def _back(request):
    target = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}, require_https=request.is_secure()):
        return redirect(target)
    return redirect("front_door")


@require_POST
def sync_now(request):
    """Ask for a poll; while Bugzilla blocks us, say why there is none."""
    blocked = breaker.blocked_line(breaker.current_connection(), clock.now())
    if blocked:
        messages.warning(request, f"Not synced: {blocked}.")
        return _back(request)
    with transaction.atomic():
        poll.want_sync()
        bell.ring_after_commit(tasks.poll_if_due.name, "sync")
    messages.success(request, "Asked Bugzilla for news; this page shows them as soon as they are read.")
    return _back(request)


@require_POST
def hold_back_words(request, bug_id):
    """Take a bug's words away because somebody of CiDuty marks it as sensitive."""
    if bug_id >= 2**31:
        raise Http404
    bug = get_object_or_404(Bug, pk=bug_id)
    mirror.hold_back(bug)
    log.info("A bug was marked sensitive.", bug=bug_id, by=request.user.pk)
    messages.success(
        request, f"Bug {bug_id} is marked sensitive; its words are gone from ciduty until somebody releases them."
    )
    return _back(request)


@require_POST
def release_words(request, bug_id):
    """Show a bug's words again that Bugzilla restricted once and no longer does (safety.md F14)."""
    if bug_id >= 2**31:
        raise Http404
    bug = get_object_or_404(Bug, pk=bug_id)
    if bug.offered == Visibility.RESTRICTED or not bug.held_back:
        messages.warning(
            request, f"Bug {bug_id} was not released: Bugzilla does not offer its words, or they are shown already."
        )
        return _back(request)
    with transaction.atomic():
        mirror.release(bug)
        poll.want_sync()
        bell.ring_after_commit(tasks.poll_if_due.name, "sync")
    log.info("A bug's words were released.", bug=bug_id, by=request.user.pk)
    messages.success(request, f"Bug {bug_id} is released; its words come back with the next poll.")
    return _back(request)
