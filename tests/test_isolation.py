"""The suite stays on this machine and in its own folder, whatever the environment of its caller says."""

import os
import socket
import tempfile
from pathlib import Path

import pytest
from django.conf import settings


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "bugzilla.example.com"])
def test_a_test_that_reaches_out_is_told_so(host):
    with pytest.raises(RuntimeError, match="tests stay on this machine"):
        socket.create_connection((host, 443), timeout=0.1)


@pytest.mark.parametrize("name", ["connect", "connect_ex"])
def test_the_lower_doors_are_shut_too(name):
    with socket.socket() as connection, pytest.raises(RuntimeError, match="tests stay on this machine"):
        getattr(connection, name)(("192.0.2.1", 443))


def test_this_machine_is_reachable():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=1).close()


def test_the_state_folder_is_a_temporary_one():
    assert settings.STATE_DIR.parent == Path(tempfile.gettempdir())
    in_a_file = settings.DATABASES["default"]["TEST"].get("NAME")
    assert in_a_file is None or Path(in_a_file).parent == settings.STATE_DIR


def test_only_the_database_and_the_broker_are_chosen_outside():
    assert not [name for name in os.environ if name.startswith(("BUGZILLA_", "EMAIL_"))]
    assert not settings.DEMO
    assert not settings.BUGZILLA_URL
