"""A table as a CSV file that a spreadsheet opens and does not run; and what such a file says, read back.

A cell that begins like a formula gets an apostrophe before it (safety.md, "Bugzilla text"); what was written so is read
back as it was. Which columns there are is each page's matter.
"""

import csv
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from io import StringIO

from django.http import HttpResponse

#: What Excel, LibreOffice or Google Sheets may take for a formula.
_RUNS = re.compile(r"[=+\-@\t\r]")
#: Such a beginning behind apostrophes: one more or one less of them is the guard.
_GUARDED = re.compile(r"'+[=+\-@\t\r]")


def runs(cell: str) -> bool:
    """Answer whether a spreadsheet may take the cell for a formula."""
    return _RUNS.match(cell) is not None


def guarded(cell: str) -> str:
    """Return the cell with an apostrophe before what a spreadsheet might run."""
    return f"'{cell}" if runs(cell) or _GUARDED.match(cell) else cell


def unguarded(cell: str) -> str:
    """Return what `guarded` was given."""
    return cell[1:] if _GUARDED.match(cell) else cell


def written(value) -> str:
    """Write a value for a cell: yes and no, moments in UTC, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return guarded(str(value))


def table(header: Iterable[str], rows: Iterable[Iterable]) -> str:
    """Write a table, every cell in quotation marks, lines as RFC 4180 ends them."""
    paper = StringIO(newline="")
    writer = csv.writer(paper, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    writer.writerows([written(value) for value in row] for row in rows)
    return paper.getvalue()


def download(name: str, header: Iterable[str], rows: Iterable[Iterable]) -> HttpResponse:
    """Answer with a table in UTF-8, to be saved under a name; Excel knows it by the mark at its beginning."""
    answer = HttpResponse("\ufeff" + table(header, rows), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
