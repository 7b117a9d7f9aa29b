#!/usr/bin/python3
"""spec - isolationtester specs made of Deskmill's own statements, run in every order that can happen, and their output read back.

    claim = statement("job_claim", 1, [10, 11], ["noop"])      SQL(job_claim, ...) of common/sql/, parameters put in as literals
    race = Race(given=["INSERT ..."], shows={"jobs": "SELECT ..."})
    race.session("one", hold("claim", claim, takes="job 11"), commit("end"))
    race.session("two", ...)
    for run in race.run(isolationtester, url):                 one Run per order
        run["one_claim"].rows, run["two_claim"].error, run.shown["jobs"]

A step that `takes` something waits while a transaction of another session has it. Which orders can happen follows from that, and
each run is checked against it: a statement that waits where it should not, or no longer waits where it should, is an error too.

`./spec.py NAME PARAMETER...` prints one statement as it stands in a spec; parameters as JSON.
"""
import dataclasses
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import typing

SQL = pathlib.Path(__file__).resolve().parents[2] / "common" / "sql"
STUCK_S = 10  # seconds after which a step that waits is given up; every wait here ends by itself at once

# ---- statements ----------------------------------------------------------------------------------------------------------------------

ROW = re.compile(r'@ROW (\w+) (\d+) ((?:"(?:[^"\\]|\\.)*"\s*)+)@')
ROWS = "#define SQL(name, n, ...) @ROW name n __VA_ARGS__@\n#define SQL_TEXT(...)\n"


@functools.cache
def read_statements(folder=SQL):
    """Name -> (number of parameters, text), as the compiler sees them."""
    found = {}
    for path in sorted(folder.glob("*.def")):
        source = ROWS + path.read_text()
        text = subprocess.run(["cc", "-E", "-P", "-I", folder.parents[1], "-x", "c", "-"], input=source, capture_output=True, text=True, check=True).stdout
        for name, n, strings in ROW.findall(text) if path.name != "all.def" else ():
            assert name not in found, f"{name} is there twice"
            found[name] = int(n), "".join(json.loads(s) for s in re.findall(r'"(?:[^"\\]|\\.)*"', strings))
    return found


def array_text(values):
    quoted = ("NULL" if v is None else '"' + plain_text(v).replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values)
    return "{" + ",".join(quoted) + "}"


def plain_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return array_text(value) if isinstance(value, (list, tuple)) else str(value)


def literal(value):
    """Quoted and without a type, as a parameter is. A spec's SQL may hold no braces."""
    if value is None:
        return "NULL"
    text = plain_text(value).replace("\\", "\\\\").replace("'", "''").replace("{", "\\x7b").replace("}", "\\x7d")
    return f"E'{text}'" if "\\" in text else f"'{text}'"


def statement(name, *values, folder=SQL):
    found = read_statements(folder)
    assert name in found, f"no row SQL({name}, ...) in {folder}"
    n, text = found[name]
    used = {int(i) for i in re.findall(r"\$(\d+)", text)}
    assert n == len(values) and used <= set(range(1, n + 1)), f"{name} takes {n} parameters, not {len(values)}"
    return re.sub(r"\$(\d+)", lambda m: literal(values[int(m[1]) - 1]), text)


def insert(table, **columns):
    return f"INSERT INTO {table} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE VALUES ({', '.join(map(literal, columns.values()))})"


# ---- steps and orders ----------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Step:
    name: str
    sql: str
    takes: typing.Any = None  # what it waits for and then has: a word, or a function of the set of steps done before that gives one or None
    begins: bool = False
    ends: bool = False
    session: str = ""

    def wants(self, done):
        return self.takes(done) if callable(self.takes) else self.takes


def hold(name, sql, takes=None):
    """The statement in a transaction that stays open."""
    return Step(name, f"BEGIN; {sql}", takes, begins=True)


def run(name, sql, takes=None):
    """The statement in the open transaction, or by itself."""
    return Step(name, sql, takes)


def commit(name):
    return Step(name, "COMMIT", ends=True)


def rollback(name):
    return Step(name, "ROLLBACK", ends=True)


def interleavings(queues):
    """All orders of the queues' members that keep each queue's own."""
    if not any(queues):
        yield ()
    for i, queue in enumerate(queues):
        if queue:
            for rest in interleavings([q[1:] if i == k else q for k, q in enumerate(queues)]):
                yield (queue[0], *rest)


def waits_of(order):
    """Names of the steps that wait in this order; None if it cannot happen, as a session would have to go on while it waits."""
    holders, waiting, open_, done, waited = {}, {}, set(), set(), set()

    def proceed(step, key):
        if step.begins:
            open_.add(step.session)
        if key is not None and step.session in open_:
            holders[key] = step.session
        done.add(step.name)

    for step in order:
        if step.session in waiting:
            return None
        key = step.wants(done)
        if holders.get(key, step.session) != step.session:
            waiting[step.session] = step, key
            waited.add(step.name)
            continue
        proceed(step, key)
        if step.ends:
            open_.discard(step.session)
            for k in [k for k, session in holders.items() if session == step.session]:
                del holders[k]
            for session, (other, k) in list(waiting.items()):
                if k not in holders:
                    del waiting[session]
                    proceed(other, k)
    return None if waiting else waited


# ---- running -------------------------------------------------------------------------------------------------------------------------

SECTION = "\nstarting permutation: "


def output_of(argv, spec, env):
    """What isolationtester prints. It would go on after a stuck step, for a long time if many orders are stuck."""
    text = ""
    with tempfile.TemporaryFile("w+") as given:
        given.write(spec)
        given.seek(0)
        with subprocess.Popen(argv, stdin=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, text=True) as tester:
            for line in tester.stdout:
                text += line
                if line.startswith("isolationtester: canceling"):
                    tester.kill()
    assert tester.returncode == 0, f"isolationtester ended with {tester.returncode}:\n{text.split(SECTION)[-1]}"
    return text


@dataclasses.dataclass
class Result:
    rows: list  # of dicts, by column; None: it gave no table
    error: str  # or None
    waited: bool


class Run:
    """What happened in one order."""

    def __init__(self, names, text):
        self.names, self.text = names, text
        self.results, self.shown = {}, {}

    def __getitem__(self, name):
        return self.results[name]

    def before(self, one, other):
        return self.names.index(one) < self.names.index(other)


class Race:
    def __init__(self, given, shows, clean=()):
        self.given, self.shows, self.clean = list(given), dict(shows), list(clean)
        self.sessions = {}

    def session(self, name, *steps):
        self.sessions[name] = [dataclasses.replace(s, name=f"{name}_{s.name}", session=name) for s in steps]

    def orders(self):
        """(names of the steps, names of those that wait) of each order that can happen."""
        for order in interleavings(list(self.sessions.values())):
            waited = waits_of(order)
            if waited is not None:
                yield tuple(s.name for s in order), waited

    def spec(self):
        shown = [Step(f"show_{name}", sql) for name, sql in self.shows.items()]
        lines = ["setup { " + "; ".join(self.clean + self.given) + "; }", ""]
        for name, steps in [*self.sessions.items(), ("show", shown)]:
            lines += [f"session {name}", *(f"step {s.name} {{ {s.sql}; }}" for s in steps), ""]
        lines += ["permutation " + " ".join([*names, *(s.name for s in shown)]) for names, _ in self.orders()]
        return "\n".join(lines) + "\n"

    def run(self, isolationtester, url):
        for sql in [*self.given, *self.shows.values(), *(s.sql for steps in self.sessions.values() for s in steps)]:
            assert not re.search(r"[{}\n]", sql), f"a spec's SQL is one line without braces: {sql}"
        env = {**os.environ, "PGISOLATIONTIMEOUT": str(STUCK_S),
               "PGOPTIONS": "-c search_path=deskmill -c TimeZone=UTC -c client_min_messages=warning"}
        runs = [self._read(section) for section in output_of([isolationtester, url], self.spec(), env).split(SECTION)[1:]]
        expected = list(self.orders())
        assert [r.names for r in runs] == [names for names, _ in expected], "isolationtester left orders out"
        for r, (_, waited) in zip(runs, expected):
            assert {n for n in r.names if r[n].waited} == waited, f"expected to wait: {waited or 'none'}\n{r.text}"
        return runs

    def _read(self, section):
        names, *lines = section.splitlines()
        r = Run(tuple(n for n in names.split() if not n.startswith("show_")), section)
        lines = [line for line in lines if line]
        while lines:
            step = re.match(r"step (\w+): (?:(<\.\.\. completed>)$|.*?( <waiting \.\.\.>)?$)", lines.pop(0))
            assert step, f"not understood:\n{section}"
            name, completed, waiting = step.groups()
            if completed:
                r[name].rows, r[name].error = read_result(lines)
            else:
                r.results[name] = Result(*(read_result(lines) if not waiting else (None, None)), waited=bool(waiting))
        for name in self.shows:
            r.shown[name] = r.results.pop(f"show_{name}").rows
        return r


def read_result(lines):
    """Takes what a step said off the lines: (rows, error)."""
    error = rows = None
    if lines and re.match(r"(ERROR|FATAL|PANIC):  ", lines[0]):
        error = lines.pop(0).split(":  ", 1)[1]
    elif len(lines) > 1 and re.fullmatch(r"-+(\+-+)*", lines[1]):
        columns, rows = [c.strip() for c in lines[0].split("|")], []
        del lines[:2]
        while not re.fullmatch(r"\(\d+ rows?\)", lines[0]):
            rows.append(dict(zip(columns, (v.strip() for v in lines.pop(0).split("|")), strict=True)))
        del lines[0]
    return rows, error


if __name__ == "__main__":
    print(statement(sys.argv[1], *map(json.loads, sys.argv[2:])))
