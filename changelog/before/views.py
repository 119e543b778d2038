"""What changed before this broke: question and answer for everybody; for CiDuty, verdicts and a bug's comment."""

from hashlib import sha256

from django.contrib import messages
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from changelog.before import posting, verdicts
from changelog.before.answer import answer, comparison
from changelog.before.asking import written_again
from changelog.before.forms import PostForm, QuestionForm, VerdictForm
from changelog.models import Change, Question
from changelog.models.asking import Judged
from changelog.public import page
from changelog.rules import PUBLIC_AGE
from ciduty.desk.context import moment_of
from ciduty.outbox import changes, post
from ciduty.outbox.rows import messages_of
from ciduty.states import NotAllowed
from ciduty.typed import MOST_ID


@require_safe
def before_it_broke(request):
    """Show the question, and its answer under a permalink. What was typed in other words is sent there first."""
    at = moment_of(request)
    if "question" in request.GET:
        return redirect(f"{reverse('before_it_broke')}?{_question_or_404(request.GET['question']).query}")
    if not request.GET:
        return _for_everybody(request, {"form": QuestionForm(at=at)})
    form = QuestionForm(request.GET, at=at)
    if not form.is_valid():
        return _for_everybody(request, {"form": form}, status=422)
    if "ask" in request.GET:  # the same question, to be asked differently
        return _for_everybody(request, {"form": form})
    if written_again(request.GET) != form.asked.query:
        return redirect(f"{reverse('before_it_broke')}?{form.asked.query}")
    return _for_everybody(request, context_of(form, at))


def _for_everybody(request, context: dict, status: int = 200):
    """Return the page without a session: an answer may be a minute old, and is tagged by what it says.

    Not by the public version alone, as the log's pages are: bugs, downtimes and revisions speak here too.
    """
    response = page.answer(request, "changelog/before/before.html", context, status)
    if status != 200:
        return response
    response.headers["Cache-Control"] = f"public, max-age={PUBLIC_AGE}"
    response.headers["ETag"] = f'"{sha256(response.content).hexdigest()[:32]}"'
    return get_conditional_response(request, etag=response.headers["ETag"], response=response)


def context_of(form: QuestionForm, at) -> dict:
    """Return what the answer's page shows: the same for everybody."""
    found = answer(form.asked, at)
    return {
        "form": form,
        "asked": form.asked,
        "answer": found,
        "suspects": [(line, None) for line in found.suspects],
        "lines": [(line, None) for line in found.lines],
        "other_trees": comparison(form.asked),
        "downtimes": found.nearest_intervals,
    }


def _question_or_404(number: str) -> Question:
    if not number.isascii() or not number.isdigit() or not 0 < int(number[:20]) <= MOST_ID:
        raise Http404
    return get_object_or_404(Question, pk=int(number))


# --- CiDuty's -----------------------------------------------------------------------------------------------------


@require_safe
def judge_answer(request):
    """Show an answer with a button for each verdict."""
    return _with_question(request, lambda form: _judging(request, form))


@require_POST
def judge_change(request, change_id):
    """Write down what a person says of one change."""
    return _with_question(request, lambda form: _judge(request, form, change_id))


def _with_question(request, do):
    """Do something with the question of an address; where it is none, show it with what is wrong."""
    form = QuestionForm(request.GET, at=moment_of(request))
    if not form.is_valid():
        return render(request, "changelog/before/before.html", {"form": form}, status=422)
    return do(form)


def _judge(request, question: QuestionForm, change_id: int):
    if change_id > MOST_ID:
        raise Http404
    change = get_object_or_404(Change.objects.public(), pk=change_id)
    form = VerdictForm(request.POST, auto_id=f"verdict-{change_id}-%s")
    if not form.is_valid():
        return _judging(request, question, {change_id: form}, status=422)
    typed = form.cleaned_data
    try:
        verdicts.judge(
            question.asked, change, Judged(typed["judged"]), by=request.user, because=typed["because"], op=typed["op"]
        )
    except NotAllowed as problem:
        form.add_error(None, str(problem))
        return _judging(request, question, {change_id: form}, status=422)
    messages.success(request, "Your verdict stands: everybody sees it with this answer.")
    return redirect(f"{reverse('judge_answer')}?{question.asked.query}")


def _judging(request, question: QuestionForm, typed: dict | None = None, status: int = 200):
    context, typed = context_of(question, moment_of(request)), typed or {}
    found = context["answer"]

    def form_of(line) -> VerdictForm:
        number = line.change.pk
        return typed.get(number) or VerdictForm(initial={"op": post.new_op()}, auto_id=f"verdict-{number}-%s")

    context |= {
        "suspects": [(line, form_of(line)) for line in found.suspects],
        "lines": [(line, form_of(line) if line.change and not line.suspect else None) for line in found.lines],
        "typed": list(typed.values()),
        "messages_of_it": _messages_of(request, question),
    }
    return render(request, "changelog/before/judge.html", context, status=status)


def _messages_of(request, question: QuestionForm) -> list:
    row = Question.objects.filter(query=question.asked.query).first()
    return messages_of(row.about, request.user) if row else []


@require_http_methods(["GET", "HEAD", "POST"])
def post_answer_to_bug(request):
    """Show the comment as a bug would get it, then send it."""
    return _with_question(request, lambda form: _post(request, form))


def _post(request, question: QuestionForm):
    asked = question.asked
    context = context_of(question, moment_of(request))
    if request.method != "POST":
        context["post_form"] = PostForm(initial={"op": post.new_op(), "bug": asked.bad.bug or ""})
        return render(request, "changelog/before/post.html", context)
    form = context["post_form"] = PostForm(request.POST)
    if form.is_valid():
        bug, op = form.cleaned_data["bug"], form.cleaned_data["op"]
        try:
            if posting.why_not(bug):
                raise NotAllowed(posting.why_not(bug))
            if "send" not in request.POST:
                context["preview"] = posting.preview(context["answer"], bug, by=request.user, op=op)
                return render(request, "changelog/before/post.html", context)
            posting.post_to_bug(context["answer"], bug, by=request.user, op=op)
        except (NotAllowed, changes.Unwritable) as problem:
            form.add_error(None, str(problem))
        else:
            messages.success(
                request, f"The answer is on its way to bug {bug}; this page shows when Bugzilla has taken it."
            )
            return redirect(f"{reverse('judge_answer')}?{asked.query}")
    return render(request, "changelog/before/post.html", context, status=422)
