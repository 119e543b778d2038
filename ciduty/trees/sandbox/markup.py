"""The HTML of the sandbox's own pages, everything escaped. What a page shows and does, pages says."""

from html import escape
from urllib.parse import quote

from ciduty.trees.sandbox import schema
from ciduty.trees.sandbox.moments import for_people

#: Where a page says what came of the form before it.
PLACE_OF_WHAT_IS_SAID = b"<!-- said -->"
NO_CATEGORY = ("", "No category")


def page(title: str, body: str) -> str:
    """Return a whole page; `body` is HTML, `title` is text."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} - Sandbox tree status</title>
<link rel="stylesheet" href="/treestatus/sandbox.css">
</head>
<body>
<header>
<p>Sandbox tree status - play the sheriff</p>
<nav aria-label="Pages"><a href="/treestatus/">Trees</a> | <a href="/treestatus/new_tree/">New tree</a></nav>
</header>
<main>
<h1>{escape(title)}</h1>
{PLACE_OF_WHAT_IS_SAID.decode()}
{body}
</main>
</body>
</html>
"""


def done(sentences: list[str]) -> str:
    """Return what was done, in words."""
    return "".join(f'<p class="done" role="status">{escape(one)}</p>' for one in sentences)


def refused(sentences: list[str]) -> str:
    """Return why something was not done."""
    items = "".join(f"<li>{escape(one)}</li>" for one in sentences)
    return f'<div class="refused" role="alert"><p>Nothing was changed:</p><ul>{items}</ul></div>'


def badge(status: str) -> str:
    """Return a status in words; its colour only repeats it."""
    kind = status.split()[0] if status in schema.STATUSES else "other"
    return f'<span class="badge {kind}">{escape(status)}</span>'


def choice(name: str, label: str, options: list[tuple[str, str]], chosen: str) -> str:
    """Return a labelled select of pairs of value and text."""
    items = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options
    )
    return f'<label>{escape(label)} <select name="{escape(name)}">{items}</select></label>'


def line(name: str, label: str, value: str) -> str:
    """Return a labelled field of one line."""
    field = f'<input type="text" name="{escape(name)}" value="{escape(value)}" autocomplete="off">'
    return f'<label class="wide">{escape(label)} {field}</label>'


def why(reason: str, tags: list[str]) -> str:
    """Return a reason with its categories, or that there is none."""
    names = ", ".join(schema.REASON_CATEGORIES.get(tag, tag) for tag in tags)
    parts = [escape(reason), f"<small>Category: {escape(names)}</small>" if names else ""]
    return "<br>".join(filter(None, parts)) or "no reason"


def table(caption: str, headings: list[str], rows: list[list[str]]) -> str:
    """Return a table; caption and headings are text, cells are HTML."""
    head = "".join(f'<th scope="col">{escape(heading)}</th>' for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


# --- trees ------------------------------------------------------------------------------------------------------------


def trees_form(trees: list[dict], typed: dict[str, list[str]]) -> str:
    """Return the list of trees and the form that changes those ticked, filled with what was typed before."""
    if not trees:
        return '<p>There is no tree yet: make <a href="/treestatus/new_tree/">the first one</a>.</p>'
    chosen = typed.get("trees", [])
    rows = [[_name(tree, tree["tree"] in chosen), _why(tree)] for tree in trees]
    statuses = [(status, status) for status in (schema.CLOSED, schema.OPEN, schema.APPROVAL_REQUIRED)]
    remember = " checked" if "remember" in typed or not typed else ""

    def last(name, otherwise=""):
        return typed.get(name, [otherwise])[-1]

    return (
        '<form method="post" action="/treestatus/">'
        + table("Tick the trees that you want to change", ["Tree", "Why, and since when"], rows)
        + "<fieldset><legend>Change the ticked trees</legend>"
        + choice("status", "They are now", statuses, last("status", schema.CLOSED))
        + categories(last("reason_category"))
        + line("reason", "Reason (closing needs one, and a category)", last("reason"))
        + line("message_of_the_day", "Message of the day (empty takes it away)", last("message_of_the_day"))
        + f'<label class="wide"><input type="checkbox" name="remember"{remember}> Remember it, so that it can be '
        "undone below</label><button>Change them</button></fieldset></form>"
    )


def categories(chosen: str) -> str:
    """Return the select of reason categories."""
    return choice("reason_category", "Category", [NO_CATEGORY, *schema.REASON_CATEGORIES.items()], chosen)


def _name(tree: dict, chosen: bool) -> str:
    name = tree["tree"]
    mark = " checked" if chosen else ""
    tick = f'<label><input type="checkbox" name="trees" value="{escape(name)}"{mark}> {escape(name)}</label>'
    where = f"/treestatus/{quote(name, safe='')}/logs"
    history = f'<a href="{where}" aria-label="History of {escape(name)}">history</a>'
    return f"{tick}<br>{badge(tree['status'])} {history}"


def _why(tree: dict) -> str:
    since = f"Since {for_people(tree['at'])}, by {tree['who']}" if tree["at"] else "Since it was made"
    message = tree["message_of_the_day"]
    today = f"<br><small>Message of the day: {escape(message)}</small>" if message else ""
    return why(tree["reason"], tree["tags"]) + today + f"<br><small>{escape(since)}</small>"


# --- the undo stack ---------------------------------------------------------------------------------------------------


def stack(changes: list[dict], now: dict[str, int | None]) -> str:
    """Return the undo stack; `now` leads from each tree to its last log entry."""
    head = "<h2>Remembered changes</h2>"
    if not changes:
        return head + "<p>None. A change that is remembered can be undone here.</p>"
    return head + "".join(_change(change, now) for change in changes)


def _change(change: dict, now: dict[str, int | None]) -> str:
    items, tags = [], []
    for row in change["trees"]:
        state = row["last_state"]
        tags = tags or state["current_tags"]
        later = ""
        if now.get(row["tree"]) != state["current_log_id"]:
            later = " - <strong>changed again since: restoring overwrites that</strong>"
        was, then = badge(state["status"]), badge(state["current_status"])
        items.append(f"<li>{escape(row['tree'])}: from {was} to {then}{later}</li>")
    trees = f"<ul>{''.join(items)}</ul>" if items else "<p>Its trees are gone.</p>"
    number = change["id"]
    return (
        f"<article><h3>Change {number}, {for_people(change['when'])}</h3>"
        f"<p>{why(change['reason'], tags)}<br><small>By {escape(change['who'])}</small></p>{trees}"
        f'<form method="post" action="/treestatus/stack/{number}">'
        f'<button name="action" value="restore" aria-label="Restore change {number}">Restore</button>'
        f'<button name="action" value="discard" aria-label="Discard change {number}">Discard</button></form>'
        + _rewrite(f"/treestatus/stack/{number}", f"change {number}", change["reason"], tags)
        + "</article>"
    )


def _rewrite(where: str, what: str, reason: str, tags: list[str]) -> str:
    """Return a form, folded away, that gives another reason."""
    return (
        f"<details><summary>Another reason for {escape(what)}</summary>"
        f'<form method="post" action="{escape(where)}">'
        + line("reason", "Reason", reason)
        + categories(tags[0] if tags else "")
        + '<button name="action" value="update">Rewrite it</button></form></details>'
    )


# --- one tree ---------------------------------------------------------------------------------------------------------


def logs(entries: list[dict]) -> str:
    """Return the log of a tree."""
    if not entries:
        return "<p>Nothing was changed yet.</p>"
    rows = [
        [
            f"{badge(entry['status'])}<br><small>{for_people(entry['when'])}</small>",
            why(entry["reason"], entry["tags"])
            + f"<br><small>By {escape(entry['who'])}</small>"
            + _rewrite(f"/treestatus/log/{entry['id']}", f"entry {entry['id']}", entry["reason"], entry["tags"]),
        ]
        for entry in entries
    ]
    return table("Newest first", ["What", "Why"], rows)


def delete_form(name: str, path: str) -> str:
    """Return the button by which a tree disappears."""
    return (
        f'<form method="post" action="/treestatus/{path}/delete"><fieldset><legend>Let it disappear</legend>'
        "<p>A deleted tree takes its history and its rows on the stack with it.</p>"
        f"<button>Delete {escape(name)}</button></fieldset></form>"
    )


def new_tree_form(typed: dict[str, list[str]]) -> str:
    """Return the form that makes a tree."""
    group = typed.get("category", ["other"])[-1]
    return (
        '<form method="post" action="/treestatus/new_tree/"><fieldset><legend>New tree</legend>'
        + line("tree", "Name", typed.get("tree", [""])[-1])
        + choice("category", "Group", list(schema.TREE_CATEGORIES.items()), group)
        + "<button>Make it</button></fieldset></form>"
    )
