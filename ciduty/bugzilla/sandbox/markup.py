"""The HTML of the sandbox's own pages, everything escaped. What a page shows and does, pages says."""

from html import escape

RESOLUTIONS_OFFERED = ("FIXED", "WONTFIX", "INVALID", "INCOMPLETE", "WORKSFORME")


def page(title: str, body: str) -> str:
    """Return a whole page; `body` is HTML, `title` is text."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - Sandbox Bugzilla</title>
<link rel="stylesheet" href="/sandbox.css">
</head>
<body>
<header>
<p>Sandbox Bugzilla - play the other side</p>
<nav><a href="/">Open bugs</a> | <a href="/?all=1">All bugs</a> | <a href="/enter_bug.cgi">File a bug</a></nav>
</header>
<main>
<h1>{escape(title)}</h1>
{body}
</main>
</body>
</html>
"""


def choice(name: str, label: str, options: list, chosen: str | None = None) -> str:
    """Return a labelled select. An option is a text, or a pair of value and text."""
    items = []
    for option in options:
        value, text = option if isinstance(option, tuple) else (option, option)
        mark = " selected" if value == chosen else ""
        items.append(f'<option value="{escape(value)}"{mark}>{escape(text)}</option>')
    return f'<label>{escape(label)} <select name="{escape(name)}">{"".join(items)}</select></label>'


def buttons(name: str, pairs: list[tuple[str, str]]) -> str:
    """Return submit buttons that send one of several values."""
    return "".join(
        f'<button name="{escape(name)}" value="{escape(value)}">{escape(text)}</button>' for value, text in pairs
    )


def form(bug_id: int, action: str, legend: str, inside: str) -> str:
    """Return one form that changes a bug; `inside` is HTML."""
    return (
        f'<form method="post" action="/show_bug.cgi?id={bug_id}"><fieldset><legend>{escape(legend)}</legend>'
        f'<input type="hidden" name="action" value="{escape(action)}">{inside}</fieldset></form>'
    )


def table(headings: list[str], rows: list[list[str]], style: str = "plain") -> str:
    """Return a table; headings are text, cells are HTML."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<table class="{style}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def bug_list(bugs: list[dict]) -> str:
    """Return the list of bugs."""
    if not bugs:
        return "<p>There are no bugs here.</p>"
    rows = [
        [
            f'<a href="/show_bug.cgi?id={bug["id"]}">{bug["id"]}</a>',
            f'<a href="/show_bug.cgi?id={bug["id"]}">{escape(bug["summary"])}</a>'
            + (f" (private: {escape(', '.join(bug['groups']))})" if bug["groups"] else ""),
            escape(f"{bug['status']} {bug['resolution']}".strip()),
            escape(bug["assigned_to"]),
            escape(", ".join(flag_text(flag) for flag in bug["flags"])),
            escape(bug["creation_time"].replace("T", " ").removesuffix("Z")),
        ]
        for bug in bugs
    ]
    return table(["Bug", "Summary", "Status", "Assignee", "Flags", "Filed (UTC)"], rows, "list")


def flag_text(flag: dict) -> str:
    """Return a flag as Bugzilla writes it."""
    return flag["name"] + flag["status"] + (f"({flag['requestee']})" if flag["requestee"] else "")


def enter_form(components: list[tuple[str, str]], chosen: str, people: list[str], reporter: str) -> str:
    """Return the form that files a bug."""
    return (
        '<form method="post" action="/enter_bug.cgi"><fieldset><legend>New bug</legend>'
        + choice("component", "Component", components, chosen)
        + '<label class="wide">Summary <input class="wide" type="text" name="summary" maxlength="300" required></label>'
        + '<label class="wide">Description <textarea class="wide" name="description" rows="8"></textarea></label>'
        + choice("as", "File as", people, reporter)
        + "<button>File it</button></fieldset></form>"
    )


def bug_fields(bug: dict) -> str:
    """Return what is known of a bug."""
    fields = {
        "Product": bug["product"],
        "Component": bug["component"],
        "Status": f"{bug['status']} {bug['resolution']}".strip(),
        "Assignee": bug["assigned_to"],
        "Reporter": bug["creator"],
        "CC": ", ".join(bug["cc"]) or "-",
        "Whiteboard": bug["whiteboard"] or "-",
        "Private to": ", ".join(bug["groups"]) or "public",
        "Depends on": ", ".join(map(str, bug["depends_on"])) or "-",
        "Blocks": ", ".join(map(str, bug["blocks"])) or "-",
        "Filed (UTC)": bug["creation_time"],
        "Changed (UTC)": bug["last_change_time"],
    }
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in fields.items()
    )
    return f"<table><tbody>{rows}</tbody></table>"


def bug_forms(bug: dict, flag_types: list[dict], people: list[str], groups: list[str], duty: str) -> str:
    """Return the forms that change a bug."""
    number, who = bug["id"], choice("as", "As", people, duty)
    text = '<label class="wide">Comment <textarea class="wide" name="text" rows="4" required></textarea></label>'
    parts = [
        form(number, "comment", "Comment", text + choice("as", "Comment as", people, duty) + "<button>Comment</button>")
    ]
    parts += [_existing_flag(number, flag, who) for flag in bug["flags"]]
    taken = {flag["name"] for flag in bug["flags"]}
    parts += [
        _new_flag(number, flag_type, people, who, bug["creator"])
        for flag_type in flag_types
        if flag_type["multiplicable"] or flag_type["name"] not in taken
    ]
    assignees = choice("assigned_to", "to", people, duty)
    take = buttons("what", [("take", "Take it"), ("assign", "Assign it")])
    parts.append(form(number, "assign", "Assignee", who + assignees + take))
    if bug["resolution"]:
        parts.append(form(number, "reopen", "Status", who + "<button>Reopen</button>"))
    else:
        resolution = choice("resolution", "Resolution", list(RESOLUTIONS_OFFERED), "FIXED")
        parts.append(form(number, "resolve", "Status", who + resolution + "<button>Resolve</button>"))
    written = f'<input class="wide" type="text" name="whiteboard" value="{escape(bug["whiteboard"])}">'
    board = f'<label class="wide">Whiteboard {written}</label>'
    parts.append(form(number, "whiteboard", "Whiteboard", board + who + "<button>Write</button>"))
    private = choice("group", "Group", groups) + buttons("what", [("private", "Make private")]) if groups else ""
    public = buttons("what", [("public", "Make public")]) if bug["groups"] else ""
    if private or public:
        insider = choice("as", "As", people, "manager@example.com")  # whoever makes it private must be in the group
        parts.append(form(number, "groups", "Who may see it", insider + private + public))
    return "\n".join(parts)


def _existing_flag(number: int, flag: dict, who: str) -> str:
    which = f'<input type="hidden" name="flag_id" value="{flag["id"]}">'
    values = [(value, text) for value, text in _FLAG_VALUES if value != flag["status"]]
    legend = f"Flag {flag_text(flag)}, set by {flag['setter']}"
    return form(number, "flag", legend, which + who + buttons("status", [*values, ("X", "clear")]))


def _new_flag(number: int, flag_type: dict, people: list[str], who: str, creator: str) -> str:
    name = f'<input type="hidden" name="name" value="{escape(flag_type["name"])}">'
    needinfo = flag_type["name"] == "needinfo"
    asked = choice("requestee", "of", [("", "nobody in particular"), *people], creator if needinfo else "")
    values = _FLAG_VALUES[:1] if needinfo else _FLAG_VALUES
    return form(number, "flag", f"Set {flag_type['name']}", name + who + asked + buttons("status", list(values)))


_FLAG_VALUES = (("?", "? request"), ("+", "+ grant"), ("-", "- deny"))


def comments(found: list[dict]) -> str:
    """Return the comments of a bug."""
    return "<h2>Comments</h2>" + "".join(
        f"<article><strong>{escape(one['creator'])}</strong> {escape(one['time'])}"
        + (" (private)" if one["is_private"] else "")
        + f"<pre>{escape(one['text'])}</pre></article>"
        for one in found
    )


def history(entries: list[dict]) -> str:
    """Return the history of a bug."""
    rows = [
        [
            escape(entry["when"]),
            escape(entry["who"]),
            escape(change["field_name"]),
            escape(change["removed"]),
            escape(change["added"]),
        ]
        for entry in entries
        for change in entry["changes"]
    ]
    shown = (
        table(["When (UTC)", "Who", "What", "Removed", "Added"], rows) if rows else "<p>Nothing was changed yet.</p>"
    )
    return "<h2>History</h2>" + shown


def error(message: str, back: str) -> str:
    """Return what is shown in place of a page that cannot be."""
    return f'<p class="error" role="alert">{escape(message)}</p><p><a href="{escape(back)}">Back</a></p>'
