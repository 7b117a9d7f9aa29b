"""A worker is given up while a claim of its own is on its way, and registers anew: what was claimed is never left to nobody."""
import signal

import pytest

import history
import proxy


@pytest.fixture
def links(stack):
    proxies = proxy.Proxies()
    yield [proxies.link("postgres", stack.cluster.postgres.port), proxies.link("redis", stack.redis().port)]
    proxies.close()


def test_a_claim_that_comes_back_after_the_burial_is_somebodys(stack, links):
    """Stopped for longer than its lease, woken with a wake-up in its socket. Slow links put things in this order: it asks Redis for ids, hears that
    it was buried, gets the ids, hears its new number."""
    to_postgres, to_redis = links
    history.install(stack.sql)
    stack.scheduler(lease_ms=2000, check_ms=500)
    url = stack.database_url.replace(f":{stack.cluster.postgres.port}/", f":{to_postgres.port}/")
    w = stack.worker(slots=1, beat_ms=300, env=stack.env(DATABASE_URL=url, REDIS_URL=f"redis://127.0.0.1:{to_redis.port}/0"))
    stack.wait_job(stack.noop())
    stack.wait(lambda: any(c["cmd"] in ("blpop", "brpop", "blmove", "bzpopmin") for c in stack.redis_client().client_list()), what="the worker waits for work")
    w.kill(signal.SIGSTOP)
    job = stack.noop(lock="one")
    stack.wait(lambda: stack.sql("SELECT 1 FROM workers WHERE id = %s AND state = 'dead'", w.worker_id), what="the worker is buried")
    to_postgres.set("delay", 200)
    to_redis.set("delay", 300)
    w.kill(signal.SIGCONT)
    stack.wait(lambda: stack.sql("SELECT 1 FROM workers WHERE pid = %s AND state = 'active'", w.pid), what="the worker is back under a new id")
    to_postgres.set("pass")
    to_redis.set("pass")
    stack.wait_job(job, timeout=20)
    stack.wait_job(stack.noop(lock="one"), timeout=20)
    assert not stack.sql("SELECT * FROM chaos.jobs WHERE state = 'running' AND worker_id NOT IN (SELECT id FROM workers)")
