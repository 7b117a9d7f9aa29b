#!/usr/bin/env python3
"""What a scrape of /metrics costs, by how much is queued and by how many integrations.

    DESKMILL_BUILD=build/release /usr/bin/python3 tests/bench/bench_scrape.py [--reps 20]

Jobs are rows in Postgres and ids in Redis, one stalled worker is registered, nothing runs. Milliseconds are from the request to the last byte, over one
connection. Every twentieth of the queued jobs is bulk, half of the rest live. Beside it, the statement that counts all queued rows, which the scrape avoids.
"""
import argparse
import time

import requests

from common import Bench, machine, median, table

CASES = [(1000, 1), (1000000, 1), (1000000, 10000)]


def fill(stack, jobs, integrations):
    stack.sql("TRUNCATE jobs CASCADE")
    for key in stack.redis_client().scan_iter("dm:q:*"):
        stack.redis_client().delete(key)
    have = stack.sql("SELECT count(*) AS n FROM integrations")[0].n
    stack.sql("INSERT INTO organizations (slug, name) VALUES ('acme', 'Acme') ON CONFLICT DO NOTHING")
    stack.sql("INSERT INTO integrations (organization_id, name, vendor, base_url, credentials) SELECT o.id, 'desk' || g, 'pylon', 'http://127.0.0.1:9', '\\x00'"
              " FROM organizations o, generate_series(%s::int8, %s) g", have + 1, integrations)
    stack.sql("INSERT INTO jobs (kind, queue, state, origin, max_attempts, timeout_s, integration_id, queued_at)"
              " SELECT 'noop', CASE WHEN g %% 20 = 0 THEN 'bulk' WHEN g %% 2 = 0 THEN 'live' ELSE 'default' END, 'queued', 'api', 3, 300,"
              " n.ids[1 + g / 7 %% %s], now() - interval '5 min' FROM generate_series(1, %s) g, (SELECT array_agg(id ORDER BY id) AS ids FROM integrations) n",
              integrations, jobs)
    push(stack)


def push(stack):
    """The lists as queue_push makes them, in longer stretches."""
    client = stack.redis_client()
    lists = {}
    for row in stack.sql("SELECT queue, integration_id, array_agg(id ORDER BY id) AS ids FROM jobs GROUP BY 1, 2"):
        lists[row.queue, row.integration_id] = row.ids
    pipe = client.pipeline(transaction=False)
    for (queue, integration), ids in lists.items():
        pipe.rpush(f"dm:q:{queue}:ring", integration)
        for i in range(0, len(ids), 10000):
            pipe.rpush(f"dm:q:{queue}:{integration}:1", *ids[i:i + 10000])
        if len(pipe) > 500:
            pipe.execute()
    pipe.execute()


def timed(call, reps):
    took = []
    for _ in range(reps):
        start = time.monotonic()
        call()
        took.append((time.monotonic() - start) * 1000)
    return took


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--reps", type=int, default=20)
    args = p.parse_args()
    rows = []
    with Bench() as bench:
        stack = bench.stack
        url, session = stack.api().url + "/metrics", requests.Session()
        stack.sql("INSERT INTO workers (host, pid, slots, version) VALUES ('elsewhere', 1, 4, '0')")
        for jobs, integrations in CASES:
            fill(stack, jobs, integrations)
            for vacuumed in (False, True):
                if vacuumed:
                    stack.sql("VACUUM ANALYZE jobs")
                first = timed(lambda: session.get(url, timeout=60).raise_for_status(), 1)
                took = timed(lambda: session.get(url, timeout=60).raise_for_status(), args.reps)
                count = timed(lambda: stack.sql("SELECT queue, count(*), min(queued_at) FROM jobs WHERE state = 'queued' GROUP BY 1"), 5)
                rows.append((f"{jobs:,}", f"{integrations:,}", "yes" if vacuumed else "no", f"{first[0]:.1f}", f"{median(took):.1f}", f"{max(took):.1f}", f"{median(count):.0f}"))
    print(machine())
    print(table(["queued", "integrations", "vacuumed", "first ms", "median ms", "worst ms", "counting all, ms"], rows))


if __name__ == "__main__":
    main()
