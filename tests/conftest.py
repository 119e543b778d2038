"""What every test stands on: settings of their own, before Django reads any."""

import os
import tempfile

os.environ["CIDUTY_STATE_DIR"] = tempfile.mkdtemp(prefix="ciduty-tests-")
os.environ["CIDUTY_ENV_FILE"] = ""

pytest_plugins = ("tests.cast",)


def pytest_configure():
    """Let tests move the clock."""
    from django.conf import settings

    settings.TESTING = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
