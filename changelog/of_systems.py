"""How many public changes each system of the catalogue had lately, and where they are read: for `ciduty/systems`.

Made of the day counts, so a day is one of UTC, and nothing counts that is not public.
"""

from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta

from django.db.models import Sum
from django.urls import reverse

from changelog import index
from changelog.find import Query
from changelog.models import DayCount
from changelog.public import filters
from ciduty.systems import keeping, recent
from ciduty.systems.models import System


def register() -> None:
    """Tell the catalogue, and ask the public pages anew when a system is called otherwise."""
    recent.register(recent.Teller(count, address_of))
    if index.raise_version not in keeping.followers:
        keeping.followers.append(index.raise_version)


def count(systems: Collection[int], at: datetime, lately: timedelta) -> dict[int, int]:
    """Return the public changes of these systems on the days up to a moment; today is one of them. One query."""
    terms = {index.term("system", system): system for system in systems}
    counted = DayCount.objects.filter(facet__in=terms, day__gte=_first_day(at, lately), day__lte=index.day_of(at))
    return {terms[facet]: total for facet, total in counted.values_list("facet").annotate(Sum("count")) if total > 0}


def address_of(system: System, at: datetime | None = None, lately: timedelta | None = None) -> str:
    """Return the page of a system's changes: of the same days that `count` counts, or of all."""
    since = datetime.combine(_first_day(at, lately), time(), UTC) if at and lately else None
    asked = filters.canonical(Query(system=system.pk, system_slug=system.slug, since=since))
    return f"{reverse('changes')}?{asked}"


def _first_day(at: datetime, lately: timedelta):
    return index.day_of(at) - lately + timedelta(days=1)
