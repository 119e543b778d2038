"""Lets the database refuse every change of an entry."""

from django.db import migrations

from ciduty.record import guard


class Migration(migrations.Migration):
    dependencies = [
        ("record", "0001_entries"),
    ]

    operations = [
        migrations.RunPython(
            lambda apps, schema_editor: guard.set_on(schema_editor.connection),
            lambda apps, schema_editor: guard.lift_from(schema_editor.connection),
        ),
    ]
