"""The page of a downtime's notice: its words, the mails as they will be sent, the versions that people agreed to."""

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from ciduty.desk.context import moment_of
from ciduty.states import NotAllowed
from downtimes import notice, notice_page, windows
from downtimes.models import Downtime
from downtimes.notice_forms import NoticeForm, initial


@require_http_methods(["GET", "HEAD", "POST"])
def downtime_notice(request, downtime_id):
    """Show the notice; POST saves its words, or, with `preview`, shows the mails that they would make."""
    downtime = _downtime_or_404(downtime_id)
    if request.method != "POST":
        return _page(request, downtime, _form(initial=initial(downtime)))
    form = _form(request.POST)
    is_fine = form.is_valid()
    if "preview" in request.POST:
        return _preview(request, downtime, form)
    if not is_fine:
        return _page(request, downtime, form, status=422)
    try:
        was_changed = windows.edit(downtime, form.typed, by=request.user, revision=form.cleaned_data["revision"])
    except NotAllowed as problem:
        downtime.refresh_from_db()
        form.add_error(None, str(problem))
        form.start_anew_from(downtime.revision)
        return _page(request, downtime, form, status=422)
    messages.success(request, "The words are saved." if was_changed else "Nothing was changed.")
    return redirect("downtime_notice", downtime.pk)


def _downtime_or_404(downtime_id: int) -> Downtime:
    return get_object_or_404(Downtime.objects.select_related("emergency_by", "duty"), pk=downtime_id)


def _form(*args, **kwargs) -> NoticeForm:
    return NoticeForm(*args, otherwise=notice.how_to_object(), **kwargs)


def _preview(request, downtime: Downtime, form: NoticeForm):
    """Show the mails that the typed words would make; nothing is saved. A script gets the preview alone."""
    if not request.htmx:
        return _page(request, downtime, form)
    context = {"downtime": downtime, "form": form} | notice_page.preview(
        _with_words(downtime, form), _wanted(request), moment_of(request)
    )
    return render(request, "downtimes/notice/_preview.html", context)


def _with_words(downtime: Downtime, form: NoticeForm) -> Downtime:
    """Return a downtime that says what was typed, and that nobody saves."""
    typed = Downtime.objects.select_related("emergency_by").get(pk=downtime.pk)
    for name, value in (form.typed if form.is_bound else {}).items():
        setattr(typed, name, value)
    return typed


def _wanted(request) -> str:
    """Return the tab that was chosen: by its button, or the one that was shown before."""
    return request.POST.get("preview") or request.POST.get("shown", "")


def _page(request, downtime: Downtime, form: NoticeForm, *, status: int = 200):
    context = {"downtime": downtime, "form": form}
    context |= notice_page.preview(_with_words(downtime, form), _wanted(request), moment_of(request))
    context |= notice_page.asking(downtime, moment_of(request))
    context |= notice_page.history(downtime)
    return render(request, "downtimes/notice/notice.html", context, status=status)
