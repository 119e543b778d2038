"""What a lead types about a source."""

from hashlib import sha256

from django import forms

from changelog.models import Source
from changelog.models.sources import POLLED, SourceKind
from changelog.rules import LONGEST_NAME, Kind
from changelog.sources import github, reach
from changelog.sources.filters import Filters
from changelog.sources.keeping import FACTS
from ciduty.systems.models import System
from ciduty.typed import Line, Words

#: Names of the sources that ciduty makes itself (`changelog/workflow.py`).
RESERVED = {"ciduty", "people"}
MOST_PATTERNS = 50
LONGEST_PATTERN = 200
LONGEST_RHYTHM = 24 * 366  # hours
#: Fields that only a source that we read has.
OF_POLLED = ("address", "branch", "folders", "files", "keyword", "drop_automatic", "tags_only")
BRANCH = r"\A[A-Za-z0-9_][A-Za-z0-9._/+-]*\Z"


class SourceForm(forms.Form):
    """One source. `seen` names the facts that the page showed: what somebody else wrote is not run over."""

    name = Line(
        max_length=LONGEST_NAME,
        help_text="As people say it: “autoland”, “ci-configuration”. Changes are found by it.",
        error_messages={"required": "Write a name: changes are found by it."},
    )
    kind = forms.ChoiceField(
        label="How it is read", choices=[(kind.value, kind.label) for kind in SourceKind if kind in POLLED]
    )
    address = Line(
        max_length=360,
        help_text="As in https://github.com/owner/repository or https://hg.example.com/integration/autoland.",
        error_messages={"required": "Write the repository’s address."},
    )
    branch = forms.RegexField(
        BRANCH,
        required=False,
        max_length=120,
        help_text="Empty: the default one. Mercurial and releases have none.",
        error_messages={"invalid": "This is no branch: letters, digits, “.”, “_”, “/”, “+” and “-”, no blank."},
    )
    team = Line(required=False, max_length=120, help_text="Whose repository it is.")
    default_kind = forms.ChoiceField(label="Kind of its changes", choices=Kind.choices)
    default_system = forms.ModelChoiceField(System.objects.in_use(), required=False, label="System", empty_label="None")
    folders = Words(
        required=False,
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Only what touches these folders is proposed, one on each line: taskcluster/",
    )
    files = Words(
        required=False,
        max_length=4_000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Or these files, one on each line; * and ? stand for anything: worker-pools*.yml",
    )
    keyword = Line(required=False, max_length=80, label="Keyword", help_text="Only what has it in its message: deploy:")
    drop_automatic = forms.BooleanField(required=False, label="Leave out what machines write: pins, bumps, vendoring")
    tags_only = forms.BooleanField(required=False, label="Tags only (of a Git repository)")
    publishes = forms.BooleanField(required=False, label="Publish its changes by rule, without a person")
    rhythm_hours = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=LONGEST_RHYTHM,
        label="Something is expected every ... hours",
        help_text="Quiet for longer: it is flagged. Empty: it may be silent.",
        error_messages={"invalid": "Write hours as a whole number, or leave it empty."},
    )
    is_active = forms.BooleanField(required=False, initial=True, label="In use")
    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args, source: Source, **kwargs):
        """Show what stands in the source's row; of one that tells by itself only what applies to it."""
        self.source = source
        if source.pk:
            facts = {name: getattr(source, name) for name in FACTS} | {"seen": seen(source)}
            filters = Filters.of(source.filters)
            lists = {"folders": "\n".join(filters.folders), "files": "\n".join(filters.files)}
            kwargs["initial"] = facts | filters.kept() | lists
        super().__init__(*args, label_suffix="", **kwargs)
        if source.pk and source.kind not in POLLED:
            for name in ("kind", *OF_POLLED):
                del self.fields[name]
            if source.name in RESERVED:
                del self.fields["name"]

    def clean_name(self):
        """Return the name; one that another source has is refused."""
        name = self.cleaned_data["name"]
        other = Source.objects.filter(name__iexact=name).exclude(pk=self.source.pk).first()
        if other is not None:
            raise forms.ValidationError(f"There is a source “{other.name}” already: change that one, or choose a name.")
        if name.casefold() in RESERVED:
            raise forms.ValidationError(f"ciduty itself uses the name “{name}”: choose another one.")
        return name

    def clean_folders(self):
        """Return the folders, a line each."""
        return _patterns(self.cleaned_data["folders"])

    def clean_files(self):
        """Return the files, a line each."""
        return _patterns(self.cleaned_data["files"])

    def clean_branch(self):
        """Return the branch; `..` names no branch of git."""
        branch = self.cleaned_data["branch"]
        if ".." in branch or branch.endswith(("/", ".lock")) or "//" in branch:
            raise forms.ValidationError(f"“{branch}” is no name of a branch.")
        return branch

    def clean(self):
        """Look at what only makes sense together, and refuse to run over what somebody else saved meanwhile."""
        cleaned = super().clean()
        if "address" in cleaned and "kind" in cleaned:
            self._look_at_place(cleaned)
        if cleaned.get("tags_only") and cleaned.get("kind") != SourceKind.GIT:
            self.add_error("tags_only", "Only a Git repository is read for its tags: of GitHub, choose its releases.")
        if cleaned.get("branch") and cleaned.get("kind") in (SourceKind.MERCURIAL, SourceKind.GITHUB_RELEASES):
            self.add_error("branch", "It is not read by branch: leave this empty.")
        if self.source.pk and cleaned.get("seen") != seen(self.source):
            self.data = self.data.copy()
            self.data["seen"] = seen(self.source)  # so that saving again is possible, now that it was said
            raise forms.ValidationError(
                "Somebody changed this source after you opened the page: look at it in another tab, "
                "then save again to put your words in place of theirs."
            )
        return cleaned

    def _look_at_place(self, cleaned: dict) -> None:
        try:
            cleaned["address"] = reach.address(cleaned["address"], cleaned["kind"])
            if cleaned["kind"] in (SourceKind.GITHUB_COMMITS, SourceKind.GITHUB_RELEASES):
                github.repository(cleaned["address"])
        except reach.Unfit as problem:
            self.add_error("address", str(problem))

    @property
    def facts(self) -> dict:
        """Return what was typed, as the row keeps it."""
        cleaned = self.cleaned_data
        facts = {name: cleaned[name] for name in FACTS if name in cleaned}
        if "folders" in self.fields:
            names = ("folders", "files", "keyword", "drop_automatic", "tags_only")
            facts["filters"] = Filters(**{name: cleaned[name] for name in names}).kept()
        return facts


def _patterns(text: str) -> tuple[str, ...]:
    lines = tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if len(lines) > MOST_PATTERNS:
        raise forms.ValidationError(f"These are {len(lines)} lines, and {MOST_PATTERNS} fit: name a folder above them.")
    for line in lines:
        if len(line) > LONGEST_PATTERN:
            raise forms.ValidationError(f"A line is {len(line)} characters long, and {LONGEST_PATTERN} fit.")
        if line.startswith("/") or ".." in line.split("/"):
            raise forms.ValidationError(f"Write “{line}” from the repository’s root on, without “/” before it.")
    return lines


def seen(source: Source) -> str:
    """Return what two looks at a source have in common only if its facts are the same."""
    facts = [str(getattr(source, "default_system_id" if name == "default_system" else name)) for name in FACTS]
    return sha256("\0".join(facts).encode()).hexdigest()[:16]
