"""Postgres goes away: nothing is half-done, nothing new is begun, and everybody resumes by himself."""
import signal

import pytest


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "crash"])
def test_postgres_restarts_during_a_pull(stack, how):
    postgres = stack.own_postgres()
    desk = stack.vendor("pylon", issues=300, messages=300, hold_page=3, settings={"page_size": 50})
    scheduler = stack.scheduler()
    w = stack.worker(slots=2)
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="a page is held")
    stack.wait(lambda: len(stack.rows("issues")) == 100, what="two pages are committed")
    postgres.stop(how)
    desk.release()
    postgres.start()
    stack.wait(lambda: stack.job(job).state != "running" or stack.job(job).progress != {}, 30)
    stack.hasten()
    stack.wait_job(job, timeout=90)
    stack.pulled(desk)
    stack.assert_true_to(desk)
    assert w.alive and scheduler.alive and stack.api().alive


def test_postgres_is_down_for_a_while_and_idle_processes_wait(stack):
    postgres = stack.own_postgres()
    scheduler = stack.scheduler()
    w = stack.worker()
    stack.wait_job(stack.noop())
    postgres.stop(signal.SIGINT)
    stack.wait(lambda: stack.http("GET", "/readyz", key="").status_code == 503, what="the api says that it is not ready")
    assert stack.http("GET", "/healthz", key="").status_code == 200
    postgres.start()
    stack.wait(lambda: stack.http("GET", "/readyz", key="").status_code == 200, 30, "the api is ready again")
    stack.wait_job(stack.noop(), timeout=30)
    assert w.alive and scheduler.alive
