"""Who signs in, with which role and which Bugzilla logins: the lead's forms."""

from datetime import timedelta

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Lower

from ciduty import clock
from ciduty.people import throttle
from ciduty.people.models import BugzillaLogin, Person
from ciduty.people.roles import Role


class SignInForm(AuthenticationForm):
    """Sign-in name and password, with an answer that tells what to do next."""

    error_messages = AuthenticationForm.error_messages | {
        "invalid_login": (
            "This name and password do not go together, or the account is switched off. "
            "Check both; a lead of CiDuty can help."
        ),
    }

    def clean(self):
        """Sign in, unless this account was tried too often from there: then the password is not even looked at."""
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if self.request is None or not name or not password:
            return super().clean()
        address, moment = throttle.address_of(self.request), clock.now()
        blocked_until = throttle.blocked_until(name, address, moment)
        if blocked_until is not None:
            next_minute = blocked_until + timedelta(minutes=1)
            raise ValidationError(
                f"Too many attempts to sign in. Wait until {next_minute:%H:%M} UTC. "
                "A lead of CiDuty can set a new password meanwhile.",
                code="throttled",
            )
        try:
            cleaned = super().clean()
        except ValidationError:
            throttle.failed(name, address, moment)
            raise
        throttle.succeeded(name, address)
        return cleaned


class PersonForm(forms.ModelForm):
    """One person, their role and their Bugzilla logins."""

    bugzilla_logins = forms.CharField(
        label="Bugzilla logins",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One a line. What these accounts write in Bugzilla counts as this person's word.",
    )
    password = forms.CharField(
        label="New password",
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Leave empty to keep the present one.",
    )

    class Meta:
        model = Person
        fields = ["username", "name", "email", "role", "is_active"]
        labels = {"username": "Sign-in name", "is_active": "May sign in"}
        help_texts = {"username": "Letters, digits and @ . + - _ only.", "is_active": ""}

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = [(role.value, role.label) for role in Role if role != Role.PUBLIC]
        if self.instance.pk:
            logins = self.instance.bugzilla_logins.order_by("login").values_list("login", flat=True)
            self.fields["bugzilla_logins"].initial = "\n".join(logins)
        else:
            self.fields["password"].help_text = "At least ten characters."
            self.fields["password"].required = True

    def clean_username(self):
        """Return the name; one that differs only in its case from another would be mistaken for it."""
        username = self.cleaned_data["username"]
        if Person.objects.filter(username__iexact=username).exclude(pk=self.instance.pk).exists():
            raise ValidationError(f"The sign-in name {username} is taken: choose another.")
        return username

    def clean_bugzilla_logins(self):
        """Return the logins, one each; a login that belongs to somebody else is refused by name."""
        logins = list(
            dict.fromkeys(
                line.strip().lower() for line in self.cleaned_data["bugzilla_logins"].splitlines() if line.strip()
            )
        )
        for login in logins:
            if len(login) > 255 or len(login.split()) > 1:
                raise ValidationError(
                    f"“{login[:60]}” is no Bugzilla login: it has no spaces and at most 255 characters."
                )
        taken = (
            BugzillaLogin.objects.annotate(lower=Lower("login"))
            .filter(lower__in=logins)
            .exclude(person=self.instance.pk)
        )
        for other in taken.select_related("person"):
            raise ValidationError(f"{other.login} already belongs to {other.person}. Take it from there first.")
        return logins

    def clean(self):
        """Refuse to take the role or the sign-in from the last lead: nobody could give it back on these pages."""
        cleaned = super().clean()
        stays_lead = cleaned.get("role") == Role.LEAD and cleaned.get("is_active")
        if self.instance.pk and not stays_lead:
            with transaction.atomic():  # locked, so that two leads cannot take each other's role at the same moment
                leads = Person.objects.select_for_update().filter(role=Role.LEAD, is_active=True)
                leads = set(leads.values_list("pk", flat=True))
            if leads == {self.instance.pk}:
                sentence = f"{self.instance} is the last lead who can sign in: make somebody else lead first."
                raise ValidationError(sentence, code="last_lead")
        return cleaned

    def _post_clean(self):
        """Judge the password by what the person is called now, as Django's own forms do: once the fields are set."""
        super()._post_clean()
        password = self.cleaned_data.get("password")
        if password:
            try:
                validate_password(password, self.instance)
            except ValidationError as problem:
                self.add_error("password", problem)

    @transaction.atomic
    def save(self, commit=True):
        """Save the person and replace their logins."""
        person = super().save(commit=False)
        if self.cleaned_data["password"]:
            person.set_password(self.cleaned_data["password"])
        person.save()
        person.bugzilla_logins.all().delete()
        BugzillaLogin.objects.bulk_create(
            BugzillaLogin(person=person, login=login) for login in self.cleaned_data["bugzilla_logins"]
        )
        return person
