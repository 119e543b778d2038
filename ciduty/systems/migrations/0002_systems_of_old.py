"""The 16 systems whose maintenance needs a coordinated downtime, as the process of 2012 lists them (R35)."""

from django.db import migrations
from django.utils.text import slugify

SYSTEMS = (
    ("build.mozilla.org", "clobberer, build data, tryserver symbols"),
    ("cruncher.build.mozilla.org", "graphs dashboard, dumping build data, dashboards, pulse"),
    ("cvs.mozilla.org", "talos"),
    ("hg.mozilla.org", "firefox source repos, build repos"),
    ("tinderbox.mozilla.org", "central reporting point for all builds"),
    ("ftp.mozilla.org", "release updates on beta channel"),
    ("stage.mozilla.org", "publishing builds, downloading builds for talos/unittest"),
    ("graphs.mozilla.org", "performance tracking"),
    ("buildbot-rw-vip.db.scl3.mozilla.com", "buildbot scheduler db"),
    ("buildbot-ro-vip.db.scl3.mozilla.com", "used by cruncher"),
    ("mail.build.mozilla.org", "build mail to tinderbox"),
    ("aus3-staging.mozilla.org", "update snippets"),
    ("nm-ops03.build.mozilla.org", "releng VMs"),
    ("nagios.mozilla.org", "monitoring"),
    ("relengweb1.dmz.scl3.mozilla.com", "replacement for build.mozilla.org"),
    ("tbpl.mozilla.org", "build status"),
)


def _enter(apps, schema_editor):
    System = apps.get_model("systems", "System")
    for title, serves in SYSTEMS:
        slug = slugify(title.replace(".", "-"))
        System.objects.get_or_create(slug=slug, defaults={"title": title, "serves": serves, "needs_coordination": True})


class Migration(migrations.Migration):
    dependencies = [("systems", "0001_catalogue")]
    operations = [migrations.RunPython(_enter, migrations.RunPython.noop)]
