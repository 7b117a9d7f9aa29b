"""What /metrics and the log say of a queue in trouble, and that the figures are those of the rows."""
import os
import re
import signal

import requests

import stack as harness

SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def scrape(stack):
    """{(metric, labels ...): value} of a scrape, without a key as Prometheus does it; labels as 'name=value'."""
    answer = requests.get(stack.api().url + "/metrics", timeout=30)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain"), answer.text
    found = {}
    for line in answer.text.splitlines():
        if line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        assert match, line
        key = (match[1], *(f"{name}={value}" for name, value in LABEL.findall(match[2] or "")))
        assert key not in found, f"twice: {line}"
        found[key] = float(match[3])
    return found


def families(stack):
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", requests.get(stack.api().url + "/metrics", timeout=30).text, re.M))


def metric(stack, name, *labels):
    return scrape(stack).get((name, *labels), 0)


def integrations(stack, n):
    """Integrations by rows alone; their ids, oldest first."""
    stack.sql("INSERT INTO organizations (slug, name) VALUES ('acme', 'Acme') ON CONFLICT DO NOTHING")
    return sorted(row.id for row in stack.sql(
        "INSERT INTO integrations (organization_id, name, vendor, base_url, credentials) SELECT o.id, 'desk' || g, 'pylon', 'http://127.0.0.1:9', '\\x00'"
        " FROM organizations o, generate_series(1, %s) g RETURNING id", n))


def test_each_metric_is_in_the_readme_and_each_of_the_readme_is_there(stack):
    stack.scheduler()
    stack.worker()
    stack.wait_job(stack.noop())
    text = (harness.ROOT / "api" / "README.md").read_text()
    table = text.split("## Metrics", 1)[1].split("\n## ", 1)[0]
    said = {name: kind for name, kind in re.findall(r"^\| `([a-z_]+)` \| (\w+) \|", table, re.M)}
    assert len(said) > 20
    assert families(stack) == said
    assert {key[0] for key in scrape(stack)} <= set(said)


def test_depths_and_waits_are_those_of_the_rows(stack):
    """25 tenants, one with a long backlog: the 20 that wait longest have a figure each, the others one together. Counts are exact, beyond five thousand by Redis."""
    desks = integrations(stack, 25)
    stack.sql("INSERT INTO jobs (kind, queue, state, origin, max_attempts, timeout_s, integration_id, queued_at)"
              " SELECT 'noop', 'bulk', 'queued', 'api', 3, 300, %s, now() - interval '1 hour' FROM generate_series(1, 6500)", desks[0])
    for n, desk in enumerate(desks[1:]):
        stack.insert_jobs("noop", integration_id=desk, queue="default")
        stack.sql("UPDATE jobs SET queued_at = now() - %s * interval '1 min' WHERE integration_id = %s", 10 + n, desk)
    stack.sql("INSERT INTO jobs (kind, queue, state, origin, max_attempts, timeout_s, run_at) SELECT 'noop', 'live', 'scheduled', 'api', 3, 300, now() + interval '1 day'"
              " FROM generate_series(1, 7)")
    stack.sql("INSERT INTO jobs (kind, queue, state, origin, max_attempts, timeout_s, ended_at) SELECT 'noop', 'live', 'dead', 'api', 3, 300, now() FROM generate_series(1, 3)")
    without = scrape(stack)  # Redis knows of none of them yet
    assert without["deskmill_queue_depth", "queue=bulk"] == 5001, "at least so many"
    assert without["deskmill_queue_depth", "queue=default"] == 24
    stack.scheduler(check_ms=200)
    stack.wait(lambda: metric(stack, "deskmill_queue_depth", "queue=bulk") == 6500, 30, "the lists are filled")
    seen = scrape(stack)
    assert seen["deskmill_queue_scheduled", "queue=live"] == 7
    assert (seen["deskmill_jobs", "state=queued"], seen["deskmill_jobs", "state=scheduled"], seen["deskmill_jobs", "state=dead"]) == (6524, 7, 3)
    assert 3600 <= seen["deskmill_queue_oldest_seconds", "queue=bulk"] < 3900
    assert 33 * 60 <= seen["deskmill_queue_oldest_seconds", "queue=default"] < 38 * 60
    assert seen["deskmill_queue_oldest_seconds", "queue=live"] == 0
    assert (seen["deskmill_queue_integrations", "queue=bulk"], seen["deskmill_queue_integrations", "queue=default"]) == (1, 24)
    tenants = {key[1].removeprefix("integration="): age for key, age in seen.items() if key[0] == "deskmill_tenant_oldest_seconds"}
    assert set(tenants) == {str(desks[0]), "others", *(str(d) for d in desks[-19:])}
    assert 3600 <= tenants[str(desks[0])] < 3900
    for n, desk in list(enumerate(desks[1:]))[-19:]:
        assert (10 + n) * 60 <= tenants[str(desk)] < (15 + n) * 60
    assert 14 * 60 <= tenants["others"] < 19 * 60
    assert "acme" not in requests.get(stack.api().url + "/metrics", timeout=30).text, "names are nobody's business"


def test_a_tenant_behind_a_long_backlog_is_seen(stack):
    """Its only job is far from the front of the rows, but at the head of its list."""
    first, second = integrations(stack, 2)
    stack.sql("INSERT INTO jobs (kind, queue, state, origin, max_attempts, timeout_s, integration_id, queued_at)"
              " SELECT 'noop', 'bulk', 'queued', 'api', 3, 300, %s, now() - interval '1 hour' FROM generate_series(1, 500)", first)
    stack.insert_jobs("noop", integration_id=second, queue="bulk")
    stack.sql("UPDATE jobs SET queued_at = now() - interval '20 min' WHERE integration_id = %s", second)
    stack.scheduler(check_ms=200)
    stack.wait(lambda: metric(stack, "deskmill_tenant_oldest_seconds", f"integration={second}") >= 1200, what="the second tenant's wait is seen")


def test_a_slow_job_is_said_once_and_shown_until_it_ends(stack):
    """Past half of its timeout; then the timeout ends it."""
    stack.scheduler(check_ms=200)
    stack.worker()
    (job,) = stack.insert_jobs("noop", args='{"sleep_ms": 60000}', timeout_s=8, max_attempts=1)
    (line,) = stack.wait_log("job.slow", job=job)
    assert 4 <= int(line["s"]) <= 7 and line["kind"] == "noop" and line["epoch"] == "1"
    assert metric(stack, "deskmill_jobs_slow", "kind=noop") == 1
    stack.wait_job(job, "dead")
    stack.wait(lambda: metric(stack, "deskmill_jobs_slow", "kind=noop") == 0, what="it is gone from the figures")
    assert stack.log("job.slow").count == 1
    stack.wait(lambda: metric(stack, "deskmill_attempts_total", "kind=noop", "outcome=timeout") == 1, what="its attempt is counted")
    assert 8 <= metric(stack, "deskmill_attempt_seconds_total", "kind=noop", "outcome=timeout") < 30


def test_slower_than_usual_is_slow_too(stack):
    """A kind whose jobs take a second: one that has run for a minute is far from its timeout, and slow."""
    stack.scheduler(check_ms=200)
    worker = stack.sql("INSERT INTO workers (host, pid, slots, version) VALUES ('elsewhere', 1, 2, '0') RETURNING id")[0].id
    stack.sql("INSERT INTO counters (name, label, label2, value) VALUES ('attempts', 'noop', 'done', 100), ('attempt_us', 'noop', 'done', 100000000)")
    slow, fine = stack.insert_jobs("noop", 2, timeout_s=3600)
    stack.sql("UPDATE jobs SET state = 'running', worker_id = %s, epoch = 1, started_at = now() - interval '1 minute' WHERE id = %s", worker, slow)
    stack.sql("UPDATE jobs SET state = 'running', worker_id = %s, epoch = 1, started_at = now() WHERE id = %s", worker, fine)
    stack.sql("INSERT INTO job_claims (worker_id, batch, job_ids) VALUES (%s, 1, %s)", worker, [slow, fine])
    assert metric(stack, "deskmill_jobs_slow", "kind=noop") == 1
    stack.sql("UPDATE counters SET value = 19 WHERE name = 'attempts'")
    assert metric(stack, "deskmill_jobs_slow", "kind=noop") == 0, "nineteen are too few to know what is usual"


def test_a_queue_nobody_takes_from_is_stuck_until_somebody_does(stack):
    """Its worker stands still, for less than a lease: slots are free, work waits, nothing is claimed."""
    stack.scheduler(check_ms=200, lease_ms=600000, stuck_s=5)
    stack.api(stuck_s=5)
    w = stack.worker(slots=2)
    stack.wait_job(stack.noop())
    assert metric(stack, "deskmill_queue_stuck", "queue=default") == 0
    w.kill(signal.SIGSTOP)
    job = stack.noop()
    stack.wait_log("queue.stuck", queue="default")
    seen = scrape(stack)
    assert [seen["deskmill_queue_stuck", f"queue={q}"] for q in ("live", "default", "bulk")] == [0, 1, 0]
    os.kill(w.pid, signal.SIGCONT)
    stack.wait_job(job)
    stack.wait_log("queue.unstuck", queue="default")
    assert metric(stack, "deskmill_queue_stuck", "queue=default") == 0
    assert stack.log("queue.stuck").count == 1


def test_work_that_must_wait_is_not_stuck(stack):
    """All that waits is of a paused integration, or behind a lock, or of a kind that nobody knows."""
    (paused,) = integrations(stack, 1)
    stack.sql("UPDATE integrations SET state = 'paused'")
    stack.scheduler(check_ms=200, stuck_s=5)
    stack.api(stuck_s=5)
    stack.worker(slots=3)
    holder = stack.noop(sleep_ms=300000, lock="k")
    stack.wait(lambda: stack.job(holder).state == "running", what="the lock is held")
    stack.noop(lock="k")
    stack.insert_jobs("noop", integration_id=paused)
    stack.insert_jobs("future_kind")
    stack.sql("UPDATE jobs SET queued_at = now() - interval '1 hour' WHERE state = 'queued'")
    stack.sql("UPDATE counters SET changed_at = now() - interval '1 hour'")
    stack.wait(lambda: metric(stack, "deskmill_jobs_of_unknown_kind", "kind=future_kind") == 1, what="the strange one was met")
    stack.wait(lambda: metric(stack, "deskmill_claims_total", "queue=default") >= 1, what="the worker's counts are written")
    stack.sql("UPDATE counters SET changed_at = now() - interval '1 hour'")
    assert metric(stack, "deskmill_queue_stuck", "queue=default") == 0
    assert not stack.log("queue.stuck")


def test_a_paused_queue_is_shown_and_not_stuck(stack):
    (desk,) = integrations(stack, 1)
    stack.api(stuck_s=5)
    stack.sql("INSERT INTO workers (host, pid, slots, version) VALUES ('elsewhere', 1, 2, '0')")
    stack.insert_jobs("noop", queue="bulk")
    stack.insert_jobs("noop", queue="live", integration_id=desk)
    stack.sql("UPDATE jobs SET queued_at = now() - interval '1 hour'")

    def seen():
        figures = scrape(stack)
        return [tuple(figures[f"deskmill_queue_{what}", f"queue={q}"] for what in ("paused", "paused_integrations", "stuck")) for q in ("live", "bulk")]

    assert seen() == [(0, 0, 1), (0, 0, 1)]
    stack.sql("INSERT INTO queue_pauses (queue, integration_id, by) VALUES ('bulk', NULL, 'me'), ('live', %s, 'me')", desk)
    assert seen() == [(0, 1, 0), (1, 0, 0)]


def test_losses_and_refusals_are_counted_and_outlive_everyone(stack):
    """A worker is killed, another stopped for longer than its lease: both are counted as lost, their jobs as taken back, the stale page as refused. Then every process is
    started anew, and the figures stand."""
    desk = stack.vendor("pylon", issues=300, messages=0, hold_page=3, settings={"page_size": 50})
    scheduler = stack.scheduler(lease_ms=2000)
    stopped = stack.worker(slots=1, beat_ms=500)
    job = stack.pull(desk)
    stack.wait(lambda: desk.held, what="a page is held")
    for pid in [stopped.pid, *stopped.children()]:
        os.kill(pid, signal.SIGSTOP)
    children = stopped.children()
    stack.wait(lambda: metric(stack, "deskmill_workers_lost_total", "why=silent") == 1, what="the stopped one is given up")
    other = stack.worker(slots=1, beat_ms=500)
    stack.wait(lambda: stack.job(job).epoch == 2, what="its job runs elsewhere")
    desk.release()
    stack.wait_job(job)
    for pid in [*children, stopped.pid]:
        os.kill(pid, signal.SIGCONT)
    stack.wait(lambda: scrape_sum(stack, "deskmill_refused_writes_total") >= 1, what="what the stopped one still wrote was refused")

    held = stack.noop(sleep_ms=60000)
    stack.wait(lambda: stack.job(held).state == "running", what="the long job runs")
    victim = stopped if stack.job(held).worker_id != other.worker_id else other
    victim.kill(signal.SIGKILL)
    stack.wait(lambda: scrape_sum(stack, "deskmill_workers_lost_total") == 2, what="the killed one is given up")
    stack.wait(lambda: metric(stack, "deskmill_jobs_taken_back_total", "state=queued") == 2, what="both jobs were taken back")
    stack.cli("job", "cancel", held)
    stack.idle()
    stack.wait(lambda: metric(stack, "deskmill_attempts_total", "kind=issue_pull", "outcome=done") == 1, what="the pull is counted")

    for proc in [p for p in (stopped, other) if p.alive]:
        stack.retire(proc)
    before = {key: value for key, value in scrape(stack).items() if key[0].endswith("_total") and "http" not in key[0]}
    scheduler.kill(signal.SIGTERM)
    scheduler.wait()
    stack.new_api()
    after = {key: value for key, value in scrape(stack).items() if key[0].endswith("_total") and "http" not in key[0]}
    assert after == before


def scrape_sum(stack, name):
    return sum(value for key, value in scrape(stack).items() if key[0] == name)


def test_waits_for_budget_are_counted(stack):
    """A 429 with a long wait gives the slot back."""
    desk = stack.vendor("pylon", issues=200, messages=0, settings={"page_size": 50})
    desk.fail("status", status=429, retry_after=3, after=2, count=1)
    stack.scheduler()
    stack.worker()
    job = stack.pull(desk)
    stack.wait_job(job)
    snoozed = stack.wait(lambda: metric(stack, "deskmill_budget_waits_total", "how=snoozed"), what="the wait is counted")
    assert snoozed == len([a for a in stack.sync_log(job) if a.outcome == "snoozed"])
    assert 2 <= metric(stack, "deskmill_budget_wait_seconds_total", "how=snoozed") <= 4 * snoozed


def test_counts_are_those_of_the_jobs(stack):
    stack.scheduler()
    w = stack.worker(slots=2, beat_ms=200)
    jobs = [stack.noop() for _ in range(50)]
    bad = stack.noop(fail="no")
    for job in jobs:
        stack.wait_job(job)
    stack.wait(lambda: stack.job(bad).attempt == 1, what="the bad one has failed once")
    stack.cli("job", "cancel", bad)
    stack.retire(w)
    seen = scrape(stack)
    assert seen["deskmill_attempts_total", "kind=noop", "outcome=done"] == 50
    assert seen["deskmill_attempts_total", "kind=noop", "outcome=retry"] == 1
    assert seen["deskmill_claims_total", "queue=default"] == 51
    assert ("deskmill_refused_writes_total", "write=result") not in seen


def test_with_redis_away_the_rows_must_do(stack):
    stack.api()
    desks = integrations(stack, 2)
    for desk in desks:
        stack.insert_jobs("noop", 3, integration_id=desk)
    stack.sql("UPDATE jobs SET queued_at = now() - interval '5 min'")
    stack.redis().stop(signal.SIGKILL)
    seen = scrape(stack)
    assert (seen["deskmill_postgres_up",], seen["deskmill_redis_up",]) == (1, 0)
    assert seen["deskmill_queue_depth", "queue=default"] == 6
    assert all(300 <= seen["deskmill_tenant_oldest_seconds", f"integration={desk}"] < 600 for desk in desks)
