"""A CSV file of machines as somebody wrote it: decoded, its columns found, each line read or refused with a reason.

Pure. What a line means for the pool as it is: `machine_import.py`.
"""

import csv
from collections import Counter
from dataclasses import dataclass, field
from io import StringIO

from ciduty import csv_files
from ciduty.bugzilla.cleaning import clean_text
from loaners import machine_facts
from loaners.machine_facts import Unfit

#: Some 4,000 machines; and what is confirmed travels in a form, which may carry 2.5 MB.
MOST_BYTES = 1_000_000
MOST_LINES = 5_000
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
#: The columns that are read, and how a cell of each becomes a fact.
COLUMNS = {
    "host": machine_facts.host,
    "class": str.strip,
    "location": machine_facts.location,
    "state": machine_facts.state,
    "spare": machine_facts.is_spare,
    "tracking bug": machine_facts.tracking_bug,
    "notes": machine_facts.notes,
}
REQUIRED = ("host", "class")
SAVE_AS = "save it as “CSV UTF-8” and choose that file."


class Unreadable(ValueError):
    """The file as a whole cannot be used. `str()` is a sentence for a person: what, why, what now."""


@dataclass
class Line:
    """One line of the file: where it stands, its facts by column, and why it is refused ("" where it is not)."""

    number: int
    facts: dict = field(default_factory=dict)
    problem: str = ""

    @property
    def host(self) -> str:
        """Return the host of the line, "" where none could be read."""
        return self.facts.get("host", "")


@dataclass(frozen=True)
class Sheet:
    """A file of machines. `separator` is a word for what stands between its cells, `not_read` the other columns."""

    lines: list[Line]
    separator: str
    not_read: list[str]


def decode(raw: bytes) -> str:
    """Return the text of a file. Raises Unreadable for anything but UTF-8; a mark at its beginning is taken off."""
    if len(raw) > MOST_BYTES:
        raise Unreadable(too_big(len(raw)))
    if raw.startswith(b"PK\x03\x04"):
        raise Unreadable(f"This is a workbook (or another archive) and no CSV file: in the spreadsheet, {SAVE_AS}")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        raise Unreadable(f"The file is UTF-16 (Excel calls it “Unicode Text”) or no text at all: {SAVE_AS}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        number = raw.count(b"\n", 0, problem.start) + 1
        byte = f"{raw[problem.start]:02X}"
        raise Unreadable(
            f"Line {number} holds a character that is not UTF-8 (byte {byte}), as files in Latin-1 or Windows-1252 do: "
            + SAVE_AS
        ) from None


def too_big(size: int) -> str:
    """Return why a file of so many bytes is refused."""
    return f"The file has {size / 1e6:.1f} MB, and a file may have {MOST_BYTES / 1e6:.0f} MB: import it in parts."


def read(text: str) -> Sheet:
    """Return the lines of a file. Raises Unreadable where its shape is wrong: then no line can be trusted."""
    begin = text.split("\n", 1)
    skipped = 1 if begin[0].lower().startswith("sep=") else 0  # Excel's own hint
    if skipped:
        text = begin[1] if len(begin) > 1 else ""
    separator = _separator(text.split("\n", 1)[0])
    rows = list(_rows(text, separator, skipped))
    if not rows:
        raise Unreadable("The file is empty: its first line names the columns, at least host and class.")
    header = [" ".join(name.lower().replace("_", " ").split()) for name in rows[0][1]]
    _check_header(header)
    lines = [_line(number, cells, header) for number, cells in rows[1:]]
    if not lines:
        raise Unreadable("The file names its columns and no machine: write one machine on each line below.")
    if len(lines) > MOST_LINES:
        raise Unreadable(f"The file has {len(lines)} lines, and a file may have {MOST_LINES}: import it in parts.")
    _refuse_doubles(lines)
    return Sheet(lines, SEPARATORS[separator], [name for name in header if name and name not in COLUMNS])


def _separator(header: str) -> str:
    """Return what stands between the cells: what makes the most of the known columns out of the first line."""

    def known(separator):
        names = (name.strip().strip('"').replace("_", " ").lower() for name in header.split(separator))
        return sum(name in COLUMNS for name in names)

    return max(SEPARATORS, key=known)  # the first of equals: commas


def _rows(text: str, separator: str, skipped: int):
    """Yield every line that holds something, with its number in the file."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
    number = 1
    while True:
        number = reader.line_num + 1 + skipped
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            raise Unreadable(_quotes(str(problem), number)) from None
        if any(cell.strip() for cell in cells):
            # Nothing but clean text goes further: what is refused is quoted on the page.
            yield number, [clean_text(cell, MOST_BYTES) for cell in cells]


def _quotes(problem: str, number: int) -> str:
    if "unexpected end" in problem or "field limit" in problem:
        what = "opens a quotation mark that is never closed"
    else:
        what = "has something after a closing quotation mark, before the next cell"
    return f"Line {number} {what}: write a quotation mark within a cell twice, and close every one."


def _check_header(header: list[str]) -> None:
    doubled = [name for name, count in Counter(header).items() if count > 1 and name in COLUMNS]
    if doubled:
        raise Unreadable(f"The column “{doubled[0]}” stands there twice: keep one of them.")
    missing = [f"“{name}”" for name in REQUIRED if name not in header]
    if missing:
        there = ", ".join(f"“{name[:40]}”" for name in header[:12] if name) or "nothing"
        which = "column " + missing[0] + " is" if len(missing) == 1 else "columns " + " and ".join(missing) + " are"
        raise Unreadable(f"The {which} missing: the first line names the columns, and it names {there}.")


def _line(number: int, cells: list[str], header: list[str]) -> Line:
    line = Line(number)
    while len(cells) > len(header) and not cells[-1].strip():
        cells = cells[:-1]
    if len(cells) != len(header):
        line.problem = f"It has {len(cells)} cells, and the first line names {len(header)} columns."
        return line
    problems = []
    for name, cell in zip(header, cells, strict=True):
        if name not in COLUMNS:
            continue
        try:
            line.facts[name] = COLUMNS[name](_plain(name, cell))
        except Unfit as problem:
            problems.append(str(problem))
    line.problem = " ".join(problems)
    return line


def _plain(name: str, cell: str) -> str:
    """Return the text of a cell. Raises Unfit for a formula: it would run when the list is opened in a spreadsheet."""
    if csv_files.runs(cell.lstrip(" ")):
        raise Unfit(
            f"The cell under {name} begins like a formula ({cell.strip()[:20]!r}): write its text, "
            "or an apostrophe before it."
        )
    return csv_files.unguarded(cell)


def _refuse_doubles(lines: list[Line]) -> None:
    numbers: dict[str, list[int]] = {}
    for line in lines:
        if line.host:
            numbers.setdefault(line.host, []).append(line.number)
    for line in lines:
        there = numbers.get(line.host, [])
        if len(there) > 1:
            where = f"{', '.join(map(str, there[:-1]))} and {there[-1]}"
            line.problem = f"{line.host} stands in lines {where}: keep the one that is right. {line.problem}".strip()
