"""How fast the simulator serves search pages: python3 bench.py PATH/TO/vendorsim [gzip]

100,000 issues with bodies of 1 KB, pages of 999 over one connection: the whole twice (the first time each issue must
be rendered), then 13 windows of 30 days on updated_at, then one window of three minutes."""
import datetime
import http.client
import json
import re
import subprocess
import sys
import time
import zlib

NOW = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)
PACKED = sys.argv[2:] == ["gzip"]


def memory(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) // 1024


def walk(connection, lo=None, hi=None):
    headers = {"Authorization": "Bearer sim-token", **({"Accept-Encoding": "gzip"} if PACKED else {})}
    body = {"limit": 999}
    if lo:
        body["filter"] = {"operator": "and", "subfilters": [
            {"field": "updated_at", "operator": "time_is_after", "value": (NOW - lo).isoformat()},
            {"field": "updated_at", "operator": "time_is_before", "value": (NOW - hi).isoformat()}]}
    pages = size = 0
    while True:
        connection.request("POST", "/issues/search", json.dumps(body), headers)
        answer = connection.getresponse()
        data = answer.read()
        if answer.getheader("Content-Encoding") == "gzip":
            data = zlib.decompress(data, 31)
        pages += 1
        size += len(data)
        more = re.search(rb'"cursor":"(\w+)","has_next_page":true', data[-300:])
        if not more:
            return pages, size
        body["cursor"] = more[1].decode()


def measure(name, connection, windows):
    began = time.monotonic()
    done = [walk(connection, *w) for w in windows]
    took = time.monotonic() - began
    pages, size = (sum(d[i] for d in done) for i in (0, 1))
    print("%-22s %4d pages %6.1f MB %8.1f ms %6.0f MB/s" % (name, pages, size / 1e6, took * 1e3, size / 1e6 / took))


def main():
    began = time.monotonic()
    sim = subprocess.Popen([sys.argv[1], "--profile", "none", "--issues", "100000", "--messages", "0", "--body-bytes", "1000",
                            "--now", "2026-11-22T12:00:00Z"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(sim.stdout.readline().rsplit(":", 1)[1])
        print("ready after %.2f s, %d MB" % (time.monotonic() - began, memory(sim.pid)))
        connection = http.client.HTTPConnection("127.0.0.1", port)
        days, minutes = (lambda n: datetime.timedelta(days=n)), (lambda n: datetime.timedelta(minutes=n))
        measure("all, first time", connection, [()])
        measure("all, again", connection, [()])
        measure("windows of 30 days", connection, [(days(30 * k + 30), days(30 * k)) for k in range(13)])
        measure("a window of 3 minutes", connection, [(minutes(60), minutes(57))])
        print("%d MB" % memory(sim.pid))
    finally:
        sim.terminate()
        sim.wait(10)


main()
