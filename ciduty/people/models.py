"""Accounts and the Bugzilla logins that belong to them; who is asked to agree to downtimes, and who is absent."""

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower

from ciduty.people.roles import CIDUTY_ROLES, Role


class Person(AbstractUser):
    """Somebody who signs in."""

    name = models.CharField("shown as", max_length=120, blank=True)
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.DEVELOPER)
    first_name = None
    last_name = None
    REQUIRED_FIELDS = ["email"]

    class Meta:
        verbose_name_plural = "people"

    def __str__(self):
        return self.name or self.username

    def get_full_name(self):
        """Return the name shown on pages."""
        return str(self)

    get_short_name = get_full_name


class BugzillaLogin(models.Model):
    """A Bugzilla account that belongs to a person; a person may have several, an account belongs to one person."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="bugzilla_logins")
    login = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(Lower("login"), name="one_person_per_bugzilla_login")]

    def __str__(self):
        return self.login


class ApproverQuerySet(models.QuerySet):
    """The words that jobs ask in."""

    def pre_approvers(self):
        """Those who are asked before any list hears of a downtime."""
        return self.filter(is_pre_approver=True, is_active=True)


class Approver(models.Model):
    """Somebody who is asked to agree to a downtime, with an account or without one.

    One person is one row, so that one person counts once. `alternate` is asked in their place while they are absent
    (both days included, in the desk's zone).
    """

    name = models.CharField(max_length=120)
    address = models.CharField(max_length=254)
    person = models.OneToOneField(Person, null=True, blank=True, on_delete=models.PROTECT, related_name="approver")
    is_pre_approver = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    alternate = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    absent_from = models.DateField(null=True, blank=True)
    absent_until = models.DateField(null=True, blank=True)

    objects = ApproverQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.UniqueConstraint(Lower("address"), name="one_approver_per_address")]

    def __str__(self):
        return self.name

    def is_absent(self, day) -> bool:
        """Answer whether they are away on a day of the desk."""
        return bool(
            self.absent_from and self.absent_from <= day and (self.absent_until is None or day <= self.absent_until)
        )


class FailedSignIn(models.Model):
    """One failed sign-in, for `throttle.py` to count; gone after a quarter of an hour. Keyed hashes, no names."""

    pair = models.CharField(max_length=64, db_index=True)  # of account name and address
    address = models.CharField(max_length=64, db_index=True)
    at = models.DateTimeField(db_index=True)


def ciduty_logins() -> frozenset[str]:
    """Return the Bugzilla logins, in lower case, whose word counts as CiDuty's (design.md, decision 9).

    They are those mapped to an active person of CiDuty and those listed in CIDUTY_BUGZILLA_STAFF.
    """
    mapped = BugzillaLogin.objects.filter(person__role__in=CIDUTY_ROLES, person__is_active=True)
    return settings.CIDUTY_BUGZILLA_STAFF | {login.lower() for login in mapped.values_list("login", flat=True)}


def logins_of(person) -> frozenset[str]:
    """Return one person's Bugzilla logins in lower case."""
    return frozenset(login.lower() for login in person.bugzilla_logins.values_list("login", flat=True))


class TokenScope(models.TextChoices):
    """What a token may do for its owner, and nothing else."""

    PROPOSE = "propose", "Propose changes"
    PUBLISH = "publish", "Publish changes"
    READ = "read", "Read what its owner may read"


class ApiToken(models.Model):
    """A key of a program that acts for a person. Only its hash is kept; it is shown once, when it is made.

    It dies with its owner's account, with its date, or when somebody revokes it (safety.md C5).
    """

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=120)  # of the program
    starts_with = models.CharField(max_length=12)  # enough to tell which it is: "cdy_Ab3x"
    sha256 = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    made_at = models.DateTimeField()
    made_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-made_at", "-pk"]

    def __str__(self):
        return f"token {self.pk}"

    @property
    def about(self) -> str:
        """How the record names it."""
        return f"token {self.pk}"
