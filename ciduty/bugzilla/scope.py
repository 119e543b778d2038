"""Which bugs are mirrored, as searches: the configured components, the tree-closure flag in any product. Asks nobody itself."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from ciduty.bugzilla.client import Client
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
        return cls(frozenset(settings.CIDUTY_COMPONENTS + settings.CIDUTY_LOANER_COMPONENTS), settings.CIDUTY_TREECLOSURE_FLAG)

    @property
    def products(self) -> list[str]:
        """The products of the components, sorted."""
        return sorted({product for product, _ in self.components})

    def fingerprint(self) -> str:
        """Return what tells two scopes apart: another scope is read from its beginning."""
        return hashlib.sha256(json.dumps([sorted(self.components), self.flag]).encode()).hexdigest()

    def ids(self, client: Client, since: datetime | None) -> Iterator[tuple[int, str]]:
        """Yield (id, last change as Bugzilla writes it) of every bug in scope that changed since then; all when None.

        Product and component are asked for together, so the list holds a few pairs too many; they are left out here.
        """
        changed = {} if since is None else {"last_change_time": since.strftime("%Y-%m-%dT%H:%M:%SZ")}
        by_component = {
            "product": self.products,
            "component": sorted({component for _, component in self.components}),
        }
        for page in client.search(by_component | changed, "bugs of the components"):
            for row in page:
                if (row.get("product"), row.get("component")) in self.components:
                    yield row["id"], str(row.get("last_change_time"))
        by_flag = {"f1": "flagtypes.name", "o1": "substring", "v1": self.flag}
        for page in client.search(by_flag | changed, f"bugs with the flag {self.flag}"):
            for row in page:
                yield row["id"], str(row.get("last_change_time"))

    def includes(self, bug: Bug) -> bool:
        """Answer whether a bug is in scope, now that it was read: a search that ignored a parameter finds others too."""
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
