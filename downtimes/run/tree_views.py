"""What is done with the trees of a downtime: closed, reopened, looked at, claimed, left as they are. One POST each."""

from django.contrib import messages
from django.http import Http404
from django.views.decorators.http import require_POST

from ciduty.states import NotAllowed
from ciduty.trees import polling
from downtimes.models import Downtime
from downtimes.run import closing, ownership, reopening
from downtimes.run.forms import LeaveForm, TreesForm
from downtimes.run.sheet_views import again, back, do, downtime_or_404

_SAID = {
    "by hand": "Written down. Everybody reads it on the page of trees.",
    "link": "Now do it at the service: polling says when it is seen.",
    "patch": "Asked for: polling says when it is seen.",
}
NOTHING_TO_CLOSE = (
    "Nothing more was asked for: each tree is closed, is being closed, or was opened by somebody else. Tick such a one "
    "below to close it again."
)


@require_POST
def close(request, downtime_id):
    """Close those that are ticked, or all that are to be closed; where nothing is left to ask for, that is said."""

    def verb(downtime, names, **asked):
        if not closing.close(downtime, names, **asked) and closing.how() != closing.LINK:
            raise NotAllowed(NOTHING_TO_CLOSE)

    return _change(request, downtime_id, verb)


@require_POST
def reopen(request, downtime_id):
    """Reopen those that are ticked, or all that are ours; why others stay is said."""

    def verb(downtime, names, **asked):
        for sentence in reopening.reopen(downtime, names, **asked):
            messages.warning(request, sentence)

    return _change(request, downtime_id, verb)


def _change(request, downtime_id: int, verb):
    downtime = downtime_or_404(downtime_id)
    form = TreesForm(request.POST, names=_names(downtime))
    if not form.is_valid():
        return again(request, downtime, trees=form)
    names, op = form.names, form.cleaned_data["op"]
    return do(request, downtime, lambda: verb(downtime, names, by=request.user, op=op), _SAID[closing.how()], "trees")


def _names(downtime: Downtime) -> list[str]:
    return list(downtime.run_trees.values_list("name", flat=True))


@require_POST
def look(request, downtime_id):
    """Have the trees read at once."""
    downtime = downtime_or_404(downtime_id)
    polling.ask_now()
    messages.success(request, "The trees are read now: this page shows it within seconds.")
    return back(downtime, "trees")


@require_POST
def claim(request, downtime_id, name):
    """Say that a closure which reads otherwise, or a reopening that nobody asked for here, is ours."""
    downtime = _with_tree(downtime_id, name)
    said = f"Written down: what was done to {name} is ours."
    return do(request, downtime, lambda: ownership.claim(downtime, name, by=request.user), said, "trees")


@require_POST
def leave(request, downtime_id, name):
    """Leave a tree as it is, because a sheriff said so."""
    downtime, form = _with_tree(downtime_id, name), LeaveForm(request.POST, auto_id="leave_%s")
    if not form.is_valid():
        return again(request, downtime, leave=form)
    because = form.cleaned_data["because"]
    said = f"Written down: {name} is left as it is."
    return do(
        request, downtime, lambda: ownership.leave(downtime, name, by=request.user, because=because), said, "trees",
        leave=form,
    )  # fmt: skip


def _with_tree(downtime_id: int, name: str) -> Downtime:
    downtime = downtime_or_404(downtime_id)
    if name not in _names(downtime):
        raise Http404
    return downtime
