"""What a change looks like to a program. Every word comes from `changelog/public/shown.py`.

The fields are declared for the schema (`/api/schema/`) and filled by hand: fifty changes go through here at once.
"""

from datetime import UTC, datetime

from rest_framework import serializers

from changelog.public.one import Correction, Judgement
from changelog.public.shown import Landed, Shown
from changelog.rules import Kind


class SystemShape(serializers.Serializer):
    """A system of the catalogue."""

    slug = serializers.CharField()
    title = serializers.CharField()
    owner = serializers.CharField(help_text="A team, or empty.")


class SourceShape(serializers.Serializer):
    """A source of changes: by what name, and how it is read."""

    name = serializers.CharField()
    kind = serializers.CharField()
    team = serializers.CharField(allow_blank=True)
    last_heard_at = serializers.DateTimeField(source="heard_at", allow_null=True)


class LinkShape(serializers.Serializer):
    """A link with its title."""

    title = serializers.CharField(allow_blank=True)
    url = serializers.URLField()


class LandingShape(serializers.Serializer):
    """That a change reached a repository."""

    repository = serializers.CharField()
    at = serializers.DateTimeField(help_text="With the offset that it was told with.")
    pusher = serializers.CharField(allow_blank=True)
    push_id = serializers.CharField(allow_blank=True)
    revision = serializers.CharField(allow_blank=True)
    url = serializers.CharField(allow_blank=True)

    def to_representation(self, landing: Landed) -> dict:
        """Return one landing."""
        return {
            "repository": landing.repository,
            "at": landing.at.isoformat(),
            "pusher": landing.pusher,
            "push_id": landing.push_id,
            "revision": landing.revision,
            "url": landing.url,
        }


class ChangeShape(serializers.Serializer):
    """A change, as everybody may see it."""

    id = serializers.IntegerField()
    url = serializers.URLField(help_text="Its page: the permalink.")
    state = serializers.ChoiceField(["published", "withdrawn"])
    at = serializers.DateTimeField(help_text="When it took effect, else landed, else was written; in UTC.")
    at_is = serializers.CharField(help_text="Which moment `at` is.")
    authored_at = serializers.DateTimeField(allow_null=True, help_text="With its own offset, as the next two.")
    landed_at = serializers.DateTimeField(allow_null=True)
    effective_at = serializers.DateTimeField(allow_null=True)
    kind = serializers.ChoiceField(Kind.values)
    system = SystemShape(allow_null=True)
    summary = serializers.CharField(allow_blank=True)
    impact = serializers.CharField(allow_blank=True)
    message = serializers.CharField(allow_blank=True)
    author = serializers.CharField(allow_blank=True)
    reviewers = serializers.ListField(child=serializers.CharField())
    pools = serializers.ListField(child=serializers.CharField())
    platforms = serializers.ListField(child=serializers.CharField())
    repositories = serializers.ListField(child=serializers.CharField())
    bugs = serializers.ListField(child=serializers.IntegerField())
    links = LinkShape(many=True)
    revision = serializers.CharField(allow_blank=True, help_text="Of its changeset or commit.")
    files_count = serializers.IntegerField(allow_null=True)
    landings = LandingShape(many=True)
    takes_back = serializers.ListField(child=serializers.IntegerField(), help_text="Changes that it backs out.")
    taken_back_by = serializers.ListField(child=serializers.IntegerField(), help_text="Changes that back it out.")
    withdrawn_because = serializers.CharField(allow_blank=True)
    published_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField(help_text="When what is shown here changed last.")

    def to_representation(self, told: tuple[Shown, list[Landed], list[int], list[int]]) -> dict:
        """Return one change: what is shown of it, its landings, what it takes back and what takes it back."""
        one, landings, takes_back, taken_back_by = told
        system = {"slug": one.system_slug, "title": one.system, "owner": one.owner} if one.system else None
        return {
            "id": one.pk,
            "url": one.url,
            "state": one.state,
            "at": in_utc(one.at),
            "at_is": one.at_is,
            "authored_at": one.authored and one.authored.isoformat(),
            "landed_at": one.landed and one.landed.isoformat(),
            "effective_at": one.effective and one.effective.isoformat(),
            "kind": one.kind,
            "system": system,
            "summary": one.summary,
            "impact": one.impact,
            "message": one.message,
            "author": one.author,
            "reviewers": list(one.reviewers),
            "pools": list(one.pools),
            "platforms": [name.lower() for name in one.platforms],
            "repositories": list(one.repositories),
            "bugs": list(one.bugs),
            "links": [{"title": title, "url": url} for title, url in one.links],
            "revision": one.revision,
            "files_count": one.files_count,
            "landings": [self.fields["landings"].child.to_representation(landing) for landing in landings],
            "takes_back": takes_back,
            "taken_back_by": taken_back_by,
            "withdrawn_because": one.because,
            "published_at": in_utc(one.published_at),
            "changed_at": in_utc(one.changed_at),
        }


class PageShape(serializers.Serializer):
    """One page of changes, newest first."""

    results = ChangeShape(many=True)
    next = serializers.URLField(allow_null=True, help_text="The next page, or null on the last one.")


class CorrectionShape(serializers.Serializer):
    """One correction: by the name of a field, what stood there before, and after."""

    at = serializers.DateTimeField()
    by = serializers.CharField()
    because = serializers.CharField(allow_blank=True)
    before = serializers.DictField(child=serializers.CharField(allow_blank=True))
    after = serializers.DictField(child=serializers.CharField(allow_blank=True))

    def to_representation(self, correction: Correction) -> dict:
        """Return one correction."""
        return {
            "at": in_utc(correction.at),
            "by": correction.by,
            "because": correction.because,
            "before": {name: before for name, before, _ in correction.fields},
            "after": {name: after for name, _, after in correction.fields},
        }


class VerdictShape(serializers.Serializer):
    """What a person said of it when something broke."""

    judged = serializers.CharField()
    because = serializers.CharField(allow_blank=True)
    by = serializers.CharField()
    at = serializers.DateTimeField()
    question = serializers.CharField(help_text="The address of the question.")

    def to_representation(self, verdict: Judgement) -> dict:
        """Return one verdict."""
        return {name: getattr(verdict, name) for name in ("judged", "because", "by", "question")} | {
            "at": in_utc(verdict.at)
        }


class WholeChangeShape(ChangeShape):
    """A change with what only its own page shows."""

    files = serializers.ListField(child=serializers.CharField())
    parts = serializers.ListField(
        child=serializers.CharField(), help_text="What was published as one with it, in words."
    )
    corrections = CorrectionShape(many=True)
    verdicts = VerdictShape(many=True)


class ProblemOfField(serializers.Serializer):
    """What is wrong with one parameter or field."""

    field = serializers.CharField(allow_blank=True)
    detail = serializers.CharField()


class ProblemShape(serializers.Serializer):
    """Problem details (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    problems = ProblemOfField(many=True, required=False)


def in_utc(at: datetime) -> str:
    """Write a moment in UTC: `2026-03-05T12:05:00Z`."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
