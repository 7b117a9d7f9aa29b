"""Bad input: one line that names the field and what would be right, a 4xx or an exit status, and nothing written."""
import json

import pytest
import requests

GOOD_INTEGRATION = {"organization": "acme", "name": "new", "vendor": "pylon", "base_url": "http://127.0.0.1:9", "token": "tok"}


def written(stack):
    """Everything that a request could have changed."""
    return {t: stack.sql(f"SELECT t::text FROM {t} t ORDER BY 1") for t in ("organizations", "integrations", "schedules", "jobs")}


def but(**changes):
    body = {**GOOD_INTEGRATION, **changes}
    return {k: v for k, v in body.items() if v is not None}


REQUESTS = [
    # what, method, path, body, status, field
    ("an unknown integration", "POST", "pulls", {"integration": "acme/nope"}, 404, "integration"),
    ("no integration", "POST", "pulls", {}, 400, "integration"),
    ("an integration of the wrong type", "POST", "pulls", {"integration": [1]}, 400, "integration"),
    ("a field that is none", "POST", "pulls", {"integration": "acme/desk1", "fast": True}, 400, "fast"),
    ("a string for a boolean", "POST", "pulls", {"integration": "acme/desk1", "full": "yes"}, 400, "full"),
    ("a span that ends before it begins", "POST", "backfills", {"integration": "acme/desk1", "from": "2026-03-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}, 400, "from"),
    ("a date that is none", "POST", "backfills", {"integration": "acme/desk1", "from": "2026-02-30T00:00:00Z"}, 400, "from"),
    ("words for a date", "POST", "backfills", {"integration": "acme/desk1", "to": "yesterday-ish"}, 400, "to"),
    ("an unknown kind of job", "POST", "jobs", {"kind": "make_coffee"}, 400, "kind"),
    ("an argument that the kind does not take", "POST", "jobs", {"kind": "noop", "args": {"loop": 1}}, 400, "args"),
    ("an argument out of range", "POST", "jobs", {"kind": "noop", "args": {"sleep_ms": -1}}, 400, "args"),
    ("a job for an unknown integration", "POST", "jobs", {"kind": "noop", "integration": 4711}, 404, "integration"),
    ("a moment that is none", "POST", "jobs", {"kind": "noop", "run_at": "soon"}, 400, "run_at"),
    ("an organization without a slug", "POST", "organizations", {"name": "x"}, 400, "slug"),
    ("a slug with blanks", "POST", "organizations", {"slug": "a b", "name": "x"}, 400, "slug"),
    ("an unknown zone", "POST", "organizations", {"slug": "x", "name": "x", "timezone": "Mars/Olympus"}, 400, "timezone"),
    ("an organization twice", "POST", "organizations", {"slug": "acme", "name": "x"}, 409, "slug"),
    ("an unknown vendor", "POST", "integrations", but(vendor="abacus"), 400, "vendor"),
    ("an unknown organization", "POST", "integrations", but(organization="nope"), 404, "organization"),
    ("a URL that is none", "POST", "integrations", but(base_url="not a url"), 400, "base_url"),
    ("a URL of another scheme", "POST", "integrations", but(base_url="ftp://x"), 400, "base_url"),
    ("a URL with a password", "POST", "integrations", but(base_url="https://u:p@x.example"), 400, "base_url"),
    ("plain http to elsewhere", "POST", "integrations", but(base_url="http://api.usepylon.com"), 400, "base_url"),
    ("no token", "POST", "integrations", but(token=None), 400, "token"),
    ("a token with a line break", "POST", "integrations", but(token="a\nb: c"), 400, "token"),
    ("an integration twice", "POST", "integrations", but(name="desk1"), 409, "name"),
    ("a page size out of range", "POST", "integrations", but(settings={"page_size": 1000}), 400, "settings.page_size"),
    ("a setting that is none", "POST", "integrations", but(settings={"pagesize": 10}), 400, "settings.pagesize"),
    ("a malformed cron", "POST", "integrations", but(schedule="61 * * * *"), 400, "schedule"),
    ("a cron of four fields", "POST", "schedules", {"integration": "acme/desk1", "kind": "issue_pull", "cron": "* * * *", "timezone": "UTC"}, 400, "cron"),
    ("a cron that never comes", "POST", "schedules", {"integration": "acme/desk1", "kind": "issue_pull", "cron": "0 0 30 2 *", "timezone": "UTC"}, 400, "cron"),
    ("a schedule in an unknown zone", "POST", "schedules", {"integration": "acme/desk1", "kind": "issue_pull", "cron": "* * * * *", "timezone": "Europe/Atlantis"}, 400, "timezone"),
    ("an unknown misfire policy", "POST", "schedules", {"integration": "acme/desk1", "kind": "issue_pull", "cron": "* * * * *", "timezone": "UTC", "misfire": "panic"}, 400, "misfire"),
    ("a job that there is not", "POST", "jobs/987654/cancel", {}, 404, None),
    ("a job id that is none", "GET", "jobs/abc", None, 404, None),
    ("an unknown query parameter", "GET", "jobs?colour=red", None, 400, "colour"),
    ("an unknown state", "GET", "jobs?state=asleep", None, 400, "state"),
    ("a page that is too long", "GET", "jobs?limit=1000000", None, 400, "limit"),
    ("a path that there is not", "GET", "nowhere", None, 404, None),
    ("a method that it has not", "DELETE", "pulls", None, 405, None),
]


def test_bad_requests(stack):
    """Each is a problem document that names the field; none leaves anything behind."""
    stack.vendor("pylon", issues=1, messages=0)
    before = written(stack)
    wrong = []
    for what, method, path, body, status, field in REQUESTS:
        answer = stack.http(method, f"/api/v1/{path}", body)
        problem = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
        fine = status in (answer.status_code, {400: 404}.get(status) if field is None else status)
        fine = fine and answer.headers["Content-Type"].startswith("application/problem+json") and problem.get("detail") and "\n" not in problem["detail"]
        if field is not None:
            fine = fine and (problem.get("field") == field or str(problem.get("field")).startswith(field + "."))
        if not fine:
            wrong.append(f"{what}: expected {status} {field}, got {answer.status_code} {answer.text.strip()}")
    assert not wrong, "\n".join(wrong)
    assert written(stack) == before


@pytest.mark.parametrize("what, body", [
    ("cut off", b'{"integration": "acme/de'), ("not JSON", b"integration=acme"), ("an array", b"[]"), ("not UTF-8", b'{"integration": "\xff\xfe"}'),
    ("trailing text", b'{} {}'), ("the same key twice", b'{"integration": "acme/desk1", "integration": "acme/desk1"}'), ("very deep", b'{"integration":' + b"[" * 100000),
], ids=lambda x: x if isinstance(x, str) else "")
def test_malformed_json(stack, what, body):
    stack.vendor("pylon", issues=1, messages=0)
    before = written(stack)
    answer = requests.post(stack.api().url + "/api/v1/pulls", data=body, timeout=30,
                           headers={"Authorization": f"Bearer {stack.api_key}", "Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert "\n" not in answer.json()["detail"]
    assert written(stack) == before


def test_an_oversized_body_is_refused_without_being_read(stack):
    before = written(stack)
    answer = requests.post(stack.api().url + "/api/v1/organizations", data=b'{"slug": "' + b"x" * (64 << 20), timeout=60,
                           headers={"Authorization": f"Bearer {stack.api_key}", "Content-Type": "application/json"})
    assert answer.status_code == 413, answer.text
    assert written(stack) == before


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong-key-wrong-key"}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}],
                         ids=["none", "wrong", "basic", "empty"])
def test_without_the_key_nothing_is_shown_or_done(stack, headers):
    url = stack.api().url
    before = written(stack)
    for method, path, body in [("GET", "/api/v1/jobs", None), ("GET", "/api/sync/status", None), ("POST", "/api/v1/organizations", {"slug": "x", "name": "x"})]:
        answer = requests.request(method, url + path, json=body, headers=headers, timeout=30)
        assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
        assert stack.api_key not in answer.text
    assert written(stack) == before
    assert requests.get(url + "/healthz", timeout=30).status_code == 200


COMMANDS = [
    # what, words, exit status, what the line must name
    ("an unknown command", ["dance"], 2, "dance"),
    ("an unknown option", ["pull", "acme/desk1", "--fast"], 2, "--fast"),
    ("an option without its value", ["backfill", "acme/desk1", "--from"], 2, "from"),
    ("a missing word", ["backfill"], 2, "INTEGRATION"),
    ("a word too many", ["pull", "acme/desk1", "and", "more"], 2, ""),
    ("an unknown integration", ["pull", "acme/nope"], 4, "acme/nope"),
    ("a bad date", ["backfill", "acme/desk1", "--from", "2026-13-01"], 2, "from"),
    ("a span that ends before it begins", ["backfill", "acme/desk1", "--from", "2026-03-01", "--to", "2026-02-01"], 2, "from"),
    ("an unknown zone", ["org", "add", "x", "--timezone", "Mars/Olympus"], 2, "timezone"),
    ("a bad slug", ["org", "add", "Not A Slug"], 2, "slug"),
    ("a job that there is not", ["job", "show", "987654"], 4, "987654"),
    ("a job id that is none", ["job", "show", "abc"], 2, "abc"),
    ("an unknown state", ["jobs", "--state", "asleep"], 2, "state"),
]


def test_bad_commands(stack):
    stack.vendor("pylon", issues=1, messages=0)
    before = written(stack)
    wrong = []
    for what, words, status, names in COMMANDS:
        for extra in ([], ["--json"]):
            done = stack.run_cli(*words, *extra)
            lines = done.stderr.strip().splitlines()
            if done.returncode != status or names.lower() not in done.stderr.lower() or not lines or (words and len(lines) > 2):
                wrong.append(f"{what} ({' '.join(words + extra)}): expected exit {status} naming {names!r}, got {done.returncode}: {done.stderr.strip()} {done.stdout.strip()[:200]}")
    assert not wrong, "\n".join(wrong)
    assert written(stack) == before


def test_bad_tokens_and_addresses_on_the_command_line(stack):
    stack.vendor("pylon", issues=1, messages=0)
    before = written(stack)
    words = ["integration", "add", "acme/new", "--vendor", "pylon"]
    for more, names in [(["--base-url", "ftp://x", "--token", "t"], "base_url"), ([], "--token"), (["--token", "-"], "--token"),
                        (["--token", "t", "--settings", "{"], "--settings"), (["--token", "t", "--schedule", "* * *"], "schedule")]:
        done = stack.run_cli(*words, *more)
        assert done.returncode == 2 and names in done.stderr and len(done.stderr.strip().splitlines()) == 1, (more, done.stderr)
    assert written(stack) == before


def test_who_is_asked_and_with_what_key(stack):
    stack.api()
    wrong_key = stack.run_cli("queues", env=stack.env(DESKMILL_API_KEY="wrong-key-wrong-key"))
    assert wrong_key.returncode == 6 and "DESKMILL_API_KEY" in wrong_key.stderr
    nobody = stack.run_cli("queues", env=stack.env(DESKMILL_API_URL="http://127.0.0.1:1"))
    assert nobody.returncode == 5 and "127.0.0.1:1" in nobody.stderr
    for done in (wrong_key, nobody):
        assert len(done.stderr.strip().splitlines()) == 1
        assert stack.api_key not in done.stderr + done.stdout


def test_json_is_json_everywhere(stack):
    """--json on everything, also where there is nothing to show."""
    desk = stack.vendor("pylon", issues=5, messages=0, schedule="*/5 * * * *")
    job = stack.pull(desk)
    for words in (["jobs"], ["job", "show", job], ["queues"], ["workers"], ["schedules"], ["log"], ["integration", "list"], ["org", "list"]):
        done = stack.run_cli(*words, "--json")
        assert done.returncode == 0, done.stderr
        json.loads(done.stdout)
        plain = stack.run_cli(*words)
        assert plain.returncode == 0 and "\x1b" not in plain.stdout, "no colours where there is no terminal"
