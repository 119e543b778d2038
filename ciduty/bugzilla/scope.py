"""Which bugs are mirrored, as searches: the configured components, the tree-closure flag in any product.

Asks nobody itself.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from ciduty.bugzilla.client import Client
from ciduty.bugzilla.listing import Listing
from ciduty.bugzilla.values import Bug

#: bugzilla.mozilla.org answers searches from a replica and asks for an overlap of at least five minutes.
OVERLAP = timedelta(minutes=10)


@dataclass(frozen=True)
class Scope:
    """The components and the flag whose bugs are mirrored, open or closed."""

    components: frozenset[tuple[str, str]]
    flag: str

    @classmethod
    def configured(cls) -> "Scope":
        """Return the scope of the settings."""
        return cls(
            frozenset(settings.CIDUTY_COMPONENTS + settings.CIDUTY_LOANER_COMPONENTS), settings.CIDUTY_TREECLOSURE_FLAG
        )

    @property
    def products(self) -> list[str]:
        """The products of the components, sorted."""
        return sorted({product for product, _ in self.components})

    def fingerprint(self) -> str:
        """Return what tells two scopes apart: another scope is read from its beginning."""
        return hashlib.sha256(json.dumps([sorted(self.components), self.flag]).encode()).hexdigest()

    def ids(self, client: Client, since: datetime | None) -> tuple[set[int], set[int]]:
        """Return the ids in scope that changed since then (all when None), and those among which a bad one is.

        Product and component are asked for together, so the list holds a few pairs too many; they are left out here.
        """
        changed = {} if since is None else {"last_change_time": since.strftime("%Y-%m-%dT%H:%M:%SZ")}
        by_component = {"product": self.products, "component": sorted({component for _, component in self.components})}
        by_flag = {"f1": "flagtypes.name", "o1": "substring", "v1": self.flag}
        components = Listing(client, by_component | changed, "bugs of the components")
        flagged = Listing(client, by_flag | changed, f"bugs with the flag {self.flag}")
        ids = {row["id"] for row in components.rows() if (row.get("product"), row.get("component")) in self.components}
        ids |= {row["id"] for row in flagged.rows()}
        return ids, components.suspects() | flagged.suspects()

    def includes(self, bug: Bug) -> bool:
        """Answer whether a bug that was read is in scope: a search that ignored a parameter finds others too."""
        return (bug.product, bug.component) in self.components or any(flag.name == self.flag for flag in bug.flags)

    def warnings(self, flags_by_component: dict[tuple[str, str], set[str]]) -> list[str]:
        """Return a sentence for everything that is configured but not there: Bugzilla ignores a typo without a word."""
        found = [
            f"Bugzilla has no component “{component}” in “{product}” that this key can see."
            for product, component in sorted(self.components - set(flags_by_component))
        ]
        if not any(self.flag in flags for flags in flags_by_component.values()):
            found.append(f"None of the configured components has the flag “{self.flag}”.")
        return found
