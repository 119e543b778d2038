from django.db import migrations

from loaners import classes


def load(apps, schema_editor):
    classes.load(apps.get_model("loaners", "MachineClass"))


class Migration(migrations.Migration):
    """Data alone. Backwards it leaves the classes: machines may stand in them by now."""

    dependencies = [("loaners", "0003_loans_and_machines")]

    operations = [migrations.RunPython(load, migrations.RunPython.noop)]
