"""One clock for every process, and one holder for every periodic job."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, connections

from ciduty import clock, leases
from ciduty.clock import NotAllowedToMoveTheClock


@pytest.mark.django_db
def test_the_moment_is_the_databases_aware_and_in_utc():
    moment = clock.now()
    assert moment.utcoffset() == timedelta(0)
    assert abs(moment - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.django_db
def test_the_moved_clock_moves_for_everybody():
    before = clock.now()
    clock.move(timedelta(hours=5))
    clock.move(timedelta(hours=-1))
    assert timedelta(hours=4) <= clock.now() - before < timedelta(hours=4, seconds=5)


@pytest.mark.django_db
def test_a_real_installation_never_moves_its_clock(settings):
    settings.DEMO = settings.TESTING = False
    with pytest.raises(NotAllowedToMoveTheClock):
        clock.move(timedelta(hours=1))


@pytest.mark.django_db
def test_a_lease_is_held_once_until_it_is_released_or_expires():
    held = leases.take("a job", timedelta(minutes=2))
    assert leases.take("a job", timedelta(minutes=2)) is None
    assert leases.take("another job", timedelta(minutes=2))
    held.release()
    second = leases.take("a job", timedelta(minutes=2))
    clock.move(timedelta(minutes=2))
    third = leases.take("a job", timedelta(minutes=2))
    assert (held.fence, second.fence, third.fence) == (1, 2, 3)


@pytest.mark.django_db
def test_a_holder_that_slept_past_its_lease_is_told_at_the_next_renewal():
    first = leases.take("a job", timedelta(minutes=2))
    clock.move(timedelta(minutes=3))
    leases.take("a job", timedelta(minutes=2))
    with pytest.raises(leases.LeaseLost):
        first.renew()


@pytest.mark.django_db
def test_a_late_holder_releases_nothing_of_the_next_one():
    first = leases.take("a job", timedelta(minutes=2))
    clock.move(timedelta(minutes=3))
    leases.take("a job", timedelta(minutes=2))
    first.release()
    assert leases.take("a job", timedelta(minutes=2)) is None


@pytest.mark.django_db(transaction=True)
def test_of_many_processes_that_grab_at_once_one_gets_the_lease():
    barrier, got = threading.Barrier(8), []

    def grab():
        try:
            barrier.wait(timeout=10)
            got.append(leases.take("a job", timedelta(minutes=2)))
        finally:
            connections.close_all()

    for _ in range(5):
        got.clear()
        threads = [threading.Thread(target=grab) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 8
        assert sum(held is not None for held in got) == 1
        clock.move(timedelta(minutes=5))


def test_the_database_is_one_that_the_clock_knows():
    assert connection.vendor in {"sqlite", "postgresql"}
