"""The connection is lost between a commit and its answer: what was committed is known to be, and is counted as what it was."""
import pytest

import history
import proxy


@pytest.fixture
def to_postgres(stack):
    proxies = proxy.Proxies()
    yield proxies.link("postgres", stack.cluster.postgres.port)
    proxies.close()


def test_a_page_whose_commit_was_not_heard_of_is_counted_once(stack, to_postgres):
    history.install(stack.sql)
    desk = stack.vendor("pylon", issues=150, messages=0, hold_page=2, settings={"page_size": 50})
    stack.scheduler()
    w = stack.worker(slots=1, env=stack.env(DATABASE_URL=stack.database_url.replace(f":{stack.cluster.postgres.port}/", f":{to_postgres.port}/")))
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="the second page is held")
    stack.wait(lambda: len(stack.rows("issues")) == 50, what="the first is committed")
    to_postgres.lose_answer(b"\0ctx_fence\0")  # which goes out with the commit behind it
    desk.release()
    stack.wait_job(job)
    stack.idle()
    assert to_postgres.lose is None, "an answer was lost"
    stack.assert_true_to(desk, "issues")
    made = history.History()
    history.read(stack.sql, made)
    pages = [e.xid for e in made.rows if e.tab == "issues"]
    assert len(pages) == 150 and len(set(pages)) == 3, "each page was written once"
    (attempt,) = stack.sync_log(job)
    assert attempt.inserted == 150 + stack.directory()
    assert stack.job(job).progress["inserted"] == attempt.inserted and stack.job(job).progress["pages"] == attempt.pages
    assert stack.job(job).attempt == 0 and w.alive
