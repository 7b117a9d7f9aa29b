"""--health tells whether a process works: not whether it runs, but whether it gets on. What a container's health check asks."""
import signal
import subprocess

import stack as harness


def health(stack, proc, **env):
    """(whether it works, what it says), asked as a health check would."""
    done = subprocess.run([proc.argv[0], "--health"], env=stack.env(DESKMILL_HEALTH_FILE=str(stack.folder / f"{proc.name}.health"), **env),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert done.returncode in (0, 1) and len(done.stdout.splitlines()) == 1, done
    return done.returncode == 0, done.stdout


def start(stack, program, **opts):
    name = program.removeprefix("deskmill-")
    return stack.start(program, name=name, health_file=stack.folder / f"{name}.health", **opts)


def test_a_worker_works_while_its_beats_arrive(stack):
    """Stopped, it runs out; woken, it works again, although it was given up meanwhile."""
    stack.scheduler(lease_ms=2000)
    worker = start(stack, "deskmill-worker", beat_ms=200)
    stack.wait(lambda: health(stack, worker)[0], what="the worker works")
    worker.kill(signal.SIGSTOP)
    stack.wait(lambda: not health(stack, worker)[0], what="a stopped worker is not working")
    assert "overdue" in health(stack, worker)[1]
    stack.wait(lambda: stack.sql("SELECT 1 FROM workers WHERE pid = %s AND state = 'dead'", worker.pid), what="it was given up")
    worker.kill(signal.SIGCONT)
    stack.wait(lambda: health(stack, worker)[0], what="the worker works again")


def test_a_scheduler_works_whether_it_leads_or_follows(stack):
    leader = start(stack, "deskmill-scheduler", beat_ms=100)
    stack.wait_log("scheduler.leads")
    follower = stack.start("deskmill-scheduler", name="follower", health_file=stack.folder / "follower.health", beat_ms=100)
    stack.wait(lambda: health(stack, leader)[0] and health(stack, follower)[0], what="both work")
    assert stack.log("scheduler.leads").count == 1
    follower.kill(signal.SIGSTOP)
    stack.wait(lambda: not health(stack, follower)[0], what="a stopped scheduler is not working")
    assert health(stack, leader)[0]
    follower.kill(signal.SIGCONT)
    stack.wait(lambda: health(stack, follower)[0], what="it works again")


def test_without_postgres_nobody_works(stack):
    """The processes live on and wait; they are not working, and say so until it is back."""
    postgres = stack.own_postgres()
    worker = start(stack, "deskmill-worker", beat_ms=200)
    scheduler = start(stack, "deskmill-scheduler", beat_ms=100)
    api = stack.api()
    port = {"DESKMILL_API_PORT": api.url.rsplit(":", 1)[1]}
    all_of_them = [(worker, {}), (scheduler, {}), (api, port)]
    for proc, env in all_of_them:
        stack.wait(lambda: health(stack, proc, **env)[0], what=f"the {proc.name} works")  # noqa: B023
    postgres.stop()
    for proc, env in all_of_them:
        stack.wait(lambda: not health(stack, proc, **env)[0], 60, what=f"the {proc.name} is not working")  # noqa: B023
        assert proc.alive
    postgres.start()
    for proc, env in all_of_them:
        stack.wait(lambda: health(stack, proc, **env)[0], 60, what=f"the {proc.name} works again")  # noqa: B023


def test_an_api_without_a_worker_is_not_ready(stack):
    api = stack.api()
    port = {"DESKMILL_API_PORT": api.url.rsplit(":", 1)[1]}
    works, said = health(stack, api, **port)
    assert not works and "start deskmill-worker" in said
    stack.scheduler()
    stack.worker()
    stack.wait(lambda: health(stack, api, **port)[0], what="the api is ready")
    assert not health(stack, api, DESKMILL_API_PORT="1")[0], "nobody listens there"


def test_asked_without_a_file_it_names_the_option(stack):
    for program in ("deskmill-worker", "deskmill-scheduler"):
        done = subprocess.run([harness.binary(program), "--health"], env=stack.env(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and "DESKMILL_HEALTH_FILE" in done.stdout
