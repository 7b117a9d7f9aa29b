"""Deskmill as docker/compose.yml runs it: it comes up and pulls, spreads over workers, outlives one of them, drains, and is upgraded image by image
while work comes in. Every job that was accepted ends done, none is charged, and the rows are the simulator's."""
import os
import signal
import subprocess
import time

import pytest

import deployment as deployment_module
import engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
MB = 1000 * 1000
SIZE_MB = 120  # what an image may add to its base
PROCESSES = ("scheduler", "worker", "api")


def test_it_comes_up_and_the_first_pull_brings_the_desk(deployment):
    d = deployment
    assert d.one("migrate").state["ExitCode"] == 0
    for service in (*PROCESSES, "postgres", "redis", "vendorsim"):
        d.wait(lambda: d.healthy(service), 120, f"{service} is healthy")  # noqa: B023
    assert len(d.containers("scheduler")) == 2
    d.wait(lambda: d.one("first-pull").state["Status"] == "exited", 120, "the first pull has ended")
    assert d.one("first-pull").state["ExitCode"] == 0
    desk = d.desk()
    d.idle(desk)
    d.assert_true_to(desk)
    assert len(d.rows("issues", desk)) == 1500


def test_nothing_in_it_has_more_rights_than_it_needs(deployment):
    secrets = [deployment.secret(name) for name in ("postgres_password", "database_url", "redis_url", "seal_key", "api_key")]
    for c in deployment.containers():
        host = c.facts["HostConfig"]
        assert host["ReadonlyRootfs"], c
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"], c
        assert "no-new-privileges:true" in host["SecurityOpt"], c
        assert c.facts["Config"]["User"] not in ("", "0", "root"), c
        assert host["LogConfig"]["Config"].get("max-size"), c
        assert not any(secret in str(c.facts["Config"]) for secret in secrets), f"{c}: a secret can be read with docker inspect"
        if c.service != "api":
            assert not host["PortBindings"], c
        if c.pid and c.service in PROCESSES:
            status = engine.run("docker", "exec", c.id, "cat", "/proc/1/status")
            for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Uid:\t10001\t"):
                assert line in status, f"{c}: {line}"
            assert not engine.works("docker", "exec", c.id, "touch", "/usr/local/bin/x"), c
    (bound,) = deployment.one("api").facts["HostConfig"]["PortBindings"]["8080/tcp"]
    assert bound["HostIp"] == "127.0.0.1"


def test_the_images_are_small(deployment, capsys):
    def size(image):
        return int(engine.run("docker", "image", "inspect", image, "--format", "{{.Size}}"))

    base = size(engine.BASES[0])
    over = {name: (size(f"deskmill-{name}:{deployment.tag}") - base) / MB for name in deployment_module.OURS}
    with capsys.disabled():
        print("\nMB over the base: " + ", ".join(f"{name} {mb:.0f}" for name, mb in over.items()), flush=True)
    assert max(over.values()) <= SIZE_MB


def hold_a_pull_on_one_of(d, victims):
    """A pull that is in the middle of a page on one of these containers, with its desk. Which worker takes a job is not ours to say: so tries again."""
    for n in range(20):
        desk = d.desk(f"scaled{n}", page_size=50)
        desk.hold(page=5)
        pull = d.pull(desk)
        d.wait(lambda: desk.held, what="a page is held")  # noqa: B023
        (owner,) = d.sql("SELECT w.id, w.host FROM jobs j JOIN workers w ON w.id = j.worker_id WHERE j.id = %s", pull)
        if owner.host in {c.hostname for c in victims}:
            return pull, desk, owner
        desk.release()
        d.wait_done([pull])
    raise AssertionError("twenty pulls, and none on a worker that is to go")


def test_more_workers_share_the_work_and_fewer_drain(deployment):
    d = deployment
    dead = d.dead_workers()
    seen = set()

    def spread():
        seen.update(r.host for r in d.sql("SELECT DISTINCT w.host FROM jobs j JOIN workers w ON w.id = j.worker_id WHERE j.state = 'running'"))
        return len(seen) == 8

    with deployment_module.Producer(d) as producer:
        d.scale(8)
        d.wait(spread, 60, "all eight workers have run jobs")
        # Every slot is busy when they are told to go, and one of those that go is in the middle of a page.
        pull, desk, owner = hold_a_pull_on_one_of(d, d.containers("worker")[2:])
        sleepers = [d.post("/api/v1/jobs", kind="noop", args={"sleep_ms": 5000}).job for _ in range(40)]
        d.wait(lambda: len(d.sql("SELECT DISTINCT worker_id FROM jobs WHERE state = 'running' AND id = ANY (%s)", sleepers)) == 8,
               what="each worker sleeps")
        d.compose("up", "-d", "--no-deps", "--no-recreate", "--scale", "worker=2", "worker")
        desk.release()
    assert len(d.containers("worker")) == 2
    (attempt,) = d.sql("SELECT outcome, pages FROM sync_log WHERE job_id = %s AND worker_id = %s", pull, owner.id)
    assert attempt.outcome == "drained" and attempt.pages >= 4, "the pages before the one that was held are kept"
    d.wait(lambda: len(d.live_workers()) == 2, what="two workers are left")
    d.wait_done([pull, *sleepers, *producer.accepted])
    assert producer.accepted
    assert d.dead_workers() == dead, "who drains says goodbye: nobody had to be given up"
    d.idle(desk)
    d.assert_true_to(desk)


def test_a_killed_workers_work_is_taken_over_and_its_container_comes_back(deployment, capsys):
    d = deployment
    d.scale(2)
    desk = d.desk("killed", page_size=50)
    dead = d.dead_workers()
    with deployment_module.Producer(d) as producer:
        desk.hold(page=5)
        pull = d.pull(desk)
        d.wait(lambda: desk.held, what="a page is held")
        owner = d.job(pull).worker_id
        (host,) = [r.host for r in d.sql("SELECT host FROM workers WHERE id = %s", owner)]
        (victim,) = [c for c in d.containers("worker") if c.hostname == host]
        begun = time.monotonic()
        kill_outright(victim)
        d.wait(lambda: d.job(pull).worker_id not in (None, owner), 60, "another worker has the pull")
        took = time.monotonic() - begun
        desk.release()
        d.wait(lambda: len(d.live_workers()) == 2, 60, "the container was started again")
    d.wait_done([pull, *producer.accepted])
    assert [r.id for r in d.dead_workers()] == [*(r.id for r in dead), owner]
    d.idle(desk)
    d.assert_true_to(desk)
    d.wait(lambda: d.healthy("worker"), 60, "both workers are healthy")
    with capsys.disabled():
        print(f"\nkilled container to its job running elsewhere: {took:.1f} s", flush=True)


def kill_outright(container):
    """SIGKILL from outside, as the kernel does it when memory runs out: `docker kill` would count as a wish, and nothing be started again."""
    try:
        os.kill(container.pid, signal.SIGKILL)
    except PermissionError:
        subprocess.run(["sudo", "-n", "kill", "-KILL", str(container.pid)], check=True, timeout=30)


def test_a_process_that_hangs_is_unhealthy_although_it_runs(deployment):
    d = deployment
    victim = d.containers("scheduler")[0]
    engine.run("docker", "kill", "-s", "STOP", victim.id)
    (found,) = d.wait(lambda: [c for c in d.containers("scheduler") if c.health == "unhealthy"], 120, "the stopped scheduler is unhealthy")
    assert found.id == victim.id and found.state["Running"]
    engine.run("docker", "kill", "-s", "CONT", victim.id)
    d.wait(lambda: d.healthy("scheduler"), 60, "both schedulers are healthy")


def test_one_image_after_another_is_upgraded_while_work_comes_in(deployment):
    d = deployment
    d.scale(2)
    dead = d.dead_workers()
    d.build("two")
    with deployment_module.Producer(d) as producer:
        d.compose("run", "--rm", "--no-deps", "migrate")
        for service, n in (("scheduler", 2), ("worker", 2), ("api", 1)):
            before, sent = {c.id for c in d.containers(service)}, len(producer.accepted)
            d.compose("up", "-d", "--no-deps", "--scale", f"{service}={n}", service)
            d.wait(lambda: d.healthy(service), 120, f"the new {service} is healthy")  # noqa: B023
            new = d.containers(service)
            assert len(new) == n and not before & {c.id for c in new}
            assert {c.version for c in new} == {d.tag}
            d.wait(lambda: len(producer.accepted) > sent + 20, what=f"jobs are accepted with the new {service}")  # noqa: B023
    d.wait_done(producer.accepted)
    assert d.dead_workers() == dead
    desk = d.desk("upgraded")
    d.wait_done([d.pull(desk)])
    d.idle(desk)
    d.assert_true_to(desk)
