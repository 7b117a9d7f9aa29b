#!/usr/bin/env python3
"""Deskmill's producer and worker, as the frame of the peers' bench wants them (peers_ours.py):

    peers_side.py produce produce one|bulk SECONDS | preload N | lat N GAP_MS | slow N MS
    peers_side.py work

The worker is deskmill-worker itself, in this process's place. What the frame asks beyond that is done by a helper beside it, which is not counted as part of
it: the gate (Redis holds writes back until it opens, so that the worker stands ready and takes nothing), and the handlers' stamps, handed on from its log.
"""
import json
import os
import pathlib
import subprocess
import sys
import time

import common
import psycopg
import redis

PAYLOAD = 200  # bytes, as the others'
FOLDER = pathlib.Path(os.environ["PEER_DIR"])
GATE = pathlib.Path(os.environ["PEER_GO"])
SLOW = FOLDER / "slow"  # there: the stamps are of the jobs that a kill interrupts


def mode(what, *args):
    """The words of bench-producer."""
    if what == "produce":
        return ["--bytes", PAYLOAD, "for", int(float(args[1]) * 1000), 1 if args[0] == "one" else 1000]
    if what == "preload":
        return ["--bytes", PAYLOAD, "bulk", args[0], 1000]
    if what == "lat":
        return ["--stamp", 1, "--bytes", PAYLOAD, "gaps", *args]
    SLOW.touch()
    return ["--stamp", 1, "--sleep-ms", args[1], "bulk", args[0], 1]


def produce(*argv):
    done = subprocess.run([common.PRODUCER, *map(str, mode(*argv))], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
    said = json.loads(done.stdout)
    print(json.dumps({"n": said["n"], "secs": said["us"] / 1e6}))


class Helper:
    """Beside one worker, until that has ended."""

    def __init__(self, worker, log):
        self.worker, self.log = worker, log
        self.since_boot = time.monotonic_ns() - time.time_ns()

    def alive(self):
        try:
            return ") Z " not in pathlib.Path(f"/proc/{self.worker}/stat").read_text()
        except OSError:
            return False

    def await_ready(self, slots):
        """Registered, and all its children there."""
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
            while self.alive():
                children = pathlib.Path(f"/proc/{self.worker}/task/{self.worker}/children").read_text().split()
                if len(children) >= slots and db.execute("SELECT 1 FROM deskmill.workers WHERE pid = %s AND state = 'active'", (self.worker,)).fetchone():
                    break
                time.sleep(0.005)
        (FOLDER / f"ready.{self.worker}").touch()

    def await_gate(self, client):
        while self.alive() and not GATE.exists():
            time.sleep(0.002)
        client.execute_command("CLIENT", "UNPAUSE")

    def hand_on(self):
        with open(self.log, errors="replace") as log, open(os.environ["PEER_LOG"], "a", buffering=1) as out:
            rest, going = "", True
            while going:
                going = self.alive()  # asked before reading: what it said last is read too
                *lines, rest = (rest + log.read()).split("\n")
                out.writelines(self.stamp(line) for line in lines if "event=noop." in line)
                time.sleep(0.01)

    def stamp(self, line):
        """One line for the frame: nanoseconds waited; or what (S, D), which, who, and when by the monotonic clock."""
        field = dict(pair.split("=", 1) for pair in line.split())
        started = field["event"] == "noop.started"
        if SLOW.exists():
            return f"{'S' if started else 'D'} {field['job']} {field['pid']} {int(field['at_us']) * 1000 + self.since_boot}\n"
        return f"{int(field['waited_us']) * 1000}\n" if started else ""


def leave():
    """Twice forked, the helper is nobody's child and so not part of the worker that the frame measures. True in the helper."""
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    return True


def work():
    worker, slots, gated = os.getpid(), int(os.environ["PEER_CONC"]), not GATE.exists()
    log = FOLDER / f"worker.{worker}.log"
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    if gated:
        client.execute_command("CLIENT", "PAUSE", 60000, "WRITE")
    log.touch()
    if leave():
        helper = Helper(worker, log)
        helper.await_ready(slots)
        if gated:
            helper.await_gate(client)
        helper.hand_on()
        return
    client.close()
    out = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    # Like the others', its log is quiet while throughput is measured.
    os.execvp("setpriv", ["setpriv", "--pdeathsig", "KILL", "--", str(common.stacks.binary("deskmill-worker")), "--slots", str(slots),
                          "--log-level", "warn" if gated else "info"])


if __name__ == "__main__":
    {"produce": produce, "work": work}[sys.argv[1]](*sys.argv[2:])
