"""The review card of a downtime: what went well, what to do better, which bugs remain. For CiDuty alone."""

from django.contrib import messages
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from ciduty.desk.context import moment_of
from ciduty.states import NotAllowed
from downtimes.models import Review
from downtimes.run import reviewing
from downtimes.run.review_forms import ReviewForm
from downtimes.window_views import downtime_or_404


@require_http_methods(["GET", "HEAD", "POST"])
def review(request, downtime_id):
    """Show what was learned of a downtime, and write it down."""
    downtime = downtime_or_404(downtime_id)
    row = Review.objects.filter(downtime=downtime).select_related("written_by").first()
    is_sent = request.method == "POST"
    form = ReviewForm(request.POST if is_sent else None, review=row)
    if is_sent and form.is_valid():
        try:
            new = reviewing.write(row, by=request.user, **form.cleaned_data)
        except NotAllowed as problem:
            form.add_error(None, str(problem))
            form.start_anew_from(Review.objects.filter(downtime=downtime).first())
        else:
            messages.success(request, "The review is saved." if new else "Nothing was changed: it stood there so.")
            return redirect("review_downtime", downtime.pk)
    context = {
        "downtime": downtime,
        "review": row,
        "form": form,
        "not_over": reviewing.NOT_OVER if row is None else "",
        "is_due": row is not None and row.written_at is None and row in reviewing.waiting(moment_of(request)),
    }
    return render(request, "downtimes/run/review.html", context, status=422 if form.errors else 200)
