"""stack - Deskmill's processes around one test: a database, a Redis, simulated help desks, workers, and verbs to steer and watch them.

Every process logs to a file of its own that is printed when the test fails; every process is stopped by pid at the end. A process that
dies by itself, does not stop when asked, or leaves a sanitizer's report fails the test.
"""
import contextlib
import datetime
import json
import os
import pathlib
import re
import secrets
import signal
import subprocess
import time

import psycopg
import psycopg.rows
import psycopg.types.datetime
import redis as redis_client
import requests

import oracle
import services

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("DESKMILL_BUILD", "build/asan")
BIN = BUILD / "bin"
SIM = BUILD / "tests" / "vendorsim" / "vendorsim"
SANITIZER = re.compile(r"ERROR: \w*Sanitizer|runtime error:|SUMMARY: \w*Sanitizer")
FIELD = re.compile(r'([A-Za-z0-9_.]+)=("(?:[^"\\]|\\.)*"|\S*)')
ENDED = {"done", "dead", "cancelled"}
NO_LIMITS = dict.fromkeys(("search", "messages", "accounts", "contacts", "users"), 100000)  # calls a minute, by budget class


def binary(name):
    path = {"vendorsim": SIM, "deskmill-worker-next": BUILD / "tests" / "next" / name}.get(name, BIN / name)
    assert path.exists(), f"{path} has not been built"
    return path


def base_env():
    env = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")}
    env.setdefault("ASAN_OPTIONS", "halt_on_error=1:exitcode=99")
    env.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1:exitcode=99")
    env["LC_ALL"] = "C.UTF-8"
    return env


class Moment(psycopg.types.datetime.TimestamptzLoader):
    """Takes infinity too: as the last moment that Python knows."""

    def load(self, data):
        return datetime.datetime.max.replace(tzinfo=datetime.timezone.utc) if bytes(data) == b"infinity" else super().load(data)


class Answer(dict):
    """A JSON object whose members can be read as attributes."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no {name} in {dict(self)}") from None


class CliError(AssertionError):
    def __init__(self, argv, code, out, err):
        super().__init__(f"deskmill {' '.join(map(str, argv))}: exit {code}\n{out}{err}")
        self.code, self.out, self.err = code, out, err


class Lines(list):
    """Lines of the log, as dicts."""

    @property
    def count(self):  # as in: assert stack.log("job.done", job=1).count == 1
        return len(self)

    def column(self, key):
        return [line.get(key) for line in self]


class Desk:
    """One simulated help desk and its integration."""

    def __init__(self, stack, proc, url, integration, number):
        self.stack, self.proc, self.url = stack, proc, url
        self.integration = integration  # as the command line names it
        self.id = number

    def door(self, method, verb, body=None, **query):
        answer = requests.request(method, f"{self.url}/_sim/{verb}", json=body, params=query, timeout=60)
        assert answer.ok, f"{method} /_sim/{verb}: {answer.status_code} {answer.text}"
        return answer.json()

    def raw(self, kind=None):
        return self.door("GET", "truth", **({"kind": kind} if kind else {}))

    def truth(self, kind):
        """The rows that the table must hold when everything has been pulled."""
        return oracle.expected(kind, {**self.raw(kind), **(self.raw("contacts") if kind == "users" else {})})

    def stats(self):
        return Answer(self.door("GET", "stats"))

    def calls(self, *endpoints):
        """Calls so far, of the endpoints given or of all."""
        calls = self.stats().calls
        return sum(calls[e] for e in endpoints or calls)

    @property
    def pages_served(self):
        """Pages of the walk over issues that have been answered; a page held back is not among them."""
        return self.stats().pages_served

    @property
    def held(self):
        return self.stats().held

    def hold(self, page=1, endpoint="search"):
        """Keeps the answer to the page-th further call back until release()."""
        self.door("POST", "hold", {"endpoint": endpoint, "page": page})

    def release(self):
        self.door("POST", "release", {})

    def fail(self, mode="status", endpoint="search", **how):
        """How: status, count, after, retry_after, x_header. Modes: status reset hang truncate garbage wrong_shape empty html repeat_cursor."""
        self.door("POST", "fail", {"endpoint": endpoint, "mode": mode, **how})

    def mend(self):
        self.door("POST", "fail", {"clear": True})

    def edit(self, issue, **fields):
        return self.door("PATCH", f"issues/{issue}", fields)

    def create(self, **fields):
        return self.door("POST", "issues", fields)

    def delete(self, issue):
        return self.door("DELETE", f"issues/{issue}")

    def add_message(self, issue, **fields):
        return self.door("POST", f"issues/{issue}/messages", fields)

    def churn(self, per_page, until_pages=None):
        """Changes issues after each page that is served."""
        self.door("POST", "churn", {"per_page": per_page, **({} if until_pages is None else {"until_pages": until_pages})})

    def limits(self, group, per_min, window_s=60):
        self.door("POST", "limits", {"group": group, "per_min": per_min, "window_s": window_s})


class _Unexpected:
    """The processes that must live on."""

    def __init__(self, procs):
        self.procs = procs

    def __iter__(self):
        return iter([p for p in self.procs if not p.expected_end])


class Stack:
    def __init__(self, cluster, folder, name):
        self.cluster = cluster
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.database = name
        self.procs, self.desks, self.closers = [], [], []
        self.redis_server = None
        self._api = self._conn = self._own_cluster = None
        self.seal_key, self.api_key = secrets.token_hex(32), secrets.token_hex(16)
        self.redis_options = {}
        cluster.make_database(name)

    # -- the parts ------------------------------------------------------------------------------------------------------

    def own_postgres(self, durable=True):
        """A Postgres that this test may stop. Before anything else is started."""
        assert not self.procs, "own_postgres() comes first"
        self.cluster.drop_database(self.database)
        self._own_cluster = Cluster(durable=durable)
        self.cluster = self._own_cluster
        self.cluster.make_database(self.database)
        return self.cluster.postgres

    def redis(self, **options):
        if self.redis_server is None:
            self.redis_server = services.Redis(self.folder / "redis", **options)
            self.procs.append(self.redis_server.proc)
        return self.redis_server

    def redis_client(self):
        return redis_client.Redis(port=self.redis().port, decode_responses=True)

    @property
    def database_url(self):
        return self.cluster.postgres.url(self.database)

    def env(self, **more):
        env = base_env()
        env.update(DATABASE_URL=self.database_url, REDIS_URL=self.redis().url, DESKMILL_KEY=self.seal_key, DESKMILL_API_KEY=self.api_key)
        if self._api is not None:
            env["DESKMILL_API_URL"] = self._api.url
        env.update(more)
        return env

    def start(self, program, *argv, name=None, env=None, **opts):
        """Starts a process; `lease_ms=2000` becomes --lease-ms 2000, `always_lead=True` --always-lead."""
        name = name or self._name(program)
        flags = [x for key, value in opts.items() for x in (f"--{key.replace('_', '-')}", *([] if value is True else [str(value)]))]
        proc = services.Proc(name, [binary(program), *argv, *flags], self.folder / f"{name}.log", env or self.env())
        self.procs.append(proc)
        return proc

    def _name(self, program):
        short = program.removeprefix("deskmill-")
        return f"{short}-{1 + sum(p.name.startswith(short) for p in self.procs)}"

    def worker(self, slots=1, ready=True, program="deskmill-worker", **opts):
        """`program="deskmill-worker-next"`: the worker of a later version, which knows more kinds."""
        proc = self.start(program, slots=slots, **opts)
        if ready:
            self.wait(lambda: self.sql("SELECT 1 FROM workers WHERE pid = %s AND state = 'active'", proc.pid), what=f"{proc.name} is registered")
            proc.worker_id = self.sql("SELECT id FROM workers WHERE pid = %s ORDER BY id DESC LIMIT 1", proc.pid)[0].id
        return proc

    def retire(self, worker):
        """Ends a worker in good order, and waits until Postgres has closed its sessions (and so counted what they wrote)."""
        worker.kill(signal.SIGTERM)
        assert worker.wait() == 0
        self.wait(lambda: not self.sql("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'deskmill-w%'"),
                  what=f"the sessions of {worker.name} are closed")

    def scheduler(self, **opts):
        return self.start("deskmill-scheduler", **opts)

    def api(self, **opts):
        if self._api is None:
            port_file = self.folder / "api.port"
            proc = self.start("deskmill-api", port=0, port_file=port_file, **opts)
            port = self.wait(lambda: port_file.exists() and port_file.read_text().strip(), what="the api listens")
            proc.url = f"http://127.0.0.1:{port}"
            self._api = proc
        return self._api

    def new_api(self):
        """Ends the api in good order, and starts another."""
        assert self.api().stop(), "the api ends when asked"
        (self.folder / "api.port").unlink()
        self._api = None
        return self.api()

    def http(self, method, path, body=None, key=None, **kw):
        """A request to the api, as it answers."""
        headers = {"Authorization": f"Bearer {self.api_key if key is None else key}", **kw.pop("headers", {})}
        return requests.request(method, self.api().url + path, json=body, headers=headers, timeout=30, **kw)

    def post(self, path, **body):
        """A request that must succeed; its answer."""
        answer = self.http("POST", path, body)
        assert answer.ok, f"POST {path} {body}: {answer.status_code} {answer.text}"
        return json.loads(answer.text, object_hook=Answer)

    def run_cli(self, *argv, env=None, timeout=60):
        """Runs the command; the completed process."""
        self.api()
        return subprocess.run([binary("deskmill"), *map(str, argv)], env=env or self.env(), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=timeout, cwd="/")

    def cli(self, *argv, **kw):
        """Runs the command with --json; what it printed, parsed. A failure raises CliError."""
        done = self.run_cli(*argv, "--json", **kw)
        if done.returncode != 0:
            raise CliError(argv, done.returncode, done.stdout, done.stderr)
        return json.loads(done.stdout, object_hook=Answer)

    def vendor(self, kind="pylon", org="acme", name=None, hold_page=None, settings=None, token="sim-token", given_token=None, schedule=None, **opts):
        """A simulated desk and its integration. No schedule, no limits, few issues, and young unless told otherwise: history is read in spans
        of 30 days, so the pages of 20 days are one walk."""
        options = {"issues": 100, "accounts": 10, "users": 5, "messages": 300, "days": 20, "profile": "none", "token": token, **opts}
        port_file = self.folder / f"vendorsim-{len(self.desks) + 1}.port"
        proc = self.start("vendorsim", vendor=kind, port_file=port_file, **options)
        port = int(self.wait(lambda: port_file.exists() and port_file.read_text().strip(), what="the simulator listens"))
        url = f"http://127.0.0.1:{port}"
        name = name or f"desk{len(self.desks) + 1}"
        if not self.sql("SELECT 1 FROM organizations WHERE slug = %s", org):
            self.post("/api/v1/organizations", slug=org, name=org.title(), timezone="UTC")
        number = self.post("/api/v1/integrations", organization=org, name=name, vendor=kind, base_url=url, token=given_token or token,
                           settings={"settle_s": 0, "limits": NO_LIMITS, **(settings or {})}, schedule=schedule or "").id
        desk = Desk(self, proc, url, f"{org}/{name}", number)
        self.desks.append(desk)
        if hold_page:
            desk.hold(page=hold_page)
        return desk

    # -- jobs -----------------------------------------------------------------------------------------------------------

    def enqueue(self, kind, integration=None, run_at=None, **args):
        """A job of any kind through the api; its id."""
        body = {"kind": kind, "args": args}
        if integration is not None:
            body["integration"] = getattr(integration, "integration", integration)
        if run_at is not None:
            body["run_at"] = run_at
        return self.post("/api/v1/jobs", **body).job

    def noop(self, **args):
        return self.enqueue("noop", **args)

    def pull(self, desk):
        return self.cli("pull", desk.integration).job

    def job(self, job):
        return self.sql("SELECT * FROM jobs WHERE id = %s", job)[0]

    def wait_job(self, job, state="done", timeout=60):
        """Waits for the state; a job that ended otherwise fails at once with its reason."""
        wanted = {state} if isinstance(state, str) else set(state)

        def reached():
            row = self.job(job)
            if row.state in wanted:
                return row
            assert row.state not in ENDED, f"job {job} ended as {row.state}, not {sorted(wanted)}: {row.error}"
            return None

        try:
            return self.wait(reached, timeout, f"job {job} is {' or '.join(sorted(wanted))}")
        except AssertionError as error:
            row = self.job(job)
            raise AssertionError(f"{error}\nthe job: {json.dumps(row, default=str)}") from None

    def insert_jobs(self, kind, n=1, **columns):
        """Queued rows as a producer of another version makes them, past the api, which may not know the kind; their ids."""
        columns = {"kind": kind, "queue": "default", "state": "queued", "origin": "api", "max_attempts": 3, "timeout_s": 300, **columns}
        made = self.sql(f"INSERT INTO jobs ({', '.join(columns)}, queued_at) SELECT {', '.join(['%s'] * len(columns))}, now() FROM generate_series(1, %s)"
                        " RETURNING id", *columns.values(), n)
        return [row.id for row in made]

    def wake_scheduler(self):
        """It sleeps until the next moment that it knows of; the api wakes it in the same way."""
        self.sql("NOTIFY deskmill_scheduler")

    def hasten(self):
        """Every job that waits for its moment may go now."""
        self.sql("UPDATE jobs SET run_at = now() WHERE state = 'scheduled' AND run_at < 'infinity' AND run_at > now()")
        self.wake_scheduler()

    def idle(self, timeout=90):
        """Waits until no job waits or runs."""
        self.wait(lambda: not self.sql("SELECT 1 FROM jobs WHERE state IN ('queued', 'running', 'scheduled') LIMIT 1"), timeout, "no job is left")

    def pulled(self, desk, timeout=90):
        """Pulls the desk's issues, and everything that follows from it; the pull's job."""
        job = self.pull(desk)
        self.wait_job(job, timeout=timeout)
        self.idle(timeout)
        return job

    def sync_log(self, job):
        """The job's attempts, oldest first."""
        return self.sql("SELECT * FROM sync_log WHERE job_id = %s ORDER BY id", job)

    # -- looking --------------------------------------------------------------------------------------------------------

    def sql(self, text, *params):
        """Rows of a statement (search_path is deskmill); an empty list where there are none."""
        try:
            return self._sql(text, params)
        except psycopg.OperationalError:
            if self._conn is None or not self._conn.closed:
                raise
            self._conn = None  # the server was restarted
            return self._sql(text, params)

    def _sql(self, text, params):
        if self._conn is None:
            self._conn = psycopg.connect(self.database_url, autocommit=True, row_factory=psycopg.rows.dict_row,
                                         options="-c search_path=deskmill -c timezone=UTC")
            self._conn.adapters.register_loader("timestamptz", Moment)
        with self._conn.cursor() as cursor:
            cursor.execute(text, params or None)
            return [Answer(row) for row in cursor.fetchall()] if cursor.description else []

    def rows(self, table, desk=None):
        """The rows of a desk's table, to be compared with desk.truth(table). Rows marked as deleted are left out."""
        desk = desk or self.desks[0]
        columns = ", ".join(f'"{c}"' for c in oracle.TABLES[table])
        return oracle.Rows(table, self.sql(f"SELECT {columns} FROM {table} WHERE integration_id = %s AND deleted_at IS NULL", desk.id))

    def assert_true_to(self, desk, *tables):
        """The tables hold exactly what the desk holds."""
        for table in tables or oracle.TABLES:
            assert self.rows(table, desk) == desk.truth(table)

    def directory(self):
        """How many accounts and people there are: a pull brings them too."""
        return len(self.sql("SELECT 1 FROM accounts")) + len(self.sql("SELECT 1 FROM users"))

    def fingerprint(self):
        """Every desk row's place and version: changes with any write, even one that writes the same."""
        return {t: {r.id: (r.ctid, r.xmin) for r in self.sql(f"SELECT id, ctid::text, xmin::text FROM {t}")} for t in oracle.TABLES}

    def writes(self):
        """What the statistics say was ever written to the desk's tables."""
        self.sql("SELECT pg_stat_clear_snapshot()")
        return {r.relname: (r.n_tup_ins, r.n_tup_upd, r.n_tup_del) for r in self.sql(
            "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'deskmill' AND relname = ANY (%s)",
            list(oracle.TABLES))}

    def log(self, event, **fields):
        """Lines of this event in all processes' logs, with these fields."""
        return Lines(line for proc in self.procs for line in parse_log(proc.log_text(), event)
                     if all(line.get(k) == str(v) for k, v in fields.items()))

    def wait_log(self, event, timeout=30, **fields):
        return self.wait(lambda: self.log(event, **fields), timeout, f"the log says {event} {fields or ''}")

    def wait(self, condition, timeout=30, what=None):
        """Waits for the condition; fails at once when a process has ended that the test did not end."""
        return services.wait_until(condition, timeout, what, _Unexpected(self.procs))

    # -- the end --------------------------------------------------------------------------------------------------------

    def close(self):
        """Stops everything; the list of what was not as it should be."""
        wrong = [f"{p.name} ended by itself with {p.returncode}\n{p.tail()}" for p in self.procs
                 if not p.alive and not p.expected_end and p.returncode != 0]
        ours = [p for p in self.procs if pathlib.Path(p.argv[0]).name.startswith("deskmill")]
        for proc in self.procs:
            if pathlib.Path(proc.argv[0]).name == "vendorsim":
                proc.kill(signal.SIGKILL)  # whoever waits for a held answer is let go
        for proc in ours:
            if proc.alive:
                proc.ask(signal.SIGTERM)
        end = time.monotonic() + 15
        for proc in ours:
            try:
                proc.wait(max(end - time.monotonic(), 0.1))
            except AssertionError:
                wrong.append(f"{proc.name} did not stop within 15 s of SIGTERM\n{proc.tail()}\n{proc.standing()}")
                proc.stop(signal.SIGKILL)
        for proc in self.procs:
            proc.stop(signal.SIGKILL)
        if self.redis_server is not None:
            self.redis_server.stop(signal.SIGKILL)
        if self._conn is not None:
            with contextlib.suppress(psycopg.Error):
                self._conn.close()
        wrong += [f"a sanitizer reported in {p.name}:\n{p.tail(80)}" for p in self.procs if SANITIZER.search(p.log_text())]
        if self._own_cluster is not None:
            self._own_cluster.destroy()
        else:
            self.cluster.drop_database(self.database)
        return wrong

    def logs(self, lines=150):
        """The end of every process's log but Redis's, for a person to read."""
        return [(p.name, p.tail(lines)) for p in self.procs if p.name != "redis"]


class Cluster:
    """A Postgres whose databases are copies of one that was migrated once."""

    def __init__(self, durable=False):
        self.postgres = services.Postgres(durable=durable)
        self.has_template = False

    def _admin(self, statement):
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as conn:
            conn.execute(statement)

    def make_database(self, name, migrated=True):
        if not migrated:
            return self._admin(f'CREATE DATABASE "{name}"')
        if not self.has_template:
            self._admin("CREATE DATABASE deskmill_template")
            migrate(self.postgres.url("deskmill_template"))
            self.has_template = True
        return self._admin(f'CREATE DATABASE "{name}" TEMPLATE deskmill_template')

    def drop_database(self, name):
        self._admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def destroy(self):
        self.postgres.destroy()


def migrate(url, *argv, check=True, env=None):
    done = subprocess.run([binary("deskmill"), "migrate", *argv], env={**base_env(), "DATABASE_URL": url, **(env or {})},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert not check or done.returncode == 0, f"deskmill migrate: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def parse_log(text, event=None):
    for line in text.splitlines():
        if event is not None and f"event={event}" not in line:
            continue
        found = {k: json.loads(v) if v.startswith('"') else v for k, v in FIELD.findall(line)}
        if event is None or found.get("event") == event:
            yield found
