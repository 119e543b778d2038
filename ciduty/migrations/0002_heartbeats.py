"""Adds when the tick and the worker were last seen alive."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ciduty", "0001_clock_and_leases")]

    operations = [
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                ("name", models.CharField(max_length=20, primary_key=True, serialize=False)),
                ("at", models.DateTimeField()),
            ],
            options={"db_table": "ciduty_heartbeat"},
        ),
    ]
