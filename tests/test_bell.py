"""The bell never holds anybody up: not with a broker that refuses, not with one that is frozen, not after a fork."""

import json
import os
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from celery import Celery
from django.db import transaction

from ciduty import bell

TASK = "ciduty.outbox.tasks.deliver_mail"
#: Seconds that a broker is waited for here; a real installation waits three.
PATIENCE = 0.5


@pytest.fixture(autouse=True)
def own_ringer(monkeypatch):
    """Every test begins without a thread that rings."""
    monkeypatch.setattr(bell, "_ringer", None)


@pytest.fixture
def broker(monkeypatch):
    """Set the broker that the bell rings at."""

    def set_it(address, **options):
        app = Celery("tests", broker=address, set_as_current=False)
        app.conf.broker_transport_options = options
        app.conf.broker_connection_timeout = PATIENCE
        monkeypatch.setattr(bell, "current_app", app)

    return set_it


@pytest.fixture
def post_box(broker, tmp_path):
    """A broker that takes every message, as the one without Redis does; returns what it holds, as (task, queue)."""
    folder = tmp_path / "queue"
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    folders = {"data_folder_in": str(folder), "data_folder_out": str(folder)}
    broker("filesystem://", control_folder=str(tmp_path / "control"), **folders)

    def held():
        messages = [json.loads(path.read_bytes()) for path in folder.iterdir()]
        return sorted((one["headers"]["task"], one["properties"]["delivery_info"]["routing_key"]) for one in messages)

    return held


class Silent:
    """A broker that accepts every connection and never says a word, and counts them."""

    def __init__(self):
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.accepted = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                self.accepted.append(self.listening.accept()[0])
            except OSError:  # closed: the test is over
                return

    def close(self):
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for connection in self.accepted:
            connection.close()


@pytest.fixture
def frozen(broker):
    """The bell rings at a Redis that is frozen."""
    silent = Silent()
    port = silent.listening.getsockname()[1]
    broker(f"redis://127.0.0.1:{port}/0", socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    yield silent
    bell.wait_until_rung(10)
    silent.close()


@contextmanager
def within(seconds):
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def refuse(*_, **__):
    raise ConnectionRefusedError


def missed(caplog):
    return [record for record in caplog.records if "The bell did not ring" in record.getMessage()]


def test_a_ring_reaches_the_queue_that_it_is_for(post_box):
    bell.ring(TASK, "mail")
    bell.ring("ciduty.outbox.tasks.update_bugs", "sync")
    assert bell.wait_until_rung(10)
    assert post_box() == [(TASK, "mail"), ("ciduty.outbox.tasks.update_bugs", "sync")]


def test_who_never_rang_need_not_wait():
    assert bell.wait_until_rung(0)


def test_with_a_broker_that_refuses_a_ring_returns_at_once_and_is_logged(broker, caplog):
    with socket.create_server(("127.0.0.1", 0)) as closing:
        port = closing.getsockname()[1]
    broker(f"redis://127.0.0.1:{port}/0", socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
    with within(0.2):
        bell.ring(TASK, "mail")
    assert bell.wait_until_rung(10)
    assert len(missed(caplog)) == 1
    assert TASK in missed(caplog)[0].getMessage()


def test_with_a_broker_that_never_answers_a_ring_returns_at_once_and_is_given_up(frozen, caplog):
    with within(0.2):
        bell.ring(TASK, "mail")
    assert not bell.wait_until_rung(PATIENCE / 2)  # it is being waited for, elsewhere
    assert bell.wait_until_rung(10)
    assert len(frozen.accepted) >= 1
    assert len(missed(caplog)) == 1


def test_rings_that_are_alike_melt_into_one_while_the_broker_is_waited_for(frozen, caplog):
    bell.ring(TASK, "mail")
    while not frozen.accepted:
        time.sleep(0.01)
    with within(0.2):
        for _ in range(200):
            bell.ring(TASK, "mail")
            bell.ring("ciduty.outbox.tasks.update_bugs", "sync")
    assert bell.wait_until_rung(20)
    assert len(missed(caplog)) == 3  # the first, and one of each that came meanwhile


def test_a_bell_that_failed_rings_again(post_box, monkeypatch, caplog):
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(bell.current_app, "send_task", refuse)
        bell.ring(TASK, "mail")
        assert bell.wait_until_rung(10)
    bell.ring(TASK, "mail")
    assert bell.wait_until_rung(10)
    assert (len(missed(caplog)), post_box()) == (1, [(TASK, "mail")])


def test_many_who_ring_first_at_the_same_moment_share_one_thread(post_box, monkeypatch):
    made, make = [], bell._Ringer

    def make_slowly():
        time.sleep(0.05)
        made.append(make())
        return made[-1]

    monkeypatch.setattr(bell, "_Ringer", make_slowly)
    threads = [threading.Thread(target=bell.ring, args=(TASK, "mail")) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bell.wait_until_rung(10)
    assert len(made) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # from Python 3.12 on: it is the point here
def test_a_process_that_was_forked_off_rings_for_itself(post_box):
    bell.ring("from the parent", "mail")
    assert bell.wait_until_rung(10)
    child = os.fork()
    if child == 0:  # nothing of pytest may run here
        rung = False
        try:
            bell.ring("from the child", "mail")
            rung = bell.wait_until_rung(10)
        finally:
            os._exit(0 if rung else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert post_box() == [("from the child", "mail"), ("from the parent", "mail")]


# --- after the commit -------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_nobody_rings_before_the_commit_or_for_what_was_undone(post_box):
    with transaction.atomic():
        bell.ring_after_commit(TASK, "mail")
        assert bell._ringer is None
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        bell.ring_after_commit("undone", "mail")
        raise ZeroDivisionError
    assert bell.wait_until_rung(10)
    assert post_box() == [(TASK, "mail")]


@pytest.mark.django_db(transaction=True)
def test_a_bell_that_cannot_be_rung_at_all_never_becomes_the_pages_failure(monkeypatch, caplog):
    def no_more_threads():
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(bell, "_Ringer", no_more_threads)
    done_after = []
    with transaction.atomic():
        bell.ring_after_commit(TASK, "mail")
        transaction.on_commit(lambda: done_after.append("the next one"))
    assert done_after == ["the next one"]
    assert "can't start new thread" in caplog.text
