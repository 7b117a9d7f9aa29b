"""The panel: Deskmill beside other job queues, in one run on one machine, as `./dev bench queue --peers [NAME...]`.

The others' side is not part of this repository: a folder with run.sh, beside the clone (../shared/peers) or where DESKMILL_PEERS says. It is copied to a scratch
folder, because it installs what the others need beside itself. Its frame runs all of them in turns, ours among them (peers_ours.py), with the same jobs, the
same clock and the same counting; from its figures comes one table.
"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from common import ROOT, table

FOLDER = pathlib.Path(os.environ.get("DESKMILL_PEERS", ROOT / ".." / "shared" / "peers")).resolve()
OURS = "deskmill"

# What becomes of a job whose worker is killed, by what each documents and does; and what a queue keeps when its server is cut off, in either mode.
PEERS = {
    OURS: ("yes", "row flushed before enqueue returns", "the same"),
    "graphile-worker": ("yes, after 4 h", "commit not awaited", "row flushed before enqueue returns"),
    "pg-boss": ("yes, after 15 min", "commit not awaited", "row flushed before enqueue returns"),
    "bullmq": ("yes", "none", "AOF, flushed every second"),
    "bee-queue": ("yes", "none", "AOF, flushed every second"),
    "beanstalkd": ("yes", "none", "log, flushed every second"),
    "beanstalkd-pipe": ("yes", "none", "-"),
    "gearman": ("yes", "none", "-"),
    "sidekiq": ("no", "none", "AOF, flushed every second"),
    "sidekiq-reliable": ("yes", "none", "AOF, flushed every second"),
    "sidekiq-semi": ("yes", "none", "-"),
    "celery": ("yes, after 1 h", "none", "AOF, flushed every second"),
    "celery-solo": ("yes, after 1 h", "none", "-"),
    "rq": ("no", "none", "AOF, flushed every second"),
    "rq-simple": ("no", "none", "-"),
}
NEED_NPM = {"bullmq", "bee-queue", "pg-boss", "graphile-worker"}
DEFAULT = ["graphile-worker", "pg-boss", "bullmq", "bee-queue", "beanstalkd", "gearman", "sidekiq", "sidekiq-reliable", "celery", "rq"]
KILLED = "kill9.default.first_rerun_s"  # the only one that is not measured in either mode
# heading, metric of the frame, factor
COLUMNS = [("enqueue bulk /s", "enq_bulk_jps", 1), ("enqueue one by one /s", "enq_one_jps", 1), ("drain, 1 process /s", "drain_1p_jps", 1),
           ("drain, 2 processes /s", "drain_2p_jps", 1), ("p50 ms", "lat_p50_us", 1e-3), ("p99 ms", "lat_p99_us", 1e-3), ("idle MB", "pss_idle_mb", 1),
           ("busy MB", "pss_drain_mb", 1), ("busy MB resident", "rss_drain_mb", 1), ("bytes per queued job", "server_mem_mb_per_100k_queued", 1048576 / 1e5),
           ("seconds after kill -9", KILLED, 1)]


def fail(text):
    sys.exit(f"bench queue --peers: {text}")


def check(names):
    if not (FOLDER / "run.sh").exists():
        fail(f"there is no {FOLDER}/run.sh. The other queues' side of the panel is expected beside the clone, as ../shared/peers; say where else it is with "
             "DESKMILL_PEERS=/its/folder")
    unknown = [n for n in names if n not in PEERS]
    if unknown:
        fail(f"{', '.join(unknown)}: not known; there are: {' '.join(n for n in PEERS if n != OURS)}")
    if NEED_NPM & set(names) and not shutil.which("npm"):
        fail(f"{', '.join(sorted(NEED_NPM & set(names)))}: npm is not installed")


def install_node_peers(folder):
    """As its lock file says. Where npm finds that file incomplete (it leaves out other platforms' parts), install fills it up, with the same versions."""
    quiet = ["--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(["npm", "ci", *quiet], cwd=folder, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=subprocess.DEVNULL).returncode != 0:
        subprocess.run(["npm", "install", *quiet], cwd=folder, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
    shutil.copy(folder / "package-lock.json", folder / "node_modules" / ".peers-lock")  # run.sh: nothing is left to install


def run_frame(folder, names, options):
    """Its figures: {system: {metric: text}}."""
    env = {**os.environ, "PEERS_EXTRA": str(pathlib.Path(__file__).with_name("peers_ours.py")), "DESKMILL_BENCH_VERSION": version()}
    child = subprocess.Popen([folder / "run.sh", OURS, *(n for n in names if n != OURS), *options], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        out, _ = child.communicate()
    except BaseException:
        child.send_signal(signal.SIGINT)  # it stops its servers
        child.wait(60)
        raise
    if child.returncode != 0:
        fail(f"run.sh ended with {child.returncode}")
    figures = {}
    for line in out.splitlines():
        if len(words := line.split("\t")) == 3:
            figures.setdefault(words[0], {})[words[1]] = words[2]
    return figures


def version():
    return "deskmill " + subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()


def number(figures, metric):
    try:
        return float(figures.get(metric, ""))
    except ValueError:
        return None


def cell(value, ours):
    """The value, and ours as a multiple of it."""
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return text if ours is None or not value else f"{text} ({ours / value:.2f})"


def rows(figures, mode):
    """A row for each system: ours first, then the others by their rate with two processes."""
    ours = figures.get(OURS, {})
    there = [n for n in figures if any(k.startswith(f"{mode}.") for k in figures[n])]
    there.sort(key=lambda n: (n != OURS, -(number(figures[n], f"{mode}.drain_2p_jps") or 0)))
    for name in there:
        again, mem, disk = PEERS.get(name, ("?", "?", "?"))
        row = [name, {"mem": mem, "disk": disk}[mode], again]
        for _, metric, factor in COLUMNS:
            metric = metric if metric == KILLED else f"{mode}.{metric}"
            value, our = number(figures[name], metric), number(ours, metric)
            row.append(figures[name].get(metric, "-") if value is None else cell(value * factor, None if name == OURS or our is None else our * factor))
        yield row


def kills(figures):
    """What became of ten running jobs, in each setting that was tried."""
    for name, metrics in figures.items():
        for metric, first in metrics.items():
            if m := re.fullmatch(r"kill9\.(\w+)\.first_rerun_s", metric):
                found = {what: metrics.get(f"kill9.{m[1]}.{what}", "?") for what in ("in_flight", "rerun_90s", "completed", "last_rerun_s")}
                yield [name, m[1], found["in_flight"], found["rerun_90s"], found["completed"], first, found["last_rerun_s"]]


def show(figures):
    head = ["system", "kept when its server is cut off", "runs again after kill -9", *(h for h, _, _ in COLUMNS)]
    print("In parentheses: ours as a multiple of theirs, measured in turns with it. Ours always runs durable. MB are of one worker with its children, proportional "
          "(PSS), or resident (what they share counted for each). Latency is from before the enqueue to the handler's first line, idle.\n")
    for mode, title in (("mem", "The others with durability off"), ("disk", "The others with durability on")):
        if body := list(rows(figures, mode)):
            print(f"{title}:\n")
            table(head, body)
    if body := list(kills(figures)):
        table(["kill -9 of a worker with ten jobs of 3 s", "setting", "in flight", "again within 90 s", "completed", "seconds to the first", "to the last"], body)
    for name, metrics in figures.items():
        print(f"{name}: {metrics.get('version', '?')}")


def main(names, options):
    names = names or DEFAULT
    check(names)
    with tempfile.TemporaryDirectory(prefix="deskmill-peers.") as scratch:
        folder = pathlib.Path(scratch) / "peers"
        shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("node_modules", "build"))
        os.chmod(scratch, 0o755)  # its Postgres runs as another user
        if NEED_NPM & set(names):
            install_node_peers(folder)
        show(run_frame(folder, names, options))
