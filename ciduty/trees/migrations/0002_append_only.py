"""Lets the database refuse every change of what became of a tree."""

from django.db import migrations

from ciduty.trees import guard


class Migration(migrations.Migration):
    dependencies = [
        ("trees", "0001_trees_events_closures"),
    ]

    operations = [
        migrations.RunPython(
            lambda apps, schema_editor: guard.set_on(schema_editor.connection),
            lambda apps, schema_editor: guard.lift_from(schema_editor.connection),
        ),
    ]
