"""What a program tells with `POST /api/changes/`: who it is, what it may, and the change as a proposal.

A change is known by its source and that source's own id: told again it is an edit, never a second row.
"""

import re
from datetime import UTC, datetime
from http import HTTPStatus

from django.conf import settings
from django.db import transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import Throttled

from changelog import rules, store
from changelog.api import throttle
from changelog.api.problems import Refused
from changelog.models import Change, Source
from changelog.models.sources import SourceKind
from changelog.proposals import LandedAt, Proposal
from changelog.rules import Kind, Platform, State
from ciduty import clock
from ciduty.people import tokens
from ciduty.people.models import ApiToken, TokenScope
from ciduty.people.throttle import address_of
from ciduty.record import write
from ciduty.systems.models import System
from ciduty.typed import MOST_BUG

#: Without a colon: an identity is `api:<source>:<external id>`, and no two pairs may read the same.
SOURCE = r"[A-Za-z0-9][A-Za-z0-9 ._/-]{0,59}"
_HEADER = re.compile(r"(?:Bearer|Token)\s+(\S+)", re.IGNORECASE)


@extend_schema_field(OpenApiTypes.DATETIME)
class Moment(serializers.Field):
    """A moment with its offset, which is kept: `2026-03-05T14:00:00+02:00`."""

    def to_internal_value(self, told) -> datetime:
        """Return the moment with the offset that it was told with."""
        try:
            at = datetime.fromisoformat(told)
        except (TypeError, ValueError):
            raise serializers.ValidationError("Write it like 2026-03-05T14:00:00+02:00.") from None
        if at.tzinfo is None:
            raise serializers.ValidationError("Say its offset from UTC: 2026-03-05T14:00:00+02:00, or Z for UTC.")
        try:
            in_utc = at.astimezone(UTC)
        except OverflowError:
            raise serializers.ValidationError("No change of CI is that old.") from None
        if in_utc.year < rules.EARLIEST_YEAR or in_utc > clock.now() + rules.FURTHEST_AHEAD:
            raise serializers.ValidationError(
                f"It must lie between {rules.EARLIEST_YEAR} and {rules.FURTHEST_AHEAD.days} days from now."
            )
        return at

    def to_representation(self, at: datetime) -> str:
        """Return it as it was told."""
        return at.isoformat()


class Link(serializers.Serializer):
    """A link with its title."""

    title = serializers.CharField(max_length=120, allow_blank=True, default="")
    url = serializers.RegexField(r"^https?://[^\s<>\"']+$", max_length=360)


def _names(most: int) -> serializers.ListField:
    return serializers.ListField(
        child=serializers.CharField(max_length=rules.LONGEST_NAME), max_length=most, default=list
    )


class Told(serializers.Serializer):
    """A change as a program tells it. Fields that are not here are refused."""

    source = serializers.RegexField(f"^{SOURCE}$", help_text="What tells it: made on first use.")
    external_id = serializers.RegexField(r"^\S(.{0,118}\S)?$", help_text="The source's own id of the change.")
    summary = serializers.CharField(max_length=rules.LONGEST_SUMMARY)
    message = serializers.CharField(max_length=rules.LONGEST_MESSAGE, allow_blank=True, default="")
    impact = serializers.CharField(max_length=rules.LONGEST_IMPACT, allow_blank=True, default="")
    kind = serializers.ChoiceField(Kind.choices, required=False)
    system = serializers.SlugField(max_length=80, required=False, help_text="A slug of the catalogue.")
    pools = _names(rules.MOST_POOLS)
    platforms = serializers.ListField(child=serializers.ChoiceField(Platform.choices), max_length=4, default=list)
    bugs = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=MOST_BUG), max_length=rules.MOST_BUGS, default=list
    )
    author = serializers.CharField(max_length=rules.LONGEST_NAME, allow_blank=True, default="")
    links = serializers.ListField(child=Link(), max_length=rules.MOST_LINKS, default=list)
    authored_at = Moment(required=False)
    landed_at = Moment(required=False)
    effective_at = Moment(required=False)

    def validate_system(self, slug: str) -> str:
        """Refuse a system that the catalogue does not have."""
        if not System.objects.filter(slug=slug).exists():
            raise serializers.ValidationError(f"The catalogue has no system “{slug}”.")
        return slug

    def validate(self, told: dict) -> dict:
        """Refuse fields that are not known: a slip of the pen must not be lost in silence."""
        unknown = sorted(set(self.initial_data) - set(self.fields))
        if unknown:
            raise serializers.ValidationError({name[:60]: "There is no such field." for name in unknown})
        return told


class Taken(serializers.Serializer):
    """What became of it."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(State.choices)
    url = serializers.URLField(help_text="Its page, once it is public.")
    created = serializers.BooleanField(help_text="False for a change that was told before.")


def take(request) -> dict:
    """Take what a program tells, and say what became of it. Raises Refused, Throttled and ValidationError."""
    token = _token_of(request)
    throttle.count("token", token.pk, throttle.MOST_PER_TOKEN)
    publishes = TokenScope.PUBLISH in token.scopes
    if not publishes and TokenScope.PROPOSE not in token.scopes:
        raise Refused(HTTPStatus.FORBIDDEN, "This key may neither propose nor publish changes: ask the lead for one.")
    if not isinstance(request.data, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, "The body is not a JSON object.")
    told = Told(data=request.data)
    told.is_valid(raise_exception=True)
    return _store(told.validated_data, token, publishes)


def _token_of(request) -> ApiToken:
    address = address_of(request)
    throttle.count("address", address, throttle.MOST_PER_ADDRESS)
    if wait := throttle.is_full("wrong key", address, throttle.MOST_WRONG_KEYS):
        raise Throttled(wait=wait)
    header = _HEADER.fullmatch(request.META.get("HTTP_AUTHORIZATION", "").strip())
    token = tokens.holder_of(header[1], clock.now()) if header else None
    if token is None:
        throttle.count("wrong key", address, throttle.MOST_WRONG_KEYS)
        raise Refused(
            HTTPStatus.UNAUTHORIZED,
            "Show a key that is still good: Authorization: Bearer cdy_... The lead makes keys at /people/tokens/.",
        )
    return token


def _store(told: dict, token: ApiToken, publishes: bool) -> dict:
    at = clock.now()
    proposal = _proposal(told)
    with transaction.atomic():
        source = _source(told["source"], token)
        known = Change.objects.select_for_update().filter(identity=proposal.identity).first()
        if known and not publishes and known.state != State.PROPOSED:
            _refuse_an_edit(known, proposal, source)
        else:
            try:
                store.store([proposal], source=source, at=at, publishes=publishes, by=token.person)
            except store.Unusable as problem:
                raise Refused(HTTPStatus.BAD_REQUEST, str(problem), {"summary": "It says nothing."}) from None
        change = Change.objects.get(identity=proposal.identity)
        if known is None:
            verb = "publish" if publishes else "propose"
            sentence = f"{'Published' if publishes else 'Proposed'} {change} with {token}."
            write.entry(change.about, verb, sentence, by=token.person, at=at)
    url = f"{settings.SITE_URL}/changes/{change.pk}/"
    return {"id": change.pk, "state": change.state, "url": url, "created": known is None}


def _source(name: str, token: ApiToken) -> Source:
    made = {"kind": SourceKind.API, "made_by": token.person}
    source, _ = Source.objects.get_or_create(name=name, defaults=made)
    if source.kind != SourceKind.API:
        raise Refused(
            HTTPStatus.CONFLICT,
            f"“{name}” is the name of a source that is read in another way: choose another name.",
            {"source": "It is taken."},
        )
    if not source.is_active:
        raise Refused(HTTPStatus.FORBIDDEN, f"The source “{name}” was switched off: ask the lead.")
    return source


def _refuse_an_edit(known: Change, proposal: Proposal, source: Source) -> None:
    """Let the same thing told twice be one; refuse other words from a key that may only propose: a person decided."""
    systems = dict(System.objects.filter(slug=proposal.system).values_list("slug", "pk"))
    facts = store.facts_of(proposal, source, systems)
    differs = [
        name
        for name in store.TOLD
        if name not in known.by_hand and facts[name] not in ("", None, []) and facts[name] != getattr(known, name)
    ]
    if differs:
        raise Refused(
            HTTPStatus.CONFLICT,
            f"Somebody decided about it: it is {known.get_state_display().lower()}, and a key that may only propose "
            "does not change it any more. Correct it in ciduty.",
        )


def _proposal(told: dict) -> Proposal:
    landed_at = told.get("landed_at")
    return Proposal(
        identity=f"api:{told['source']}:{told['external_id']}",
        summary=told["summary"],
        message=told["message"],
        impact=told["impact"],
        author=told["author"],
        kind=told.get("kind", ""),
        system=told.get("system", ""),
        pools=tuple(told["pools"]),
        platforms=tuple(told["platforms"]),
        bugs=tuple(told["bugs"]),
        links=tuple((link["title"] or link["url"], link["url"]) for link in told["links"]),
        authored_at=told.get("authored_at"),
        effective_at=told.get("effective_at"),
        landings=(LandedAt(told["source"], landed_at),) if landed_at else (),
    )
