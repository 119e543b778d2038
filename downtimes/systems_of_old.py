"""The systems whose maintenance needs a coordinated downtime, as the process of 2012 lists them (R35): suggestions."""

#: Name -> what it serves. Any other system may be typed as well (R1).
SYSTEMS_OF_OLD = (
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
