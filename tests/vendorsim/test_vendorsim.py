"""The simulator must be right before anything tested against it can be: each behaviour it promises, checked from
outside over HTTP. The binary comes from VENDORSIM_BIN, else the newest one built under build/."""
import collections
import datetime
import glob
import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import zlib

import pytest
import requests

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = "2026-11-22T12:00:00Z"
NOW_T = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")


def binary():
    built = glob.glob(os.path.join(HERE, "../../build/*/tests/vendorsim/vendorsim"))
    path = os.environ.get("VENDORSIM_BIN") or max(built, key=os.path.getmtime, default=None)
    assert path, "no vendorsim built, and VENDORSIM_BIN is not set"
    return path


def ago(**kw):
    return (NOW_T - datetime.timedelta(**kw)).isoformat().replace("+00:00", "Z")


def when(text):
    """Microseconds since 1970, exactly."""
    m = re.match(r"(.*T\d\d:\d\d:\d\d)(?:\.(\d+))?Z$", text)
    whole = datetime.datetime.fromisoformat(m[1] + "+00:00")
    return int(whole.timestamp()) * 1000000 + int((m[2] or "").ljust(6, "0"))


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


class Sim:
    def __init__(self, **options):
        self.token = options.get("token", "sim-token")
        args = {"now": NOW, "profile": "none", "issues": 400, "messages": 1500, "accounts": 30, "users": 8}
        args.update(options)
        command = [binary()]
        for name, value in args.items():
            if value is not None:
                command += ["--" + name.replace("_", "-"), str(value)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.ready = self.process.stdout.readline()
        self.url = self.ready.split()[-1]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.http = requests.Session()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        self.process.stdout.close()
        self.http.close()
        assert code == 0, "the simulator ended with %d" % code

    def call(self, method, path, headers=None, session=None, **kw):
        headers = {"Authorization": "Bearer " + self.token, **(headers or {})}
        return (session or self.http).request(method, self.url + path, headers=headers, timeout=20, **kw)

    def get(self, path, **kw):
        return self.call("GET", path, **kw)

    def search(self, body=None, **kw):
        return self.call("POST", "/issues/search", json={} if body is None else body, **kw)

    def found(self, field, operator, value=None, values=None):
        """Ids that a filter with one test finds, over all pages."""
        test = {"field": field, "operator": operator}
        if value is not None:
            test["value"] = value
        if values is not None:
            test["values"] = values
        return {i["id"] for i in self.walk({"filter": test, "limit": 999})}

    def pages(self, body):
        body = dict(body)
        while True:
            r = self.search(body)
            assert r.status_code == 200, r.text
            page = r.json()
            yield page
            more = page.get("pagination") or {}
            if not more.get("has_next_page") or not more.get("cursor"):
                return
            assert more["cursor"] != body.get("cursor"), "repeated cursor"
            body["cursor"] = more["cursor"]

    def walk(self, body=None):
        return [i for page in self.pages(body or {"limit": 999}) for i in page.get("data") or []]

    def door(self, verb, **body):
        r = requests.post(self.url + "/_sim/" + verb, json=body, timeout=20)
        assert r.status_code == 200, r.text
        return r.json()

    def stats(self):
        return requests.get(self.url + "/_sim/stats", timeout=20).json()

    def truth(self, kind=None):
        r = requests.get(self.url + "/_sim/truth", params={"kind": kind} if kind else {}, timeout=60)
        assert r.status_code == 200, r.text
        return r.json()[kind] if kind else r.json()

    def patch(self, issue, **fields):
        r = requests.patch(self.url + "/_sim/issues/" + str(issue), json=fields, timeout=20)
        assert r.status_code == 200, r.text
        return r.json()


@pytest.fixture
def start():
    sims = []

    def begin(**options):
        sims.append(Sim(**options))
        return sims[-1]

    yield begin
    for sim in sims:
        sim.close()


@pytest.fixture(scope="module")
def calm():
    """One simulator for the tests that only read."""
    sim = Sim(profile="none", issues=2500, messages=9000, accounts=130, users=20)
    yield sim
    sim.close()


@pytest.fixture(scope="module")
def truth(calm):
    return calm.truth()


def background(function, *args, **kw):
    """Runs it in a thread; .result is a list that gets its value, or the exception."""
    result = []

    def run():
        try:
            result.append(function(*args, **kw))
        except Exception as e:  # what went wrong is the result
            result.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.result = result
    thread.start()
    return thread


# -- command line --


def run(*args):
    return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=20)


@pytest.mark.parametrize("args, named", [
    (["--port", "seventy"], "--port"),
    (["--port", "70000"], "--port"),
    (["--issues", "-1"], "--issues"),
    (["--issues", "10x"], "--issues"),
    (["--profile", "fast"], "--profile"),
    (["--profile", "ol"], "--profile"),
    (["--cursor", ""], "--cursor"),
    (["--now", "2026-11-22"], "--now"),
    (["--now", "2026-02-30T00:00:00Z"], "--now"),
    (["--now", "2026-11-22T12:00:00"], "--now"),
    (["--token", ""], "--token"),
    (["--seed"], "--seed"),
    (["--colour", "red"], "--colour"),
    (["stray"], "stray"),
])
def test_a_bad_option_is_named_in_one_line(args, named):
    r = run(*args)
    assert r.returncode == 2
    assert named in r.stderr and r.stderr.count("\n") == 1 and r.stdout == ""


def test_help_names_every_option_and_the_readme_does_too():
    r = run("--help")
    options = re.findall(r"^  --([a-z-]+)", r.stdout, re.M)
    wanted = ["port", "port-file", "token", "region", "profile", "seed", "issues", "accounts", "users", "contacts",
              "messages", "days", "body-bytes", "now", "cursor", "gzip", "latency-ms", "order", "bind"]
    assert r.returncode == 0 and set(wanted) <= set(options)
    with open(os.path.join(HERE, "README.md"), encoding="utf-8") as f:
        readme = f.read()
    assert [o for o in options if "`--%s`" % o not in readme] == []


def test_it_says_where_it_listens(start, tmp_path):
    sim = start(port_file=tmp_path / "port")
    assert sim.ready == "vendorsim ready http://127.0.0.1:%d\n" % sim.port
    assert (tmp_path / "port").read_text() == "%d\n" % sim.port
    assert os.listdir(tmp_path) == ["port"]


def test_a_taken_port_is_an_error(start):
    sim = start()
    r = run("--port", str(sim.port))
    assert r.returncode == 1 and "--port" in r.stderr


@pytest.mark.parametrize("what", ["idle", "held", "hanging"])
def test_sigterm_ends_it_at_once(start, what):
    sim = start()
    sim.get("/me")  # leaves a kept-alive connection behind
    if what == "held":
        sim.door("hold", endpoint="me", page=1)
    if what == "hanging":
        sim.door("fail", endpoint="me", mode="hang")
    thread = background(sim.get, "/me") if what != "idle" else None
    if thread:
        wait_until(lambda: sim.stats()[what] == 1)
    began = time.monotonic()
    sim.close()
    assert time.monotonic() - began < 2
    if thread:
        thread.join(5)
        assert isinstance(thread.result[0], requests.RequestException)


# -- authentication, envelopes --


@pytest.mark.parametrize("region, header, code", [
    ("us", None, "invalid_authorization_header"),
    ("us", "Basic abc", "invalid_authorization_header"),
    ("us", "Bearer ", "invalid_authorization_header"),
    ("us", "Bearer other", "invalid_api_token"),
    ("us", "Bearer eu-sim", "wrong_region_token"),
    ("us", "Bearer us-sim", "invalid_api_token"),
    ("eu", "Bearer us-sim", "wrong_region_token"),
    ("eu", "Bearer eu-sim", "invalid_api_token"),
])
def test_a_wrong_token_is_refused(start, region, header, code):
    sim = start(region=region, profile="new", issues=1, messages=0)
    for path in ("/me", "/nowhere"):
        r = requests.get(sim.url + path, headers={"Authorization": header} if header is not None else {}, timeout=5)
        body = r.json()
        assert r.status_code == 401 and body["code"] == code
        assert all(isinstance(e, str) for e in body["errors"]) and body["errors"]
        assert UUID.match(body["request_id"])


@pytest.mark.parametrize("profile, has_code", [("old", False), ("new", True), ("generous", True), ("none", True)])
def test_only_the_new_api_gives_error_codes(start, profile, has_code):
    sim = start(profile=profile)
    r = sim.get("/issues/does-not-exist")
    assert r.status_code == 404
    assert ("code" in r.json()) == has_code
    assert set(r.json()) - {"code"} == {"errors", "request_id"}


def test_an_unknown_path_or_method_is_404(calm):
    for method, path in (("GET", "/nowhere"), ("GET", "/issues/search/x"), ("DELETE", "/accounts"), ("GET", "/"),
                         ("POST", "/issues"), ("GET", "/issues//messages")):
        r = calm.call(method, path)
        assert r.status_code == 404 and r.json()["code"] == "not_found", (method, path)


def test_answers_carry_the_vendors_headers(start):
    sim = start(profile="new")
    r = sim.get("/me")
    assert r.headers["content-type"] == "application/json"
    assert UUID.match(r.headers["x-pylon-request-id"])
    assert r.headers["vary"] == "Accept-Encoding, Origin"
    assert r.headers["x-rate-limit-remaining"] == "299"
    assert sim.get("/me").headers["x-rate-limit-remaining"] == "298"
    assert sim.search({"limit": 1}).headers["x-rate-limit-remaining"] == "119"
    assert sim.get("/me").headers["x-pylon-request-id"] != r.headers["x-pylon-request-id"]
    assert "x-rate-limit-remaining" not in sim.get("/issues/none").headers


def test_the_end_of_a_list_comes_in_every_known_form(start):
    sim = start(issues=5)
    ends = [sim.search({}).json().get("pagination", "left out") for _ in range(21)]
    assert ends.count("left out") > 10
    assert {"cursor": "", "has_next_page": False} in ends
    assert {"cursor": None, "has_next_page": False} in ends
    again = start(issues=5)
    assert ends == [again.search({}).json().get("pagination", "left out") for _ in range(21)]


def test_an_empty_result_has_neither_data_nor_pagination(calm):
    r = calm.search({"filter": {"field": "state", "operator": "equals", "value": "no_such_state"}})
    assert list(r.json()) == ["request_id"]


def test_one_page_more_is_announced_with_a_cursor(calm):
    r = calm.search({"limit": 10}).json()
    assert list(r) == ["data", "pagination", "request_id"]
    assert r["pagination"]["has_next_page"] is True and r["pagination"]["cursor"]


# -- paging --


@pytest.mark.parametrize("cursor", ["keyset", "offset"])
@pytest.mark.parametrize("limit", [7, 100, 999])
def test_a_walk_brings_every_issue_once_in_order(start, cursor, limit):
    sim = start(cursor=cursor, issues=1203, messages=0)
    pages = [p["data"] for p in sim.pages({"limit": limit})]
    assert [len(p) for p in pages[:-1]] == [limit] * (len(pages) - 1)
    issues = [i for p in pages for i in p]
    assert issues == sim.truth("issues")
    assert len(issues) == 1203
    keys = [(-when(i["created_at"]), i["id"]) for i in issues]
    assert keys == sorted(keys) and len(set(keys)) == 1203


def test_a_page_that_ends_with_the_last_issue_is_the_last(start):
    sim = start(issues=200, messages=0)
    pages = list(sim.pages({"limit": 100}))
    assert [len(p["data"]) for p in pages] == [100, 100]


def test_the_limit_is_100_unless_given(calm):
    assert len(calm.search({}).json()["data"]) == 100
    assert len(calm.search({"limit": None}).json()["data"]) == 100


@pytest.mark.parametrize("limit", [0, -1, 1000, 10**12, "10", 1.5, [1]])
def test_a_limit_out_of_range_is_refused(calm, limit):
    r = calm.search({"limit": limit})
    assert r.status_code == 400 and "limit" in r.json()["errors"][0]


def test_a_cursor_in_the_query_string_is_ignored(calm):
    first = calm.search({"limit": 5}).json()
    r = calm.call("POST", "/issues/search?cursor=" + first["pagination"]["cursor"], json={"limit": 5}).json()
    assert r["data"] == first["data"]


@pytest.mark.parametrize("cursor", ["nonsense", "c00", 5, ["x"], "c" + "4" * 80])
def test_a_broken_cursor_is_refused(calm, cursor):
    assert calm.search({"cursor": cursor}).status_code == 400


@pytest.mark.parametrize("body", ["", "{", "[]", "5", '"x"', '{"filter":'])
def test_a_broken_body_is_refused(start, body):
    sim = start(profile="old", issues=3)
    r = sim.call("POST", "/issues/search", data=body)
    assert r.status_code == 400 and r.json()["errors"]


def test_the_old_api_needs_a_filter_and_the_new_one_does_not(start):
    assert start(profile="old").search({"limit": 5}).status_code == 400
    assert start(profile="new").search({"limit": 5}).status_code == 200


def test_offset_paging_shifts_when_rows_come_and_keyset_does_not(start):
    for cursor, repeated in (("offset", 3), ("keyset", 0)):
        sim = start(cursor=cursor, issues=100, messages=0)
        first = sim.search({"limit": 50}).json()
        for _ in range(3):
            requests.post(sim.url + "/_sim/issues", json={}, timeout=5)
        second = sim.search({"limit": 50, "cursor": first["pagination"]["cursor"]}).json()
        ids = [i["id"] for i in first["data"]]
        assert len([i for i in second["data"] if i["id"] in ids]) == repeated


def test_offset_paging_loses_a_row_when_one_before_goes(start):
    sim = start(cursor="offset", issues=100, messages=0)
    before = {i["id"] for i in sim.truth("issues")}
    first = sim.search({"limit": 50}).json()
    gone = first["data"][0]["id"]
    requests.delete(sim.url + "/_sim/issues/" + gone, timeout=5)
    second = sim.search({"limit": 60, "cursor": first["pagination"]["cursor"]}).json()
    seen = {i["id"] for i in first["data"] + second["data"]}
    assert len(before - seen) == 1


# -- filters --

TIMES = {"created_at": "created_at", "updated_at": "updated_at", "resolved_at": "resolution_time",
         "latest_message_activity_at": "latest_message_time"}


@pytest.mark.parametrize("field", TIMES)
def test_bounds_of_time_are_exclusive(calm, truth, field):
    have = {i["id"]: when(i[TIMES[field]]) for i in truth["issues"] if i[TIMES[field]]}
    edges = sorted(set(have.values()))
    lo = next(t for t in edges if t > edges[-2] - 29 * 86400 * 10**6)
    hi = edges[-2]
    text = {when(i[TIMES[field]]): i[TIMES[field]] for i in truth["issues"] if i[TIMES[field]]}
    assert calm.found(field, "time_is_after", text[lo]) == {k for k, t in have.items() if t > lo}
    assert calm.found(field, "time_is_before", text[lo]) == {k for k, t in have.items() if t < lo}
    assert calm.found(field, "time_range", values=[text[lo], text[hi]]) == {k for k, t in have.items() if lo < t < hi}
    assert len([t for t in have.values() if lo < t < hi]) > 20


def test_a_time_may_have_another_zone(calm, truth):
    bound = "2026-11-10T02:00:00.5+05:30"
    want = {i["id"] for i in truth["issues"] if when(i["updated_at"]) > when("2026-11-09T20:30:00.5Z")}
    assert calm.found("updated_at", "time_is_after", bound) == want and want


@pytest.mark.parametrize("field, key", [("account_id", "account"), ("assignee_id", "assignee"),
                                        ("requester_id", "requester")])
def test_people_are_found_by_id_and_by_being_set(calm, truth, field, key):
    have = {i["id"]: i[key]["id"] if i[key] else None for i in truth["issues"]}
    (a, _), (b, _) = collections.Counter(v for v in have.values() if v).most_common(2)
    assert calm.found(field, "equals", a) == {k for k, v in have.items() if v == a}
    assert calm.found(field, "in", values=[a, b]) == {k for k, v in have.items() if v in (a, b)}
    assert calm.found(field, "not_in", values=[a, b]) == {k for k, v in have.items() if v not in (a, b)}
    assert calm.found(field, "is_set") == {k for k, v in have.items() if v}
    assert calm.found(field, "is_unset") == {k for k, v in have.items() if not v}
    assert None in have.values()


def test_states_types_teams_and_tags_are_found(calm, truth):
    issues = truth["issues"]
    assert calm.found("state", "equals", "with_engineering") == {
        i["id"] for i in issues if i["state"] == "with_engineering"}
    assert calm.found("state", "not_in", values=["closed", "new"]) == {
        i["id"] for i in issues if i["state"] not in ("closed", "new")}
    assert calm.found("issue_type", "equals", "ticket") == {i["id"] for i in issues if i["type"].lower() == "ticket"}
    team = next(i["team"]["id"] for i in issues if i["team"])
    assert calm.found("team_id", "equals", team) == {i["id"] for i in issues if i["team"] and i["team"]["id"] == team}
    for tag in ("a,b", 'say "hi"', "back\\slash", "🔥"):
        want = {i["id"] for i in issues if tag in (i["tags"] or [])}
        assert calm.found("tags", "contains", tag) == want and want
        assert calm.found("tags", "in", values=[tag]) == want
        assert calm.found("tags", "does_not_contain", tag) == {i["id"] for i in issues} - want


def test_custom_fields_and_text_are_found(calm, truth):
    def value(issue, slug):
        cf = issue["custom_fields"]
        if isinstance(cf, list):
            cf = {f["slug"]: f for f in cf}
        return cf.get(slug)

    high = {i["id"] for i in truth["issues"] if (value(i, "priority") or {}).get("value") == "high"}
    assert calm.found("priority", "equals", "high") == high and high
    export = {i["id"] for i in truth["issues"] if "export" in ((value(i, "area") or {}).get("values") or [])}
    assert calm.found("area", "contains", "export") == export and export
    dotted = {i["id"] for i in truth["issues"] if value(i, "chat_widget.os")}
    assert calm.found("chat_widget.os", "is_set") == dotted and dotted
    want = {i["id"] for i in truth["issues"] if "Invoice" in i["title"]}
    assert calm.found("title", "string_contains", "Invoice") == want and want
    want = {i["id"] for i in truth["issues"] if "<blockquote>" in i["body_html"]}
    assert calm.found("body_html", "string_contains", "<blockquote>") == want and want
    want = {i["id"] for i in truth["issues"] if "invoice" in (i["title"] + i["body_html"]).lower()}
    assert {i["id"] for i in calm.walk({"search_text": "invoice", "limit": 999})} == want


def test_trees_of_and_and_or(calm, truth):
    tree = {"operator": "or", "subfilters": [
        {"operator": "and", "subfilters": [
            {"field": "state", "operator": "equals", "value": "closed"},
            {"field": "updated_at", "operator": "time_is_after", "value": ago(days=20)},
            {"field": "updated_at", "operator": "time_is_before", "value": ago(days=5)}]},
        {"field": "state", "operator": "equals", "value": "new"}]}
    lo, hi = when(ago(days=20)), when(ago(days=5))
    want = [i["id"] for i in truth["issues"]
            if i["state"] == "new" or (i["state"] == "closed" and lo < when(i["updated_at"]) < hi)]
    assert [i["id"] for i in calm.walk({"filter": tree, "limit": 50})] == want and len(want) > 50


def nest(depth):
    node = {"field": "state", "operator": "equals", "value": "new"}
    for _ in range(depth - 1):
        node = {"operator": "and", "subfilters": [node]}
    return node


@pytest.mark.parametrize("depth, status", [(1, 200), (2, 200), (3, 200), (4, 400), (9, 400)])
def test_a_tree_is_three_levels_deep_at_most(calm, depth, status):
    assert calm.search({"filter": nest(depth)}).status_code == status


@pytest.mark.parametrize("test, named", [
    ({"field": "colour", "operator": "equals", "value": "x"}, "colour"),
    ({"field": "state", "operator": "resembles", "value": "x"}, "resembles"),
    ({"field": "state", "operator": "time_is_after", "value": ago(days=1)}, "time_is_after"),
    ({"field": "updated_at", "operator": "equals", "value": ago(days=1)}, "equals"),
    ({"field": "updated_at", "operator": "time_is_after", "value": "2026-11-01T00:00:00"}, "updated_at"),
    ({"field": "updated_at", "operator": "time_is_after", "value": 5}, "updated_at"),
    ({"field": "updated_at", "operator": "time_range", "values": [ago(days=1)]}, "time_range"),
    ({"field": "state", "operator": "equals"}, "state"),
    ({"field": "state", "operator": "in", "value": "new"}, "state"),
    ({"field": "state", "operator": "in", "values": ["new", 5]}, "state"),
    ({"operator": "and"}, "subfilters"),
    ({"operator": "and", "subfilters": [{"field": "nope", "operator": "equals", "value": "x"}]}, "nope"),
    ({"operator": "and", "subfilters": [5]}, "object"),
    ({"field": "state"}, "operator"),
])
def test_a_bad_filter_is_refused_and_the_culprit_named(calm, test, named):
    r = calm.search({"filter": test})
    assert r.status_code == 400 and named in r.json()["errors"][0]


def window(lo, hi, field="updated_at"):
    return {"operator": "and", "subfilters": [{"field": field, "operator": "time_is_after", "value": lo},
                                              {"field": field, "operator": "time_is_before", "value": hi}]}


@pytest.mark.parametrize("tree, status", [
    (window(ago(days=40), ago(days=10)), 200),
    (window(ago(days=40, seconds=1), ago(days=10)), 400),
    (window(ago(days=90), ago(days=10), "created_at"), 200),
    ({"operator": "or", "subfilters": [window(ago(days=90), ago(days=10))]}, 400),
    ({"field": "updated_at", "operator": "time_range", "values": [ago(days=40), ago(days=10)]}, 200),
    ({"field": "updated_at", "operator": "time_range", "values": [ago(days=41), ago(days=10)]}, 400),
    ({"field": "created_at", "operator": "time_range", "values": [ago(days=41), ago(days=10)]}, 400),
    ({"field": "updated_at", "operator": "time_is_after", "value": ago(days=300)}, 200),
])
def test_a_window_spans_30_days_at_most(calm, tree, status):
    assert calm.search({"filter": tree}).status_code == status


# -- the other reads --


def test_an_issue_is_read_by_id_and_by_number(calm, truth):
    for issue in (truth["issues"][0], truth["issues"][1234], truth["issues"][-1]):
        assert calm.get("/issues/" + issue["id"]).json()["data"] == issue
        assert calm.get("/issues/%d" % issue["number"]).json()["data"] == issue
    for ref in ("1", "99999999", "x", "0", "00000000-0000-4000-8000-000000000000", "99999999999999999999999"):
        assert calm.get("/issues/" + ref).status_code == 404


def test_messages_come_oldest_first_and_whole(calm, truth):
    by_issue = collections.defaultdict(list)
    for m in truth["messages"]:
        by_issue[m.pop("issue_id")].append(m)
    longest = max(by_issue, key=lambda k: len(by_issue[k]))
    assert len(by_issue[longest]) > 40
    for issue in (longest, truth["issues"][3]["id"], truth["issues"][-1]["id"]):
        got = calm.get("/issues/%s/messages" % issue).json().get("data") or []
        assert got == by_issue[issue]
        assert [when(m["timestamp"]) for m in got] == sorted(when(m["timestamp"]) for m in got)
    for m in truth["messages"]:  # for later tests: as it was
        m["issue_id"] = None
    silent = next(i["id"] for i in truth["issues"] if i["id"] not in by_issue)
    assert list(calm.get("/issues/%s/messages" % silent).json()) == ["request_id"]
    assert calm.get("/issues/none/messages").status_code == 404


def messages_paged(sim, issue, limit):
    got, cursor = [], None
    while True:
        r = sim.get("/issues/%s/messages" % issue, params={"limit": limit, "cursor": cursor})
        assert r.status_code == 200, r.text
        got.append(r.json().get("data") or [])
        cursor = (r.json().get("pagination") or {}).get("cursor")
        if not cursor:
            return got


def test_only_the_new_api_pages_messages(start):
    for profile, paged in (("old", False), ("new", True)):
        sim = start(profile=profile, issues=1, messages=250)
        issue = sim.truth("issues")[0]["id"]
        whole = sim.get("/issues/%s/messages" % issue).json()["data"]
        assert len(whole) == 250
        assert [len(p) for p in messages_paged(sim, issue, 60)] == ([60, 60, 60, 60, 10] if paged else [250])
        assert sim.get("/issues/%s/messages?limit=1001" % issue).status_code == (400 if paged else 200)
        assert sim.get("/issues/%s/messages?limit=0" % issue).status_code == (400 if paged else 200)
        if paged:
            cursor = sim.get("/issues/%s/messages?limit=10" % issue).json()["pagination"]["cursor"]
            page = sim.get("/issues/%s/messages" % issue, params={"cursor": cursor}).json()["data"]
            assert page == whole[10:110]


@pytest.mark.parametrize("kind", ["accounts", "contacts"])
def test_accounts_and_contacts_come_in_pages(calm, truth, kind):
    got, cursor, sizes = [], None, []
    while True:
        page = calm.get("/" + kind, params={"limit": 50, "cursor": cursor}).json()
        got += page["data"]
        sizes.append(len(page["data"]))
        cursor = (page.get("pagination") or {}).get("cursor")
        if not cursor:
            break
    assert got == truth[kind] and sizes[0] == 50
    assert len(calm.get("/" + kind).json()["data"]) == 100
    for bad in ("limit=0", "limit=1000", "limit=x", "cursor=x"):
        assert calm.get("/%s?%s" % (kind, bad)).status_code == 400


def test_users_teams_and_statuses_come_whole(calm, truth):
    users = calm.get("/users").json()
    assert users["data"] == truth["users"] and "pagination" not in users
    assert "@" in users["data"][0]["email"]
    teams = calm.get("/teams").json()["data"]
    assert sum(len(t["users"]) for t in teams) == len(truth["users"])
    statuses = calm.get("/issue-statuses").json()
    assert "pagination" not in statuses
    by_slug = {s["slug"]: s for s in statuses["data"]}
    assert {s["category"] for s in by_slug.values()} == {"new", "waiting_on_you", "waiting_on_customer", "on_hold",
                                                         "closed"}
    assert any(s["is_archived"] for s in by_slug.values())
    assert {i["state"] for i in truth["issues"]} <= set(by_slug)


def test_me_names_the_organisation(start):
    assert set(start(profile="old").get("/me").json()["data"]) == {"id", "name"}
    assert set(start(profile="new").get("/me").json()["data"]) == {"id", "name", "user"}


def test_one_account_and_contacts_by_email(calm, truth):
    account = truth["accounts"][7]
    assert calm.get("/accounts/" + account["id"]).json()["data"] == account
    assert calm.get("/accounts/x").status_code == 404
    contact = next(c for c in truth["contacts"] if "ø" in c["email"])
    r = calm.call("POST", "/contacts/search",
                  json={"filter": {"field": "email", "operator": "equals", "value": contact["email"]}})
    assert r.json()["data"] == [contact]
    r = calm.call("POST", "/contacts/search", json={"filter": {"field": "shoe", "operator": "equals", "value": "4"}})
    assert r.status_code == 400


def test_the_window_list_needs_zones_and_a_short_window(start):
    for profile, days in (("old", 30), ("new", 365)):
        sim = start(profile=profile, issues=300, messages=0)
        lo, hi = ago(days=days), ago(days=0)
        want = [i for i in sim.truth("issues") if when(lo) <= when(i["created_at"]) <= when(hi)]
        r = sim.get("/issues", params={"start_time": lo, "end_time": hi})
        assert r.json()["data"] == want and want
        for start_time, end_time in ((ago(days=days, seconds=1), hi), (hi, lo), (lo, "2026-11-22T12:00:00"), (None, hi)):
            r = sim.get("/issues", params={"start_time": start_time, "end_time": end_time})
            assert r.status_code == 400
    r = sim.get("/issues", params={"start_time": lo, "end_time": hi, "limit": 10}).json()
    assert len(r["data"]) == 10 and r["pagination"]["has_next_page"]
    r2 = sim.get("/issues", params={"start_time": lo, "end_time": hi, "limit": 10, "cursor": r["pagination"]["cursor"]})
    assert r["data"] + r2.json()["data"] == want[:20]


# -- compression --


def raw(sim, path, body=None, **headers):
    c = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=20)
    c.request("POST" if body else "GET", path, body, {"Authorization": "Bearer " + sim.token, **headers})
    r = c.getresponse()
    data = r.read()
    c.close()
    return r, data


def test_answers_are_compressed_for_those_who_accept_it(calm, start):
    body = json.dumps({"limit": 300})
    plain, data = raw(calm, "/issues/search", body)
    assert plain.getheader("Content-Encoding") is None
    for _ in range(2):  # the second comes from the cache, with a request id of its own
        packed, small = raw(calm, "/issues/search", body, **{"Accept-Encoding": "deflate, gzip"})
        assert packed.getheader("Content-Encoding") == "gzip" and len(small) < len(data) / 2
        unpacked = zlib.decompressobj(31)
        text = unpacked.decompress(small)
        assert unpacked.eof and unpacked.unused_data == b""
        assert gzip.decompress(small) == text
        assert json.loads(text)["data"] == json.loads(data)["data"]
        assert json.loads(text)["request_id"] == packed.getheader("x-pylon-request-id")
    assert raw(calm, "/users", **{"Accept-Encoding": "gzip;q=0"})[0].getheader("Content-Encoding") is None
    off = start(gzip="off")
    assert raw(off, "/users", **{"Accept-Encoding": "gzip"})[0].getheader("Content-Encoding") is None


# -- limits --

LIMITS = [("issues", "GET", "/issues", 10, 30), ("search", "POST", "/issues/search", 20, 120),
          ("issue", "GET", "/issues/1001", 60, 300), ("messages", "GET", "/issues/1001/messages", 20, 300),
          ("accounts", "GET", "/accounts", 60, 300), ("contacts", "GET", "/contacts", 60, 300),
          ("users", "GET", "/users", 60, 300), ("teams", "GET", "/teams", 60, 300),
          ("statuses", "GET", "/issue-statuses", 10, 30), ("me", "GET", "/me", 60, 300),
          ("contacts_search", "POST", "/contacts/search", 20, 120)]


@pytest.mark.parametrize("profile", ["old", "new"])
def test_each_endpoint_has_its_own_limit(start, profile):
    sim = start(profile=profile, issues=3, messages=3, accounts=2, users=2)
    for name, method, path, old, new in LIMITS:
        allowed = old if profile == "old" else new
        codes = [sim.call(method, path, json={} if method == "POST" else None).status_code for _ in range(allowed + 2)]
        assert 429 not in codes[:allowed] and codes[allowed:] == [429, 429], name
        assert sim.stats()["max_in_60s"][name] == allowed
    assert sim.stats()["rejected"]["429"] == 2 * len(LIMITS)


def test_a_429_says_how_long_to_wait_in_either_header(start):
    sim = start(profile="new")
    sim.door("limits", group="me", per_min=1, window_s=30)
    sim.get("/me")
    seen = []
    for _ in range(4):
        r = sim.get("/me")
        assert r.status_code == 429 and r.json()["code"] == "rate_limited"
        assert ("Retry-After" in r.headers) != ("X-Retry-After" in r.headers)
        seen.append("Retry-After" in r.headers)
        assert 28 <= int(r.headers.get("Retry-After") or r.headers["X-Retry-After"]) <= 30
    assert seen == [True, False, True, False]
    assert "code" not in start(profile="old").get("/issues/x").json()


def test_the_window_slides_and_rejected_calls_do_not_count(start):
    sim = start(profile="old")
    sim.door("limits", group="me", per_min=5, window_s=1)
    accepted, end = [], time.monotonic() + 2.6
    while time.monotonic() < end:
        before = time.monotonic()
        if sim.get("/me").status_code == 200:
            accepted.append(before)
    assert len(accepted) == 15  # in spite of the rejected ones between
    stats = sim.stats()
    assert stats["max_in_window"]["me"] == 5 and stats["max_in_60s"]["me"] == 15
    assert stats["calls"]["me"] == 15 + stats["rejected"]["429"]


def test_limits_can_be_changed_while_it_runs(start):
    sim = start(profile="old")
    sim.door("limits", profile="none")
    assert {sim.get("/issue-statuses").status_code for _ in range(40)} == {200}
    sim.door("limits", profile="old")
    assert sim.get("/issue-statuses").status_code == 429
    sim.door("limits", profile="generous")
    assert sim.get("/issue-statuses").headers["x-rate-limit-remaining"] == "5959"
    r = requests.post(sim.url + "/_sim/limits", json={"group": "nope", "per_min": 1}, timeout=5)
    assert r.status_code == 400 and "nope" in r.json()["error"]


# -- data --


def test_the_same_seed_gives_the_same_bytes(start):
    def bytes_of(**options):
        sim = start(issues=200, messages=900, **options)
        return requests.get(sim.url + "/_sim/truth", timeout=20).content

    first = bytes_of(seed=5)
    assert first == bytes_of(seed=5)
    assert first != bytes_of(seed=6)


def test_sizes_are_as_ordered(start):
    sim = start(issues=700, messages=4321, accounts=17, users=3, contacts=29, days=60, body_bytes=1500)
    t = sim.truth()
    assert {k: len(v) for k, v in t.items()} == {"issues": 700, "messages": 4321, "accounts": 17, "users": 3,
                                                 "contacts": 29}
    assert min(i["created_at"] for i in t["issues"]) >= ago(days=60)
    assert 1300 < sum(len(i["body_html"].encode()) for i in t["issues"]) / 700 < 1700
    empty = start(issues=0, messages=0, accounts=0, users=0, contacts=0)
    assert empty.search({}).json().keys() == {"request_id"}
    assert empty.get("/accounts").json().keys() == {"request_id"}
    assert start(accounts=12).truth("contacts")[35]


def test_the_year_is_believable(truth):
    issues = truth["issues"]
    hours = collections.Counter(int(i["created_at"][11:13]) for i in issues)
    assert sum(hours[h] for h in range(8, 18)) > 0.7 * len(issues) and len(hours) > 18
    days = collections.Counter(datetime.date.fromisoformat(i["created_at"][:10]).weekday() for i in issues)
    assert 0 < days[5] + days[6] < 0.15 * len(issues)
    numbers = [i["number"] for i in sorted(issues, key=lambda i: (when(i["created_at"]), i["number"]))]
    assert numbers == list(range(1001, 1001 + len(issues)))
    for i in issues:
        times = [when(i[k]) for k in ("first_response_time", "resolution_time", "first_resolution_time",
                                      "latest_message_time") if i[k]]
        assert all(when(i["created_at"]) <= t <= when(i["updated_at"]) for t in times), i["id"]
        assert when(i["updated_at"]) <= when(NOW)
        assert not (i["resolution_time"] and not i["first_resolution_time"])
    closed = [i for i in issues if i["state"].startswith("closed")]
    assert 0.7 * len(issues) < len(closed) < 0.97 * len(issues)
    assert all(i["resolution_time"] for i in closed)
    assert all(i["resolution_time"] is None for i in issues if not i["state"].startswith("closed"))
    assert any(i["first_resolution_time"] and not i["resolution_time"] for i in issues), "none was reopened"
    assert any(i["resolution_time"] and i["resolution_time"] != i["first_resolution_time"] for i in issues)


def test_optional_keys_come_absent_null_and_set(truth):
    issues = truth["issues"]
    for key in ("account", "assignee", "requester", "team", "tags", "first_response_time", "resolution_time",
                "latest_message_time"):
        assert all(key in i for i in issues)
        assert any(i[key] is None for i in issues) and any(i[key] is not None for i in issues), key
    for key in ("first_response_seconds", "resolution_seconds", "slack", "chat_widget_info", "workspace_email",
                "csat_responses", "external_issues", "team_slas", "snoozed_until_time"):
        assert 0 < len([i for i in issues if key in i]) < len(issues), key
    for key in ("attachment_urls", "first_response_breach_time"):
        assert {"absent" if key not in i else i[key] is None for i in issues} == {"absent", True, False}
    assert any("email" not in i["assignee"] for i in issues if i["assignee"])
    assert {i["type"] for i in issues} == {"ticket", "conversation", "Ticket"}
    assert len({i["source"] for i in issues}) == 12


def test_times_come_with_and_without_fractions(truth):
    fractions = collections.Counter(len((re.search(r"\.(\d+)Z", i["updated_at"]) or ["", ""])[1]) for i in truth["issues"])
    assert fractions[0] > 200 and fractions[3] > 200 and fractions[6] > 200 and (fractions[1] or fractions[2])
    assert not any(re.search(r"\.\d*0Z", i["updated_at"]) for i in truth["issues"])


def test_text_is_awkward(truth):
    titles = "\n".join(i["title"] for i in truth["issues"])
    for piece in ("🚨", "👩‍💻", "請求書", "لا يمكن", "e\u0301", '"', "\\", "\t", "\u2028", "𐍈", "\u200b"):
        assert piece in titles, piece
    bodies = "\n".join(i["body_html"] for i in truth["issues"])
    for piece in ("&amp;", "&nbsp;", "<br/>", "<li>", "<blockquote>", "<a href=", "&lt;"):
        assert piece in bodies, piece
    assert any(i["body_html"] == "" for i in truth["issues"])
    tags = {t for i in truth["issues"] for t in i["tags"] or []}
    assert {"a,b", 'say "hi"', "back\\slash", "über", "🔥"} <= tags
    assert any(not u["name"].isascii() for u in truth["users"])
    assert any(not c["name"].isascii() for c in truth["contacts"])
    assert any(c["email"] == "" for c in truth["contacts"]) and any("@" in c["email"] for c in truth["contacts"])


def test_strings_are_escaped_in_every_style(calm):
    text = raw(calm, "/issues/search", json.dumps({"limit": 999}))[1]
    assert b"\\u003cp\\u003e" in text and b"<p>" in text
    assert re.search(rb"\\ud83d\\ud[c-f]", text) and "🚨".encode() in text


def test_custom_fields_come_in_both_shapes(truth):
    shapes = collections.Counter(type(i["custom_fields"]).__name__ for i in truth["issues"])
    assert 0.03 < shapes["list"] / len(truth["issues"]) < 0.07
    slugs, multi = collections.Counter(), []
    for i in truth["issues"]:
        cf = i["custom_fields"]
        for f in ([dict(f, slug=s) for s, f in cf.items()] if isinstance(cf, dict) else cf):
            slugs[f["slug"]] += 1
            if "values" in f:
                multi.append(f)
    assert {"priority", "category", "handler", "resolution-type", "self-servable", "area", "chat_widget.os"} <= set(slugs)
    assert all(f["value"] == "" for f in multi) and any(f["values"] is None for f in multi)
    assert any(len(f["values"] or []) > 1 for f in multi)


def test_many_records_share_a_moment_also_across_pages(truth):
    issues = truth["issues"]
    updated = collections.Counter(i["updated_at"] for i in issues)
    assert len([n for n in updated.values() if 5 <= n <= 40]) > 20
    created = collections.Counter(i["created_at"] for i in issues)
    assert len([n for n in created.values() if n > 1]) > 20
    for key, size in (("updated_at", 100), ("updated_at", 999), ("created_at", 100)):
        borders = [k for k in range(size, len(issues), size) if issues[k - 1][key] == issues[k][key]]
        assert borders, (key, size)


def test_messages_have_every_kind_of_author(truth):
    kinds = collections.Counter()
    for m in truth["messages"]:
        author = m["author"]
        kinds["user" if author.get("user") else "contact" if author.get("contact") else "neither"] += 1
        assert not (author.get("contact") and m["is_private"])
        assert ("thread_id" in m) == m["is_private"]
    assert min(kinds.values()) > 200 and len(kinds) == 3
    assert any(m["is_private"] for m in truth["messages"])
    html = "\n".join(m["message_html"] for m in truth["messages"])
    for piece in ("<p>", "<br/>", "<br>", "<ul>", "<ol>", "<a href", "&amp;", "<div>", "<blockquote>"):
        assert piece in html, piece
    assert any(m["message_html"] == "" for m in truth["messages"])
    assert any("email_info" in m for m in truth["messages"])


def test_latest_message_time_is_that_of_the_newest_message(start):
    sim = start(issues=300, messages=2000)
    t = sim.truth()
    newest, count = {}, collections.Counter()
    for m in t["messages"]:
        newest[m["issue_id"]] = m["timestamp"]
        count[m["issue_id"]] += 1
    for i in t["issues"]:
        assert i["latest_message_time"] == newest.get(i["id"]) or (
            i["id"] not in newest and i["latest_message_time"] == i["created_at"])
    silent = [i for i in t["issues"] if i["id"] not in newest]
    assert {i["latest_message_time"] is None for i in silent} == {True, False}
    assert max(count.values()) > 5 * 2000 / 300


# -- control door: holding --


def test_a_held_page_waits_and_blocks_nobody(start):
    sim = start()
    sim.door("hold", endpoint="search", page=3)
    thread = background(sim.walk, {"limit": 100})
    wait_until(lambda: sim.stats()["held"] == 1)
    assert sim.stats()["pages_served"] == 2 and thread.is_alive()
    assert sim.get("/me").status_code == 200
    other = requests.Session()
    assert sim.search({"limit": 5}, session=other).status_code == 200
    assert sim.door("release")["released"] == 1
    thread.join(10)
    assert len(thread.result[0]) == 400
    assert sim.stats()["held"] == 0 and sim.stats()["pages_served"] == 5


def test_several_holds_and_absolute_pages(start):
    sim = start()
    sim.search({})
    sim.door("hold", endpoint="search", page=2, absolute=True)
    sim.door("hold", endpoint="me", page=1)
    threads = [background(sim.search, {}, session=requests.Session()), background(sim.get, "/me", session=requests.Session())]
    wait_until(lambda: sim.stats()["held"] == 2)
    sim.door("release")
    for t in threads:
        t.join(10)
        assert t.result[0].status_code == 200
    sim.door("hold", endpoint="search", page=1)
    sim.door("release")  # also takes back what has caught nobody yet
    assert sim.search({}).status_code == 200
    r = requests.post(sim.url + "/_sim/hold", json={"endpoint": "search", "page": 1, "absolute": True}, timeout=5)
    assert r.status_code == 400
    r = requests.post(sim.url + "/_sim/hold", json={"endpoint": "nope", "page": 1}, timeout=5)
    assert r.status_code == 400 and "nope" in r.json()["error"]


def test_a_held_client_that_goes_away_is_forgotten(start):
    sim = start()
    sim.door("hold", endpoint="search", page=1)
    s = socket.create_connection(("127.0.0.1", sim.port))
    body = b'{"limit":5}'
    s.sendall(b"POST /issues/search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sim-token\r\nContent-Length: %d\r\n\r\n"
              % len(body) + body)
    wait_until(lambda: sim.stats()["held"] == 1)
    s.close()
    wait_until(lambda: sim.stats()["held"] == 0)
    assert sim.stats()["pages_served"] == 0


# -- control door: failing --


def test_failing_with_a_status(start):
    sim = start(profile="new")
    sim.door("fail", endpoint="search", mode="status", status=503, count=2, after=1)
    assert [sim.search({}).status_code for _ in range(4)] == [200, 503, 503, 200]
    sim.door("fail", endpoint="*", mode="status", status=429, retry_after=2)
    r = sim.get("/users")
    assert r.status_code == 429 and r.headers["Retry-After"] == "2" and r.json()["code"] == "rate_limited"
    sim.door("fail", endpoint="users", mode="status", status=429, retry_after=3, x_header=True)
    assert sim.get("/me").status_code == 200
    assert sim.get("/users").headers["X-Retry-After"] == "3"
    stats = sim.stats()
    assert stats["failed"] == 4 and stats["rejected"] == {"429": 0} and stats["pages_served"] == 2
    sim.door("fail", endpoint="me", count=100)
    assert sim.get("/me").status_code == 503
    sim.door("fail", clear=True)
    assert sim.get("/me").status_code == 200
    for bad in ({"endpoint": "nope"}, {"mode": "odd"}, {"status": 20}, {"count": 0}):
        assert requests.post(sim.url + "/_sim/fail", json=bad, timeout=5).status_code == 400, bad


def test_failing_by_breaking_the_connection(start):
    sim = start()
    sim.door("fail", endpoint="search", mode="reset")
    with pytest.raises(requests.ConnectionError) as e:
        sim.search({}, session=requests.Session())
    assert "reset" in str(e.value)
    assert sim.search({}).status_code == 200
    sim.door("fail", endpoint="search", mode="truncate")
    c = http.client.HTTPConnection("127.0.0.1", sim.port, timeout=10)
    c.request("POST", "/issues/search", '{"limit":200}', {"Authorization": "Bearer sim-token"})
    r = c.getresponse()
    with pytest.raises(http.client.IncompleteRead) as e:
        r.read()
    announced = int(r.getheader("Content-Length"))
    assert len(e.value.partial) == announced // 2 and announced > 100000
    assert sim.stats()["pages_served"] == 1 and sim.stats()["failed"] == 2


def test_failing_by_never_answering(start):
    sim = start()
    sim.door("fail", endpoint="search", mode="hang")
    with pytest.raises(requests.Timeout):
        requests.post(sim.url + "/issues/search", json={}, timeout=0.3, headers={"Authorization": "Bearer sim-token"})
    wait_until(lambda: sim.stats()["hanging"] == 0)
    sim.door("fail", endpoint="search", mode="hang")
    thread = background(sim.search, {}, session=requests.Session())
    wait_until(lambda: sim.stats()["hanging"] == 1)
    sim.door("fail", clear=True)
    thread.join(10)
    assert isinstance(thread.result[0], requests.ConnectionError)


def test_failing_with_wrong_content(start):
    sim = start()
    for endpoint in ("search", "accounts", "messages"):
        def call():
            return {"search": lambda: sim.search({}), "accounts": lambda: sim.get("/accounts"),
                    "messages": lambda: sim.get("/issues/1001/messages")}[endpoint]()
        sim.door("fail", endpoint=endpoint, mode="garbage")
        r = call()
        assert r.status_code == 200 and r.headers["content-type"] == "application/json"
        with pytest.raises(ValueError):
            json.loads(r.content)
        sim.door("fail", endpoint=endpoint, mode="empty")
        r = call()
        assert r.status_code == 200 and r.content == b"" and r.headers["Content-Length"] == "0"
        sim.door("fail", endpoint=endpoint, mode="html")
        r = call()
        assert r.status_code == 502 and r.headers["content-type"] == "text/html" and "<html>" in r.text
        sim.door("fail", endpoint=endpoint, mode="wrong_shape", count=6)
        for _ in range(6):
            d = call().json()
            page = d.get("data") if isinstance(d, dict) else None
            assert not (isinstance(page, list) and all(isinstance(i, dict) and isinstance(i.get("id"), str) for i in page))
        assert call().status_code == 200


def test_failing_by_repeating_the_cursor(start):
    sim = start()
    sim.door("fail", endpoint="search", mode="repeat_cursor", count=1)
    first = sim.search({"limit": 300}).json()  # brings none, so there is none to repeat
    cursor = first["pagination"]["cursor"]
    second = sim.search({"limit": 300, "cursor": cursor}).json()
    assert second["pagination"] == {"cursor": cursor, "has_next_page": True} and len(second["data"]) == 100
    third = sim.search({"limit": 300, "cursor": cursor}).json()
    assert not (third.get("pagination") or {}).get("has_next_page")
    assert third["data"] == second["data"]


# -- control door: editing --


def test_the_clock_can_be_moved_and_stopped(start):
    sim = start()
    sim.door("clock", freeze=True)
    now = sim.door("clock", set="2027-01-01T00:00:00Z")["now"]
    assert now == "2027-01-01T00:00:00Z"
    assert sim.patch(1001, title="x")["updated_at"] == now
    sim.door("clock", advance_s=90)
    assert sim.patch(1001, title="x")["updated_at"] == "2027-01-01T00:01:30Z"
    assert sim.stats()["now"] == "2027-01-01T00:01:30Z"
    sim.door("clock", freeze=False)
    wait_until(lambda: sim.stats()["now"] > "2027-01-01T00:01:30.01")


def test_an_edit_is_seen_everywhere(start):
    sim = start()
    issue = sim.truth("issues")[10]
    user, account = sim.truth("users")[2], sim.truth("accounts")[3]
    edited = sim.patch(issue["id"], title="Neu: 'é' \u2028 🙂", assignee_id=user["id"], account_id=account["id"],
                       tags=["x,y", "z"], state="on_hold", body_html="<p>short</p>", made_up={"a": [1, None]},
                       custom_fields=[{"slug": "priority", "value": "urgent"}, {"slug": "brand_new", "values": ["1"]}])
    assert edited["title"] == "Neu: 'é' \u2028 🙂" and edited["tags"] == ["x,y", "z"]
    assert edited["assignee"]["id"] == user["id"] and edited["account"]["id"] == account["id"]
    assert edited["made_up"] == {"a": [1, None]} and edited["body_html"] == "<p>short</p>"
    assert when(edited["updated_at"]) > when(NOW) and edited["created_at"] == issue["created_at"]
    assert sim.get("/issues/" + issue["id"]).json()["data"] == edited
    assert sim.truth("issues")[10] == edited
    assert edited in sim.walk()
    assert issue["id"] in sim.found("assignee_id", "equals", user["id"])
    assert issue["id"] in sim.found("tags", "contains", "x,y")
    assert issue["id"] in sim.found("priority", "equals", "urgent")
    assert sim.found("updated_at", "time_is_after", NOW) == {issue["id"]}
    assert sim.patch(issue["id"], assignee_id="", tags=None)["assignee"] is None
    for bad in ({"id": "x"}, {"number": 5}, {"account_id": "nobody"}, {"custom_fields": [{"value": "x"}]}):
        r = requests.patch(sim.url + "/_sim/issues/" + issue["id"], json={"title": "no", **bad}, timeout=5)
        assert r.status_code == 400, bad
    assert sim.get("/issues/" + issue["id"]).json()["data"]["title"] == edited["title"]
    assert requests.patch(sim.url + "/_sim/issues/nope", json={}, timeout=5).status_code == 404


def test_an_edit_may_be_backdated_or_odd(start):
    sim = start()
    issue = sim.truth("issues")[0]
    old = "2026-01-02T03:04:05.678Z"
    edited = sim.patch(issue["id"], updated_at=old, created_at="2026-01-01T00:00:00Z")
    assert edited["updated_at"] == old
    order = [i["id"] for i in sim.walk({"limit": 50})]
    assert order == [i["id"] for i in sim.truth("issues")] and order.index(issue["id"]) > 100
    odd = sim.patch(issue["id"], state=5, updated_at=None, custom_fields="none", number_of_touches="many")
    assert (odd["state"], odd["updated_at"], odd["custom_fields"], odd["number_of_touches"]) == (5, None, "none", "many")
    shaped = sim.patch(issue["id"], custom_fields={"priority": {"value": "low"}}, custom_fields_shape="array")
    assert {"slug": "priority", "value": "low"} in shaped["custom_fields"] and "custom_fields_shape" not in shaped


def test_closing_and_reopening_move_the_times(start):
    sim = start()
    issue = next(i for i in sim.truth("issues") if i["state"] == "new" and not i["first_resolution_time"])
    closed = sim.patch(issue["id"], state="closed")
    assert closed["resolution_time"] == closed["first_resolution_time"] == closed["updated_at"]
    opened = sim.patch(issue["id"], state="waiting_on_you")
    assert opened["resolution_time"] is None and opened["first_resolution_time"] == closed["first_resolution_time"]


def test_issues_are_made_and_deleted(start):
    sim = start(issues=50)
    highest = max(i["number"] for i in sim.truth("issues"))
    made = requests.post(sim.url + "/_sim/issues", json={"title": "Fresh"}, timeout=5).json()
    assert made["title"] == "Fresh" and made["number"] == highest + 1 and made["state"] == "new"
    assert sim.search({"limit": 1}).json()["data"] == [made]
    assert sim.get("/issues/%d" % made["number"]).json()["data"] == made
    backdated = requests.post(sim.url + "/_sim/issues", json={"created_at": ago(days=100)}, timeout=5).json()
    assert [i["id"] for i in sim.walk()].index(backdated["id"]) > 0
    victim = sim.truth("issues")[20]
    assert requests.delete(sim.url + "/_sim/issues/" + victim["id"], timeout=5).status_code == 200
    assert requests.delete(sim.url + "/_sim/issues/" + victim["id"], timeout=5).status_code == 404
    assert sim.get("/issues/" + victim["id"]).status_code == 404
    assert sim.get("/issues/%d" % victim["number"]).status_code == 404
    left = sim.walk()
    assert len(left) == 51 and victim["id"] not in {i["id"] for i in left}
    assert all(sim.get("/issues/" + i["id"]).status_code == 200 for i in left)
    while left:
        requests.delete(sim.url + "/_sim/issues/" + left.pop()["id"], timeout=5)
        assert all(sim.get("/issues/" + i["id"]).json()["data"] == i for i in left[-12:] + left[:3])


def test_a_new_message_moves_the_issue(start):
    sim = start()
    issue = next(i for i in sim.truth("issues") if i["first_response_time"] is None)
    url = sim.url + "/_sim/issues/" + issue["id"] + "/messages"
    message = requests.post(url, json={"author": "user", "message_html": "<p>hi</p>"}, timeout=5).json()
    after = sim.get("/issues/" + issue["id"]).json()["data"]
    assert after["latest_message_time"] == message["timestamp"] == after["updated_at"]
    assert when(after["updated_at"]) > when(NOW)
    assert after["first_response_time"] == message["timestamp"]
    assert sim.get("/issues/%s/messages" % issue["id"]).json()["data"][-1] == message
    assert message["author"]["user"] and message["message_html"] == "<p>hi</p>"
    note = requests.post(url, json={"author": {"name": "Bot"}, "is_private": True, "timestamp": ago(days=400)},
                         timeout=5).json()
    assert note["author"] == {"name": "Bot"} and note["is_private"]
    messages = sim.get("/issues/%s/messages" % issue["id"]).json()["data"]
    assert messages[0] == note and messages[-1] == message
    again = sim.get("/issues/" + issue["id"]).json()["data"]
    assert again["latest_message_time"] == message["timestamp"]
    assert when(again["updated_at"]) > when(after["updated_at"])
    assert requests.post(url, json={"timestamp": "soon"}, timeout=5).status_code == 400


def test_churn_edits_between_pages(start):
    sim = start(issues=600)
    before = {i["id"]: i for i in sim.truth("issues")}
    sim.door("churn", per_page=10, until_pages=3)
    for _ in sim.pages({"limit": 100}):
        pass
    after = {i["id"]: i for i in sim.truth("issues")}
    changed = {k for k in before if before[k] != after[k]}
    assert sim.stats()["edits"] == 30 and 20 < len(changed) <= 30
    assert all(when(after[k]["updated_at"]) > when(NOW) for k in changed)
    assert sim.found("updated_at", "time_is_after", NOW) == changed
    sim.door("churn", per_page=200)
    sim.search({})
    kinds = {key for k in before for key in ("title", "state", "tags", "latest_message_time")
             if before[k][key] != sim.get("/issues/" + k).json()["data"][key]}
    assert kinds == {"title", "state", "tags", "latest_message_time"}
    sim.door("churn", per_page=0)
    edits = sim.stats()["edits"]
    sim.search({})
    assert sim.stats()["edits"] == edits == 230


def test_churn_of_the_same_seed_is_the_same(start):
    def after():
        sim = start(issues=200)
        sim.door("clock", set="2026-11-22T13:00:00Z", freeze=True)
        sim.door("churn", per_page=20)
        sim.walk({"limit": 50})
        return requests.get(sim.url + "/_sim/truth", timeout=20).content

    assert after() == after()


def test_a_walk_by_keyset_misses_nothing_that_was_there_throughout(start):
    sim = start(issues=600)
    ids = {i["id"] for i in sim.truth("issues")}
    sim.door("churn", per_page=30)
    assert {i["id"] for i in sim.walk({"limit": 50})} == ids


# -- control door: the rest --


def test_stats_count_what_went_out(start):
    sim = start(profile="new")
    pages = list(sim.pages({"limit": 100}))
    sim.get("/users")
    sim.get("/users", headers={"Authorization": "Bearer wrong"})
    sim.search({"limit": 0})
    s = sim.stats()
    assert s["calls"]["search"] == len(pages) + 1 and s["pages_served"] == len(pages) == s["answers"]["search"]
    assert s["calls"]["users"] == 2 and s["rejected"] == {"400": 1, "401": 1, "429": 0}
    assert s["max_in_60s"]["users"] == 1
    assert 0 < s["bytes"] < s["bytes_raw"]
    for _ in range(50):  # what a client has seen is always counted
        before = sim.stats()["pages_served"]
        sim.search({"limit": 1})
        assert sim.stats()["pages_served"] == before + 1


def test_calls_are_logged_with_their_moment_and_status(start):
    sim = start(profile="none")
    began = time.monotonic()
    sim.search({"limit": 1})
    sim.get("/users", headers={"Authorization": "Bearer wrong"})
    sim.door("fail", endpoint="me", mode="status", status=503)
    sim.get("/me")
    sim.door("fail", endpoint="me", mode="reset")
    with pytest.raises(requests.exceptions.ConnectionError):
        sim.get("/me")
    log = requests.get(sim.url + "/_sim/calls", timeout=5).json()
    assert [c[1:] for c in log["calls"]] == [["search", 200], ["users", 401], ["me", 503], ["me", 0]] and log["n"] == 4
    assert all(began <= at / 1e6 <= time.monotonic() for at, _, _ in log["calls"])
    assert requests.get(sim.url + "/_sim/calls?since=3", timeout=5).json()["calls"] == log["calls"][3:]


def test_truth_of_one_kind(calm, truth):
    for kind in ("issues", "accounts", "users", "contacts"):
        assert calm.truth(kind) == truth[kind]
    assert requests.get(calm.url + "/_sim/truth?kind=nope", timeout=5).status_code == 400
    assert requests.get(calm.url + "/_sim/nope", timeout=5).status_code == 404


def test_truth_is_of_one_moment(start):
    """It is read slowly while edits go on, and shows none of them."""
    sim = start(issues=20000, messages=0)
    want = requests.get(sim.url + "/_sim/truth?kind=issues", timeout=60).content
    r = requests.get(sim.url + "/_sim/truth?kind=issues", stream=True, timeout=60)
    got = r.raw.read(1000)
    for number in range(20900, 21000):
        sim.patch(number, title="later")
    requests.delete(sim.url + "/_sim/issues/1005", timeout=5)
    assert got + r.raw.read() == want
    assert sim.truth("issues") != json.loads(want)["issues"]


def test_latency_is_kept(start):
    sim = start(latency_ms=150)
    began = time.monotonic()
    sim.get("/me")
    assert time.monotonic() - began > 0.15
    began = time.monotonic()
    sim.stats()
    assert time.monotonic() - began < 0.1


def test_many_clients_at_once(start):
    sim = start(issues=2000, messages=0)
    want = sim.truth("issues")
    sessions = [requests.Session() for _ in range(8)]
    threads = [background(lambda s=s: [sim.search({"limit": 999}, session=s).json()["data"] for _ in range(5)]) for s in sessions]
    for t in threads:
        t.join(60)
        assert t.result[0] == [want[:999]] * 5
