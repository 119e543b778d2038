"""Lets the database refuse every change of what people agreed to."""

from django.db import migrations

from downtimes import frozen


class Migration(migrations.Migration):
    dependencies = [
        ("downtimes", "0001_windows_notices_and_agreement"),
    ]

    operations = [
        migrations.RunPython(
            lambda apps, schema_editor: frozen.set_on(schema_editor.connection),
            lambda apps, schema_editor: frozen.lift_from(schema_editor.connection),
        ),
    ]
