"""The run sheet as one file that is whole without the network and on paper: no link into the site, its look inside."""

import base64
from hashlib import sha256

from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from downtimes import agreement, telling
from downtimes.models import Downtime

#: The only style that the file may use; its page is told so by the hash.
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #16181d; background: #fff; max-width: 56rem; margin: 1.5rem auto;
  padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 1.4rem 0 .4rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .3rem .5rem;
  border: 1px solid #9aa1ad; } thead { display: table-header-group; } tr, li { break-inside: avoid; }
.box { display: inline-block; width: 1em; height: 1em; border: 1.5px solid #16181d; vertical-align: -.15em;
  margin-right: .4em; }
.line { display: inline-block; min-width: 9em; border-bottom: 1px solid #16181d; } .muted { color: #4b525e; }
pre, .words { white-space: pre-wrap; font: inherit; margin: .2rem 0; } ul, ol { padding-left: 1.3rem; }
.ticks { list-style: none; padding: 0; } .ticks li { margin: .35rem 0; }
@media print { body { margin: 0; max-width: none; font-size: 11pt; } h2 { break-after: avoid; } }
"""
_HASH = base64.b64encode(sha256(STYLE.encode()).digest()).decode()
#: What was public when it was announced, and is not any more, is not given away again.
HIDDEN = "Its text is not repeated: a bug in it is not public any more."
#: Nothing is loaded, nothing runs, nothing is sent: this file is to be read.
POLICY = {
    "default-src": ["'none'"],
    "object-src": ["'none'"],
    "style-src": [f"'sha256-{_HASH}'"],
    "base-uri": ["'none'"],
    "form-action": ["'none'"],
    "frame-ancestors": ["'none'"],
}


def response(request, downtime: Downtime, context: dict, to_print: bool) -> HttpResponse:
    """Answer with the file: to be kept, or, where it is to be printed, in the window."""
    style = mark_safe(STYLE)  # made here, of nothing that anybody typed
    announced = telling.last_told(downtime)
    whole = context | {
        "style": style,
        "site": settings.SITE_URL.rstrip("/"),
        "announced": announced,
        "why_hidden": "" if announced is None or agreement.may_be_shown(announced) else HIDDEN,
        "contacts": contacts(downtime, context),
    }
    answer = HttpResponse(render_to_string("downtimes/run/saved.html", whole, request))
    kind = "inline" if to_print else "attachment"
    answer.headers["Content-Disposition"] = f'{kind}; filename="downtime-{downtime.pk}-run-sheet.html"'
    return answer


def contacts(downtime: Downtime, context: dict) -> list[str]:
    """Return whom to reach, as far as the reader of this sheet may know them, each once."""
    duty = downtime.duty
    address = f", {duty.email}" if duty and duty.email and context["runs"] else ""
    lines = [f"Duty: {duty}{address}" if duty else "", f"Sheriff: {downtime.sheriff}" if downtime.sheriff else ""]
    workers = dict.fromkeys(one.worker for one in context["work"] if one.worker)
    lines += [f"Worker: {login}" for login in workers]
    lines.append(f"{settings.CIDUTY_TEAM}: {settings.CIDUTY_CHANNEL}")
    return [line for line in lines if line]
