"""Which rows stand on which tab of the outbox, and in what order: mails, bug updates and tree changes as one list.

What of a row is shown: `rows.py`.
"""

from dataclasses import dataclass

from django.core.paginator import Paginator
from django.db.models import Count
from django.db.models.functions import Coalesce

from ciduty.outbox import rules
from ciduty.outbox.models import CHANNELS, Delivery, Incoming, Mail
from ciduty.outbox.rules import State
from ciduty.record.models import Entry

PAGE = 50
NOBODY_TOLD = "nobody told"


@dataclass(frozen=True)
class Tab:
    """A tab of rows in some states; `order` as Django writes it. `empty`: what is said when there are none."""

    label: str
    states: frozenset
    order: tuple[str, ...]
    empty: str


TABS = {
    "needs": Tab("Needs you", rules.PARKED, ("priority", "-created_at"), "Nothing needs you."),
    "way": Tab("On its way", rules.UNDER_WAY, ("priority", "next_try_at"), "Nothing is on its way."),
    "left": Tab("Left", frozenset({State.ACCEPTED}), ("-ended_at",), "Nothing has left yet."),
    "cancelled": Tab("Cancelled", frozenset({State.CANCELLED}), ("-ended_at",), "Nothing was cancelled."),
}
#: What came to us, and what was never written: other tables, other columns.
OTHER_TABS = {"incoming": "Came in", "nobody": "Nobody told"}


@dataclass(frozen=True)
class Page:
    """One page of a tab; `rows` are whatever its table holds."""

    rows: list
    number: int
    pages: int

    @property
    def earlier(self) -> int | None:
        """Return the number of the page before, None on the first."""
        return self.number - 1 if self.number > 1 else None

    @property
    def later(self) -> int | None:
        """Return the number of the page after, None on the last."""
        return self.number + 1 if self.number < self.pages else None


def counts() -> dict[str, int]:
    """Return how much stands on each tab. Five queries."""
    by_state: dict[str, int] = {}
    for model in CHANNELS:
        for state, count in model.objects.order_by().values_list("state").annotate(Count("pk")):
            by_state[state] = by_state.get(state, 0) + count
    figures = {name: sum(by_state.get(state, 0) for state in tab.states) for name, tab in TABS.items()}
    return figures | {"incoming": Incoming.objects.count(), "nobody": _nobody_told().count()}


def page(name: str, number: str | None, count: int) -> Page:
    """Return one page of a tab of rows; `number` as it was asked for, `count` the rows on the tab."""
    asked = Paginator(range(count), PAGE).get_page(number)
    keys = _keys(TABS[name], asked.number * PAGE)[(asked.number - 1) * PAGE :]
    found: dict[tuple[str, int], Delivery] = {}
    for model in CHANNELS:
        rows = model.objects.select_related("by").defer(*(["message"] if model is Mail else []))
        wanted = rows.in_bulk([pk for _, kind, pk in keys if kind == model.kind])
        found |= {(model.kind, pk): row for pk, row in wanted.items()}
    # a row that left between the two questions is not there any more
    rows = [found[kind, pk] for _, kind, pk in keys if (kind, pk) in found]
    return Page(rows, asked.number, asked.paginator.num_pages)


def _keys(tab: Tab, most: int) -> list[tuple[tuple, str, int]]:
    """Return what orders the first rows of a tab, their kind and number, the first first."""
    keys = [(values[:-1], model.kind, values[-1]) for model in CHANNELS for values in _first(model, tab, most)]
    keys.sort(key=lambda key: (key[1], -key[2]))
    for position, field in reversed(list(enumerate(tab.order))):
        keys.sort(key=lambda key, position=position: key[0][position], reverse=field.startswith("-"))
    return keys[:most]


def _first(model, tab: Tab, most: int):
    rows = model.objects.filter(state__in=tab.states)
    rows = rows.annotate(ended_at=Coalesce("accepted_at", "last_tried_at", "created_at"))
    fields = [field.lstrip("-") for field in tab.order]
    return rows.order_by(*tab.order, "-pk").values_list(*fields, "pk")[:most]


def page_of_others(name: str, number: str | None) -> Page:
    """Return one page of what came in, or of what nobody was told, the newest first."""
    rows = _nobody_told() if name == "nobody" else Incoming.objects.select_related("mail").defer("mail__message")
    asked = Paginator(rows, PAGE).get_page(number)
    return Page(list(asked), asked.number, asked.paginator.num_pages)


def _nobody_told():
    return Entry.objects.filter(verb=NOBODY_TOLD).select_related("by").order_by("-at", "-pk")
