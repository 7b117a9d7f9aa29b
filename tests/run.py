#!/usr/bin/python3
"""run - runs the unit tests and the scenarios on the asan build, and says how many passed. ./dev test calls it after building.

Ends with the line `N passed, N failed` (and `, N skipped` if there are any) and exits with 0 only if none failed and some passed.
"""
import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

sys.dont_write_bytecode = True
TESTS = pathlib.Path(__file__).resolve().parent
BUILD = TESTS.parent / "build" / "asan"
sys.path.insert(0, str(TESTS))
import services  # noqa: E402


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.names = []

    def fail(self, name):
        self.failed += 1
        self.names.append(name)


def sanitizer_env(env):
    """Findings end the process loudly, with the stack."""
    env = dict(env)
    env["ASAN_OPTIONS"] = "halt_on_error=1:exitcode=99:detect_stack_use_after_return=1:strict_string_checks=1:print_stacktrace=1"
    env["UBSAN_OPTIONS"] = "halt_on_error=1:print_stacktrace=1:exitcode=99"
    return env


def run_units(pattern, tally, folder):
    """ctest, with a private Postgres and Redis whose addresses are in the environment."""
    pg, redis = None, None
    try:
        pg = services.Postgres()
        redis = services.Redis(folder / "redis")
        env = sanitizer_env(os.environ)
        env.update(CMOCKA_MESSAGE_OUTPUT="TAP", TEST_DATABASE_URL=pg.url("postgres"), TEST_REDIS_URL=redis.url)
        report = folder / "ctest.xml"
        argv = ["ctest", "--test-dir", BUILD, "--output-on-failure", "--timeout", "120", "--output-junit", report, "--no-tests=ignore",
                "--test-output-size-passed", "1000000", "--test-output-size-failed", "1000000",
                "-j", str(os.cpu_count() or 2)]
        done = subprocess.run(argv + (["-R", pattern] if pattern else []), env=env, stdin=subprocess.DEVNULL)
        count_ctest(report, tally, done.returncode)
    finally:
        if redis:
            redis.stop()
        if pg:
            pg.destroy()


def count_ctest(report, tally, returncode):
    """Each program's TAP lines are counted; a program that says nothing in TAP counts as one test."""
    if not report.exists():
        return tally.fail("ctest itself") if returncode else None
    for case in ET.parse(report).iter("testcase"):
        name, text = case.get("name"), case.findtext("system-out") or ""
        failed_before = tally.failed
        plan = re.search(r"^1\.\.(\d+)", text, re.M)
        lines = re.findall(r"^(ok|not ok) (\d+)(?: -)? (.*)$", text, re.M)
        for word, _, title in lines:
            if word == "not ok" and "# SKIP" not in title:
                tally.fail(f"{name}: {title}")
            elif "# SKIP" in title.upper():
                tally.skipped += 1
            else:
                tally.passed += 1
        if plan and len(lines) < int(plan[1]):
            tally.fail(f"{name}: ended after {len(lines)} of {plan[1]} tests")
        if case.get("status") == "notrun":
            tally.skipped += 1
        elif case.get("status") != "run" and tally.failed == failed_before:
            tally.fail(name)
        elif not lines and tally.failed == failed_before:
            tally.passed += 1
    return None


def end_gently(child):
    """Asks pytest to take everything down; what it leaves behind dies with it."""
    with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
        child.send_signal(signal.SIGINT)
        child.wait(30)
    child.kill()
    child.wait()


@contextlib.contextmanager
def scratch():
    """The folder for all that the tests write; Postgres's user may pass through it. Removed at the end, together with what was interrupted."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="deskmill-test."))
    folder.chmod(0o711)
    os.environ["TMPDIR"] = str(folder)
    try:
        yield folder
    finally:
        for _ in range(50):  # servers that have lost their parent write until they have ended
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.1)


def run_scenarios(pattern, fast, workers, tally, folder):
    run_pytest(("chaos", "scenarios", "isolation", "cron", "model", "vendorsim"), pattern, fast, workers, tally, folder)


def run_compose(pattern, fast, tally, folder):
    """By itself and at the end: it builds images, and others' time limits should not have to allow for that."""
    run_pytest(("compose",), pattern, fast, 1, tally, folder)


def run_pytest(parts, pattern, fast, workers, tally, folder):
    report = folder / f"pytest-{parts[0]}.xml"
    argv = [sys.executable, "-B", "-m", "pytest", *(TESTS / part for part in parts), "-q", "-rs", "-p", "no:cacheprovider", f"--junitxml={report}", "--durations=10"]
    if workers > 1:
        argv += ["-n", str(workers)]
    if pattern:
        argv += ["-k", pattern]
    if fast:
        argv += ["-m", "not slow"]
    env = {**sanitizer_env(os.environ), "VENDORSIM_BIN": str(BUILD / "tests" / "vendorsim" / "vendorsim")}
    child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL)
    try:
        returncode = child.wait()
    except BaseException:
        end_gently(child)
        raise
    if not report.exists():
        tally.fail(f"pytest of {parts[0]} itself")
        return
    for case in ET.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            tally.fail(name)
        elif case.find("skipped") is not None:
            tally.skipped += 1
        else:
            tally.passed += 1
    if returncode not in (0, 1, 5) and not tally.failed:
        tally.fail(f"pytest of {parts[0]} itself: exit code {returncode}")


def main():
    p = argparse.ArgumentParser(prog="./dev test", description="Builds with sanitizers and runs the tests.")
    p.add_argument("which", nargs="?", choices=["unit", "scenarios", "compose"], help="only these")
    p.add_argument("--fast", action="store_true", help="leave out the scenarios marked slow")
    p.add_argument("-k", metavar="EXPR", help="only tests whose name matches")
    p.add_argument("-n", type=int, default=min(4, os.cpu_count() or 2), metavar="N", help="scenarios at a time (%(default)s)")
    opts = p.parse_args()
    tally = Tally()
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` stops what was started
    try:
        with scratch() as folder:
            if opts.which in (None, "unit"):
                run_units(opts.k, tally, folder)
            if opts.which in (None, "scenarios"):
                run_scenarios(opts.k, opts.fast, opts.n, tally, folder)
            if opts.which in (None, "compose"):
                run_compose(opts.k, opts.fast, tally, folder)
    except KeyboardInterrupt:
        print("interrupted; everything that was started is stopped", file=sys.stderr)
        return 130
    for name in tally.names:
        print(f"FAILED {name}")
    print(f"in {time.monotonic() - begun:.0f} s")
    print(f"{tally.passed} passed, {tally.failed} failed" + (f", {tally.skipped} skipped" if tally.skipped else ""))
    return 0 if tally.failed == 0 and tally.passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
