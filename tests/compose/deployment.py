"""deployment - docker/compose.yml brought up under a name, a tag, a port and secrets of its own, with verbs to steer and watch it.

Postgres and the simulator are looked into at their addresses on the bridge, which the host of a Linux engine reaches.
"""
import contextlib
import json
import os
import pathlib
import subprocess
import threading

import psycopg
import psycopg.rows
import requests

import engine
import oracle
import services
import stack as harness

PROFILE = ("--profile", "demo")
PREFIX = "deskmilltest"
OURS = ("scheduler", "worker", "api", "cli", "vendorsim")  # the images
BUILD_S, UP_S = 1200, 300


class Container:
    def __init__(self, facts):
        self.id, self.facts = facts["Id"], facts
        labels = facts["Config"]["Labels"]
        self.service, self.number = labels["com.docker.compose.service"], int(labels["com.docker.compose.container-number"])
        self.version = labels.get("org.opencontainers.image.version")
        self.state = facts["State"]
        self.pid = self.state["Pid"]
        self.hostname = facts["Config"]["Hostname"]

    def __repr__(self):
        return f"<{self.service} {self.number}>"

    @property
    def health(self):
        return self.state.get("Health", {}).get("Status")

    @property
    def address(self):
        return next(net["IPAddress"] for name, net in self.facts["NetworkSettings"]["Networks"].items() if name.endswith("inside"))


def sweep():
    """Takes away what runs left behind that were killed themselves: their names hold the pid of a process that is no more."""
    def names(*command):
        return [name for name in engine.run("docker", *command, "--format", '{{.Label "com.docker.compose.project"}} {{.%s}}' % ("ID" if "ps" in command else "Name"),
                                            "--filter", "label=com.docker.compose.project").splitlines() if name.startswith(PREFIX)]

    def orphan(line):
        return not pathlib.Path(f"/proc/{line.split()[0].removeprefix(PREFIX)}").exists()

    for command, remove in ((("ps", "-a"), ("rm", "-f", "-v")), (("network", "ls"), ("network", "rm")), (("volume", "ls"), ("volume", "rm"))):
        for line in filter(orphan, names(*command)):
            engine.works("docker", *remove, line.split()[1])


class Deployment:
    def __init__(self, folder):
        sweep()
        self.folder = folder
        self.project = f"{PREFIX}{os.getpid()}"
        self.tag, self.tags = None, []
        self.port = services.free_port()
        self.secrets = folder / "secrets"
        engine.run(engine.ROOT / "docker" / "secrets.sh", self.secrets)
        self.api_key = self.secret("api_key")
        self._conn = None
        self.desks = []

    def secret(self, name):
        return (self.secrets / name).read_text().strip()

    # -- compose --------------------------------------------------------------------------------------------------------

    def env(self):
        env = {**os.environ, "DESKMILL_SECRETS": str(self.secrets), "DESKMILL_TAG": self.tag, "DESKMILL_PORT": str(self.port),
               "DESKMILL_BUILD_NETWORK": engine.build_network()}
        if not engine.works("docker", "buildx", "version"):
            env["DOCKER_BUILDKIT"] = env["COMPOSE_DOCKER_CLI_BUILD"] = "0"
        return env

    def argv(self, *argv):
        return [*engine.compose_command(), "-p", self.project, "-f", str(engine.ROOT / "docker" / "compose.yml"), *PROFILE, *map(str, argv)]

    def compose(self, *argv, timeout=UP_S):
        return engine.run(*self.argv(*argv), timeout=timeout, env=self.env())

    def keep_stages(self):
        """Tags the stages that download, so that they are there next time too."""
        self.tag = "cache"
        for stage in ("toolchain", "runtime", "worker-runtime"):
            engine.run("docker", "build", "-q", "--network", engine.build_network(), "-f", engine.ROOT / "docker" / "Dockerfile", "--target", stage,
                       "-t", f"deskmill-{stage}:cache", engine.ROOT, timeout=BUILD_S, env=self.env())

    def build(self, version):
        """Images of this version."""
        self.tag = f"test-{os.getpid()}-{version}"
        self.tags.append(self.tag)
        self.compose("build", timeout=BUILD_S)

    def scale(self, workers):
        self.compose("up", "-d", "--no-deps", "--no-recreate", "--scale", f"worker={workers}", "worker")
        self.wait(lambda: len(self.live_workers()) == workers, 60, f"{workers} workers are registered")

    # -- looking --------------------------------------------------------------------------------------------------------

    def containers(self, service=None):
        """Those of a service, or all, in the order of their numbers; also ones that have ended."""
        ids = engine.run("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={self.project}",
                         *(["--filter", f"label=com.docker.compose.service={service}"] if service else [])).split()
        done = subprocess.run(["docker", "inspect", *ids], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60) if ids else None
        found = [Container(facts) for facts in json.loads(done.stdout)] if done else []  # one that has gone meanwhile is left out
        return sorted((c for c in found if c.facts["Config"]["Labels"].get("com.docker.compose.oneoff", "False") == "False"),
                      key=lambda c: (c.service, c.number))

    def one(self, service):
        (found,) = self.containers(service)
        return found

    def healthy(self, service):
        found = self.containers(service)
        return bool(found) and all(c.health == "healthy" for c in found)

    def sql(self, text, *params):
        """Rows of a statement, as stack.sql() gives them."""
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(host=self.one("postgres").address, user="deskmill", dbname="deskmill", password=self.secret("postgres_password"),
                                         autocommit=True, row_factory=psycopg.rows.dict_row, connect_timeout=10,
                                         options="-c search_path=deskmill -c timezone=UTC")
            self._conn.adapters.register_loader("timestamptz", harness.Moment)
        with self._conn.cursor() as cursor:
            cursor.execute(text, params or None)
            return [harness.Answer(row) for row in cursor.fetchall()] if cursor.description else []

    def live_workers(self):
        return self.sql("SELECT id, host FROM workers WHERE state = 'active' AND beat_at > now() - interval '10 s'")

    def dead_workers(self):
        return self.sql("SELECT id, host FROM workers WHERE state = 'dead'")

    def job(self, job):
        return self.sql("SELECT * FROM jobs WHERE id = %s", job)[0]

    def wait(self, condition, timeout=60, what=None):
        return services.wait_until(condition, timeout, what)

    def wait_done(self, jobs, timeout=180):
        """Every one of the jobs is done, and none was charged for what was done to its worker."""
        self.wait(lambda: not self.sql("SELECT 1 FROM jobs WHERE id = ANY (%s) AND state IN ('queued', 'running', 'scheduled') LIMIT 1", list(jobs)),
                  timeout, f"{len(jobs)} jobs have ended")
        rows = self.sql("SELECT state::text, count(*), max(attempt) AS attempts FROM jobs WHERE id = ANY (%s) GROUP BY 1", list(jobs))
        assert [(r.state, r.count, r.attempts) for r in rows] == [("done", len(jobs), 0)]

    # -- the api and the desk -------------------------------------------------------------------------------------------

    def http(self, method, path, **body):
        return requests.request(method, f"http://127.0.0.1:{self.port}{path}", json=body or None, timeout=30,
                                headers={"Authorization": f"Bearer {self.api_key}"})

    def post(self, path, **body):
        answer = self.http("POST", path, **body)
        assert answer.ok, f"POST {path} {body}: {answer.status_code} {answer.text}"
        return json.loads(answer.text, object_hook=harness.Answer)

    def desk(self, name="desk", **settings):
        """The simulator, and the integration of this name, which is made if there is none."""
        url = f"http://{self.one('vendorsim').address}:8090"
        there = self.sql("SELECT id FROM integrations WHERE name = %s", name)
        number = there[0].id if there else self.post(
            "/api/v1/integrations", organization="demo", name=name, vendor="pylon", base_url="http://vendorsim:8090", token="sim-token", schedule="",
            settings={"settle_s": 0, "limits": harness.NO_LIMITS, **settings}).id
        desk = harness.Desk(self, None, url, f"demo/{name}", number)
        self.desks.append(desk)
        return desk

    def pull(self, desk):
        return self.post("/api/v1/pulls", integration=desk.integration).job

    def idle(self, desk, timeout=120):
        self.wait(lambda: not self.sql("SELECT 1 FROM jobs WHERE integration_id = %s AND state IN ('queued', 'running', 'scheduled')", desk.id),
                  timeout, f"nothing of {desk.integration} waits or runs")

    def rows(self, table, desk):
        columns = ", ".join(f'"{c}"' for c in oracle.TABLES[table])
        return oracle.Rows(table, self.sql(f"SELECT {columns} FROM {table} WHERE integration_id = %s AND deleted_at IS NULL", desk.id))

    def assert_true_to(self, desk):
        """Every row of every table is what the simulator says."""
        for table in oracle.TABLES:
            assert self.rows(table, desk) == desk.truth(table)

    # -- the end --------------------------------------------------------------------------------------------------------

    def logs(self, lines=60):
        for c in self.containers():
            said = subprocess.run(["docker", "logs", "--tail", str(lines), c.id], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=60).stdout
            yield f"{c.service} {c.number} ({c.state['Status']}, {c.health})", said

    def close(self):
        """Takes containers, volumes, networks and images away again."""
        for c in self.containers():
            with contextlib.suppress(OSError):
                engine.works("docker", "kill", "-s", "CONT", c.id)  # one that a failed test has left stopped
        if self._conn is not None:
            self._conn.close()
        if self.tag:
            self.compose("down", "-v", "--remove-orphans", "--timeout", 10)
        for tag in self.tags:
            engine.works("docker", "rmi", *(f"deskmill-{name}:{tag}" for name in OURS))
        engine.works("docker", "image", "prune", "-f", "--filter", "label=deskmill.stage", "--filter", "until=2h")


class Producer(threading.Thread):
    """Enqueues small jobs through the api, whatever becomes of it, until it is told to stop. What was answered with 202 is `accepted`."""

    def __init__(self, deployment, sleep_ms=100, every_s=0.03):
        super().__init__(daemon=True)
        self.deployment, self.sleep_ms, self.every_s = deployment, sleep_ms, every_s
        self.accepted, self.refused = [], 0
        self._stop_now = threading.Event()

    def run(self):
        while not self._stop_now.wait(self.every_s):
            try:
                answer = self.deployment.http("POST", "/api/v1/jobs", kind="noop", args={"sleep_ms": self.sleep_ms})
            except requests.RequestException:
                self.refused += 1
                continue
            if answer.status_code == 202:
                self.accepted.append(answer.json()["job"])
            else:
                self.refused += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stop_now.set()
        self.join(60)
