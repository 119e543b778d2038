"""The registry of what needs CiDuty: each job's `needs.py` is found by name and says what waits; `door.py` likewise.

No job is imported here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from importlib.util import find_spec

from django.apps import apps


@dataclass(frozen=True)
class Section:
    """One list on the desk: a template that draws the rows, and how many there are in all (None: not for counting)."""

    title: str
    template: str
    rows: list
    total: int | None
    more_at: str


def sections(person, at: datetime) -> Iterable[Section]:
    """Return every job's list of what waits for CiDuty, as this person may see it, in the order of INSTALLED_APPS.

    A job that has nothing to say and needs no room for it returns None and is left out; one with several lists returns
    a list of them.
    """
    found = (module.section(person, at) for module in _modules("needs"))
    return [
        one for section in found for one in (section if isinstance(section, list) else [section]) if one is not None
    ]


def doors(at: datetime) -> Iterable[Section]:
    """Return what jobs show of themselves to everybody at the front door (each one's `door.py`)."""
    found = (module.section(at) for module in _modules("door"))
    return [section for section in found if section is not None]


def counts(at: datetime) -> list[tuple[str, int]]:
    """Return every job's figures for the front door: counts, no names."""
    return [count for module in _modules("needs") for count in module.counts(at)]


def _modules(name: str):
    for config in apps.get_app_configs():
        path = f"{config.name}.{name}"
        if config.name != __package__ and find_spec(path):
            yield import_module(path)
