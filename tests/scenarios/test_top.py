"""The whole at a glance: what `deskmill top` shows is so, on a terminal of any size and in a pipe, and looking costs the same whatever waits."""
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios

import pytest

import stack as stack_module

ENTER, LEAVE, FRAME = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H"


class Terminal:
    """A terminal with a program in it."""

    def __init__(self, argv, env, rows=30, columns=110):
        self.text = ""
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.proc = subprocess.Popen([str(a) for a in argv], stdin=self.slave, stdout=self.slave, stderr=self.slave, env=env, cwd="/",
                                     start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys):
        os.write(self.master, keys.encode())

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            with contextlib.suppress(OSError):
                self.text += os.read(self.master, 65536).decode()
                continue
            break
        return self.text

    def frame(self):
        """The lines of the last page that was drawn to its end, as they stand on the screen."""
        frames = self.read().split(FRAME)[1:]
        if not frames or not (frames[-1].endswith("\x1b[J") or LEAVE in frames[-1]):
            frames = frames[:-1]
        return [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in frames[-1].replace("\r", "").split("\n")] if frames else []

    def frames(self):
        return self.read().count(FRAME)

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.proc.poll() is None:
            self.proc.kill()
        self.proc.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(stack):
    """terminal(...): `deskmill ...` in a terminal of its own."""
    opened = []

    def start(*argv, **size):
        stack.api()
        opened.append(Terminal([stack_module.binary("deskmill"), *argv], {**stack.env(), "TERM": "xterm"}, **size))
        return opened[-1]

    yield start
    for t in opened:
        t.close()


def row(lines, *words):
    """The cells of the line that begins with these words."""
    for line in lines:
        cells = line.split()
        if cells[:len(words)] == list(words):
            return cells
    return None


def test_one_frame_in_a_pipe_is_plain_text_and_true(stack):
    desk, other = stack.vendor("pylon", issues=40, messages=0, hold_page=1), stack.vendor("pylon", issues=40, messages=0)
    stack.cli("queue", "pause", "bulk", "--reason", "their backup")
    stack.cli("queue", "pause", "live", "--integration", other.integration)
    stack.scheduler()
    w = stack.worker(slots=2, beat_ms=200)
    runs = stack.pull(desk)
    stack.wait(lambda: desk.held, what="a page is held")
    waits = stack.pull(other)
    stack.cli("backfill", other.integration)
    dead = stack.noop()
    stack.wait_job(dead)
    stack.sql("UPDATE jobs SET state = 'dead' WHERE id = %s", dead)
    stack.enqueue("noop", run_at="2100-01-01T00:00:00Z")
    stack.wait(lambda: stack.cli("workers")["items"][0].done == 1, what="the worker has told what it did")
    done = stack.run_cli("top")  # standard output is no terminal: one frame
    assert done.returncode == 0 and "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert "redis up" in lines[0] and "workers 1 of 1 alive, 2 slots" in lines[0] and "dead 1 " in lines[0] and lines[0].endswith("scheduled 1"), lines[0]
    assert f"oldest waiting: job {waits} in live" in lines[1]
    live, default, bulk = row(lines, "live"), row(lines, "default"), row(lines, "bulk")
    assert (live[1], live[3], live[-1]) == ("1", "1", "active") and (default[1], default[-1]) == ("0", "active")
    assert bulk[1] == "1" and "paused" in bulk and "their backup" in " ".join(bulk)
    assert row(lines, other.integration)[1] == "2" and " ".join(row(lines, other.integration)).endswith("paused in live")
    assert row(lines, str(runs))[1:4] == ["issue_pull", desk.integration, "live"]
    assert row(lines, str(w.worker_id), socket.gethostname())[2:5] == [str(w.pid), "active", "1/2"]
    overview = stack.cli("top", "--once")
    assert [(q.queue, q.queued, q.queued_is, q.running) for q in overview.queues] == [
        ("live", 1, "exact", 1), ("default", 0, "exact", 0), ("bulk", 1, "exact", 0)]
    assert (overview.enqueued, overview.dead, overview.scheduled) == (stack.sql("SELECT max(id) AS n FROM jobs")[0].n, 1, 1)


def test_the_screen_lives_fits_and_gives_the_terminal_back(stack, terminal):
    """Figures follow what happens; lines and rows fit, also when the window becomes small; q ends it."""
    stack.scheduler()
    stack.worker(slots=1, beat_ms=200)
    screen = terminal("top", "--interval", "0.3")
    stack.wait(lambda: row(screen.frame(), "default"), what="the first frame")
    assert screen.text.startswith(ENTER) and LEAVE not in screen.text and not screen.restored()
    job = stack.noop(sleep_ms=60000)
    stack.wait(lambda: row(screen.frame(), str(job)), what="the job runs on the screen")
    late = [stack.noop() for _ in range(20)]
    stack.wait(lambda: row(screen.frame(), "default")[1] == "20", what="20 wait on the screen")
    assert row(screen.frame(), "(none)")[1] == "20"
    screen.resize(9, 40)
    stack.wait(lambda: 0 < len(screen.frame()) <= 9, what="it fits the small window")
    assert max(map(len, screen.frame())) <= 40 and row(screen.frame(), "default"), screen.frame()
    screen.resize(30, 110)
    stack.cli("job", "cancel", job)
    for other in late:
        stack.wait_job(other)
    stack.wait(lambda: row(screen.frame(), "default")[1] == "0", what="none waits on the screen")
    stack.wait(lambda: re.search(r"started \d", screen.frame()[1]), what="there is a rate")
    screen.press("q")
    assert screen.proc.wait(10) == 0
    assert screen.read().endswith(LEAVE) and "\x1b[?25h" in screen.text and screen.restored()


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(stack, terminal, sig):
    screen = terminal("top")
    stack.wait(screen.frame, what="the first frame")
    screen.proc.send_signal(sig)
    assert screen.proc.wait(10) == 0
    assert screen.read().endswith(LEAVE) and screen.restored()


def test_an_api_that_goes_away_is_said_so_and_waited_for(stack, terminal):
    """What was seen last stays on the screen."""
    api = stack.api()
    screen = terminal("top", "--interval", "0.2")
    stack.wait(screen.frame, what="the first frame")
    api.kill(signal.SIGKILL)
    stack.wait(lambda: "the api does not answer" in screen.frame()[0], what="the trouble is said")
    assert row(screen.frame(), "default") and screen.proc.poll() is None
    screen.press("q")
    assert screen.proc.wait(10) == 0 and screen.restored()


def test_rates_are_what_the_workers_did(stack, terminal):
    """Jobs of 100 ms in one slot: somewhat below 10 a second, as seen from the workers' own beats."""
    stack.scheduler()
    stack.worker(slots=1, beat_ms=1000)
    for _ in range(80):
        stack.noop(sleep_ms=100)
    screen = terminal("top", "--interval", "0.5")

    def rate():
        found = re.search(r"done ([\d.]+)", (screen.frame() or ["", ""])[1])
        return float(found[1]) if found else 0

    seen = stack.wait(lambda: rate() if rate() > 2 else None, what="a rate is shown")
    assert 2 < seen <= 10.5
    assert float(row(screen.frame(), "default")[5]) <= 10.5


def test_looking_costs_the_same_whatever_waits(stack):
    """With 60,000 jobs waiting no more rows are read than the overview is allowed to; Redis says how many there are."""
    desks = [stack.vendor("pylon", issues=1, messages=0), stack.vendor("pylon", issues=1, messages=0)]
    stack.sql("INSERT INTO jobs (kind, queue, state, origin, max_attempts, timeout_s, queued_at, integration_id)"
              " SELECT 'noop', 'bulk', 'queued', 'test', 3, 60, now() - n * interval '1 ms', CASE WHEN n %% 3 = 0 THEN %s ELSE %s END"
              " FROM generate_series(1, 60000) n", desks[0].id, desks[1].id)
    stack.sql("VACUUM ANALYZE jobs")
    stack.scheduler()
    stack.wait(lambda: stack.sql("SELECT 1 FROM queue_state WHERE rebuilds > 0"), what="the ids are in Redis")

    overview = stack.cli("top", "--once")
    bulk = next(q for q in overview.queues if q.queue == "bulk")
    assert (bulk.queued, bulk.queued_is) == (60000, "about")
    assert [(t.integration, t.queued) for t in overview.tenants] == [(desks[1].integration, 40000), (desks[0].integration, 20000)]
    assert "~60,000" in stack.run_cli("top").stdout
    plan = stack.sql("EXPLAIN (ANALYZE, FORMAT JSON) " + overview_waiting(5000))[0]["QUERY PLAN"][0]["Plan"]
    assert 5000 <= rows_read(plan) <= 5003, plan  # the plan shows means, rounded
    stack.cli("queue", "pause", "bulk")  # now Redis holds none of them
    bulk = next(q for q in stack.cli("top", "--once").queues if q.queue == "bulk")
    assert (bulk.queued, bulk.queued_is) == (5000, "at_least")
    assert "5,000+" in stack.run_cli("top").stdout


def overview_waiting(limit):
    """The product's own statement."""
    text = (stack_module.ROOT / "common/sql/api.def").read_text()
    found = re.search(r'SQL\(overview_waiting, 1,\s*((?:"[^"]*"\s*)+)\)', text)
    return "".join(re.findall(r'"([^"]*)"', found[1])).replace("$1", str(limit))


def rows_read(plan):
    """Rows that the plan's scans of jobs gave, filtered ones included."""
    own = (plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)) * plan["Actual Loops"] if plan.get("Relation Name") == "jobs" else 0
    return own + sum(rows_read(p) for p in plan.get("Plans", []))


@pytest.mark.parametrize("argv, says", [
    (("top", "--interval", "soon"), "--interval: soon is not a number of seconds from 0.2 to 3600"),
    (("top", "--interval", "0"), "--interval: 0 is not a number of seconds"),
    (("top", "bulk"), "bulk: is one word too many"),
], ids=["words", "zero", "word"])
def test_bad_input_says_what_would_be_right(stack, argv, says):
    done = stack.run_cli(*argv)
    assert done.returncode == 2 and says in done.stderr
    answer = stack.http("GET", "/api/v1/overview?limit=101")
    assert answer.status_code == 400 and answer.json()["field"] == "limit"
