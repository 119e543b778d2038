"""Gives the requests that were closed before there were states the state that says so."""

from django.db import migrations


def forwards(apps, schema_editor):
    requests = apps.get_model("loaners", "LoanerRequest").objects.exclude(closed_at=None)
    requests.filter(bug__resolution="FIXED").update(state="returned")
    requests.exclude(bug__resolution="FIXED").update(state="cancelled")


class Migration(migrations.Migration):
    dependencies = [
        ("loaners", "0004_machine_classes"),
        ("bugzilla", "0001_mirror"),
    ]

    operations = [
        migrations.RunPython(forwards, migrations.RunPython.noop),
    ]
