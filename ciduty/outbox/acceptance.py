"""Whether everybody who must be told was told: what gates ask of a batch of mails. How long ahead is theirs to say."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from ciduty.outbox.models import Mail
from ciduty.outbox.rules import State


@dataclass(frozen=True)
class Acceptance:
    """How a batch stands. `missing` are the mandatory mails that no server has, bounced ones among them."""

    mandatory: int
    missing: tuple[Mail, ...]
    last_accepted_at: datetime | None

    @property
    def accepted_at(self) -> datetime | None:
        """Return when the last mandatory recipient's server accepted, or None while one has not or nobody was asked."""
        return self.last_accepted_at if self.mandatory and not self.missing else None


def of_batch(batch: str) -> Acceptance:
    """Return how a batch stands now ("notice 17 v3"); a bounce that comes later changes the answer.

    A server's acceptance counts, or a person who says it was done by hand; never a click (safety.md, surprise 11).
    """
    return of_batches([batch])[batch]


def of_batches(batches: Collection[str]) -> dict[str, Acceptance]:
    """Return how several batches stand now, by batch. One query."""
    mails: dict[str, list[Mail]] = {batch: [] for batch in batches}
    for mail in Mail.objects.filter(batch__in=batches, mandatory=True).order_by("pk"):
        mails[mail.batch].append(mail)
    return {batch: _of(its) for batch, its in mails.items()}


def _of(mails: list[Mail]) -> Acceptance:
    missing = tuple(mail for mail in mails if mail.state != State.ACCEPTED)
    accepted = [mail.accepted_at for mail in mails if mail.state == State.ACCEPTED]
    return Acceptance(len(mails), missing, max(accepted, default=None))
