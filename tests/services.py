"""services - private processes for tests: each listens on 127.0.0.1 only, logs to a file, and is stopped by its own pid.

Used by run.py (for the unit tests), by the scenarios and by the benches. Nothing here knows Deskmill.
"""
import contextlib
import os
import pathlib
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

PG_BIN = pathlib.Path("/usr/lib/postgresql/15/bin")


def free_port():
    """A port below the range from which the kernel takes ports for outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            return port


def wait_until(condition, timeout=30.0, what=None, alive=()):
    """Returns the first true value of condition(). Gives up at the deadline, and at once when one of `alive` has ended."""
    what = what or getattr(condition, "__doc__", None) or "a condition"
    end = time.monotonic() + timeout
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        for proc in alive:
            if not proc.alive and not proc.expected_end:
                raise AssertionError(f"{proc.name} ended with {proc.returncode} while waiting for: {what}\n{proc.tail()}")
        if time.monotonic() >= end:
            raise AssertionError(f"still not so after {timeout:g} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def listens(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Proc:
    """One process of ours. It gets the signal `orphaned` when the test run dies, whatever that dies of."""

    def __init__(self, name, argv, log, env=None, user=None, cwd="/", orphaned="KILL"):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.log_path = pathlib.Path(log)
        self.expected_end = False  # the test itself ended it
        as_user = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        with open(self.log_path, "ab") as out:
            self._popen = subprocess.Popen(
                ["setpriv", "--pdeathsig", orphaned, *as_user, "--", *self.argv],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd, start_new_session=True,
            )
        self.pid = self._popen.pid

    def __repr__(self):
        return f"<{self.name} pid {self.pid}>"

    @property
    def returncode(self):
        return self._popen.poll()

    @property
    def alive(self):
        return self.returncode is None

    def log_text(self):
        return self.log_path.read_text(errors="replace")

    def tail(self, lines=40):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def kill(self, sig):
        """Sends the signal; one that ends a process makes its end expected."""
        if sig not in (signal.SIGSTOP, signal.SIGCONT, signal.SIGUSR1, signal.SIGUSR2):
            self.expected_end = True
        if self.alive:
            os.kill(self.pid, sig)

    def wait(self, timeout=30):
        """Its return code once it has ended."""
        wait_until(lambda: not self.alive, timeout, f"{self.name} (pid {self.pid}) has ended")
        return self.returncode

    def children(self):
        """Pids of its children, oldest first."""
        found = []
        for task in pathlib.Path(f"/proc/{self.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(p) for p in task.read_text().split()]
        return sorted(found)

    def standing(self):
        """Where its threads stand, for a person to read: what the kernel says, and the debugger where there is one."""
        lines = []
        for pid in [self.pid, *self.children()]:
            for task in sorted(pathlib.Path(f"/proc/{pid}/task").glob("*")):
                with contextlib.suppress(OSError):
                    state = next(line for line in (task / "status").read_text().splitlines() if line.startswith("State"))
                    lines.append(f"pid {pid} thread {task.name}: {state} in {(task / 'wchan').read_text()}")
        if shutil.which("gdb"):
            said = subprocess.run(["gdb", "-p", str(self.pid), "-batch", "-ex", "thread apply all bt 12"], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=60).stdout
            lines += [line for line in said.splitlines() if line.startswith(("#", "Thread"))]
        return "\n".join(lines)

    def ask(self, sig):
        """Asks it to end; one that was stopped is woken first. (SIGCONT to one that runs could undo the leak checker's own SIGSTOP.)"""
        self.expected_end = True
        with contextlib.suppress(OSError, ProcessLookupError):
            os.kill(self.pid, sig)
            if "\nState:\tT" in pathlib.Path(f"/proc/{self.pid}/status").read_text():
                os.kill(self.pid, signal.SIGCONT)

    def stop(self, sig=signal.SIGTERM, timeout=20):
        """Asks, waits, kills. True if asking was enough."""
        self.expected_end = True
        if not self.alive:
            return True
        self.ask(sig)
        try:
            self._popen.wait(timeout)
            return True
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self._popen.wait()
            return False


class Redis:
    """One redis-server. Without `keep`, a restart forgets everything."""

    def __init__(self, folder, keep=False, policy="noeviction", name="redis"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.keep, self.policy, self.name = keep, policy, name
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.proc = None
        self.start()

    def start(self):
        self.proc = Proc(self.name, [
            "redis-server", "--bind", "127.0.0.1", "--port", self.port, "--dir", self.folder, "--save", "",
            "--appendonly", "yes" if self.keep else "no", "--maxmemory-policy", self.policy, "--daemonize", "no",
        ], self.folder / "redis.log")
        wait_until(self._answers, 20, "Redis answers", alive=[self.proc])

    def _answers(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as s:
            s.sendall(b"PING\r\n")
            return s.recv(16).startswith(b"+PONG")
        return False

    def stop(self, sig=signal.SIGTERM):
        self.proc.stop(sig)

    def restart(self, sig=signal.SIGKILL):
        self.stop(sig)
        self.start()


class Postgres:
    """One cluster in a temporary folder, under its own user when we are root. Not durable against a power cut: it is for tests."""

    def __init__(self, durable=False, name="postgres", settings=()):
        self.name, self.durable, self.settings = name, durable, settings
        self.user = "postgres" if os.geteuid() == 0 else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="deskmill-test-pg."))
        self.password = secrets.token_hex(16)
        self.port = free_port()
        self.proc = None
        if self.user:
            os.chown(self.folder, pwd.getpwnam(self.user).pw_uid, -1)
        try:
            self._initdb()
            self.start()
        except BaseException:
            self.destroy()
            raise

    def url(self, database):
        return f"postgresql://deskmill:{self.password}@127.0.0.1:{self.port}/{urllib.parse.quote(database)}"

    def _initdb(self):
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        if self.user:
            os.chown(secret, pwd.getpwnam(self.user).pw_uid, -1)
        done = subprocess.run(
            [*(["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"] if self.user else []), PG_BIN / "initdb",
             "-D", self.folder / "data", "-U", "deskmill", "-E", "UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256",
             f"--pwfile={secret}", "--no-sync"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/")
        secret.unlink()
        if done.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")

    def start(self):
        relaxed = [] if self.durable else ["fsync=off", "full_page_writes=off", "autovacuum=off"]
        options = [f"port={self.port}", "listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200", *relaxed,
                   *self.settings]
        self.proc = Proc(self.name, [PG_BIN / "postgres", "-D", self.folder / "data", *(x for o in options for x in ("-c", o))],
                         self._log(), user=self.user, orphaned="QUIT")
        wait_until(self._answers, 30, "Postgres accepts connections", alive=[self.proc])

    def _log(self):
        return self.folder / "postgres.log"

    def _answers(self):
        return subprocess.run([PG_BIN / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0

    def stop(self, sig=signal.SIGINT):
        """SIGINT: clients are thrown out and the server ends cleanly; SIGQUIT: it ends as if it had crashed."""
        if self.proc is not None:
            self.proc.stop(sig, 30)

    def restart(self, sig=signal.SIGINT):
        self.stop(sig)
        self.start()

    def destroy(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)
