"""Cron against an oracle that looks at every minute: every zone of tzdata, every change of its clock from 2020 through 2030.

The changes are found with Python's zoneinfo, by looking at each day and halving; what ticks around them comes from cron_oracle.py. The product
answers through cron_ticks, one process for all questions. Both read the same files: /usr/share/zoneinfo.
"""
import bisect
import collections
import datetime
import os
import pathlib
import random
import subprocess
import sys
import zoneinfo

import pytest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from cron_oracle import UTC, Clock, Expression, ticks  # noqa: E402

DRIVER = HERE.parents[1] / os.environ.get("DESKMILL_BUILD", "build/asan") / "tests" / "cron" / "cron_ticks"
TZDATA = pathlib.Path("/usr/share/zoneinfo")
NOT_ZONES = {"localtime", "posixrules"}  # this host's, and a default for others: the product refuses them
SEED = 20261122
DAY_S = 86400
AROUND_S = 26 * 3600  # before and after a change: what ticks daily does so at least once on either side


def second_of(year):
    return int(datetime.datetime(year, 1, 1, tzinfo=UTC).timestamp())


FIRST, LAST = second_of(2020), second_of(2031)
# Clocks that did something rare before that: whole days lost, half hours for good, midnights that never came.
RARE = {"Pacific/Apia": 2009, "Pacific/Kwajalein": 1993, "America/Caracas": 2007, "Asia/Pyongyang": 2015, "America/Sao_Paulo": 2010,
        "Europe/Istanbul": 2010, "Asia/Kathmandu": 1985, "Africa/Cairo": 2010, "Pacific/Tongatapu": 2010}

Change = collections.namedtuple("Change", "at before after")  # the first second of the new offset; offsets in seconds


# ---- zones and what their clocks do ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def same_tzdata():
    """Python would also look elsewhere, and in a package of its own."""
    zoneinfo.reset_tzpath([str(TZDATA)])
    zoneinfo.ZoneInfo.clear_cache()
    yield
    zoneinfo.reset_tzpath()


def zone_names():
    return sorted(n for n in zoneinfo.available_timezones() - NOT_ZONES if (TZDATA / n).is_file())


def offset_at(zone, t):
    return int(datetime.datetime.fromtimestamp(t, zone).utcoffset().total_seconds())


def changes_of(zone, first, last):
    """Each day's offset is looked at, and where two differ, the second between them is found by halving."""
    found, before = [], offset_at(zone, first)
    for day in range(first + DAY_S, last + 1, DAY_S):
        after = offset_at(zone, day)
        if after != before:
            low, high = day - DAY_S, day
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset_at(zone, middle) == before else (low, middle)
            found.append(Change(high, before, after))
        before = after
    return found


def all_changes():
    """Name -> its changes. Names that are links have the same bytes."""
    by_bytes, found = {}, {}
    for name in zone_names():
        first = second_of(RARE[name]) if name in RARE else FIRST
        key = first, (TZDATA / name).read_bytes()
        if key not in by_bytes:
            by_bytes[key] = changes_of(zoneinfo.ZoneInfo(name), first, LAST)
        found[name] = by_bytes[key]
    return found


# ---- expressions -----------------------------------------------------------------------------------------------------------------------


def random_field(rng, low, high):
    a = rng.randint(low, high)
    b = rng.randint(a, high)
    return rng.choice(["*", f"*/{rng.randint(1, high - low)}", f"{a}-{b}", f"{a}-{b}/{rng.randint(1, high - low)}", f"{a},{b}", f"{a}"])


def random_expression(rng, wall):
    """Mostly about the hours and the day of the change, so that something is at stake."""
    near = min(wall.hour + 2, 23)
    hour = random_field(rng, max(near - 4, 0), near) if rng.random() < 0.7 else random_field(rng, 0, 23)
    if hour.startswith("*") and rng.random() < 0.5:
        hour = str(wall.hour)
    mday = rng.choice(["*", "*", str(wall.day), random_field(rng, 1, 31)])
    month = rng.choice(["*", "*", "*", str(wall.month)])
    wday = rng.choice(["*", "*", str(wall.isoweekday()), random_field(rng, 0, 6)])
    if not mday.startswith("*"):
        month = "*"  # some months do not have some of those days, and what can never run is refused
    return f"{random_field(rng, 0, 59)} {hour} {mday} {month} {wday}"


def expressions_for(change, rng):
    """What could go wrong at this change: times just before, at the start of, within, at the end of and just after what is skipped or repeated;
    intervals through it; conditions on its day; and some that nobody thought of."""
    local = [datetime.datetime.fromtimestamp(change.at, UTC).replace(tzinfo=None) + datetime.timedelta(seconds=o)
             for o in (change.before, change.after)]
    low, high = min(local), max(local)
    minute = datetime.timedelta(minutes=1)
    inside = (low + (high - low) / 2).replace(second=0, microsecond=0)
    m, h, d, month, w = inside.minute, inside.hour, inside.day, inside.month, inside.isoweekday()
    fixed = [f"{x.minute} {x.hour}" for x in (low - minute, low, inside, high - minute, high, high + minute)]
    later = min(h + 2, 23)
    return [
        *(f"{x} * * *" for x in fixed),
        f"0,15,30,45 {h} * * *", f"{m} {h},{later} * * *", f"0-59 {h} * * *", f"{m} {h}-{later} * * *", "0 0 * * *", "30 12 * * *",
        "*/15 * * * *", "0 * * * *", "@hourly", f"{m} * * * *", f"*/7 {h} * * *", f"*/20 {high.hour} * * *", f"{m} */2 * * *",
        f"10-50/20 {h} * * *", f"0 {h}-{later}/2 * * *", f"*/10 {low.hour} {low.day} {low.month} *",
        f"{m} {h} {d} * *", f"{m} {h} * {month} *", f"{m} {h} * * {w}", f"{m} {h} {d} * {w % 7 + 1}", f"{m} {h} {d % 28 + 1} * {w}",
        f"{m} {h} */2 * {w}", f"{m} {h} {d} {month} {w % 7}", f"* {h} {d} {month} *", f"*/30 {low.hour},{h} * * {w}", f"5-55/10 {h} {d} * {w}",
        *(random_expression(rng, inside) for _ in range(8)),
    ]


# ---- questions and answers -------------------------------------------------------------------------------------------------------------


Question = collections.namedtuple("Question", "zone after until expression")  # moments in microseconds


def ask(questions):
    """The product's answers, in order, as it writes them."""
    lines = "".join(f"{q.zone}|{q.after}|{q.until}|{q.expression}\n" for q in questions)
    done = subprocess.run([DRIVER], input=lines, capture_output=True, text=True, env={**os.environ, "TZDIR": str(TZDATA)}, timeout=170)
    assert done.returncode == 0, done.stderr[-4000:]
    answers = done.stdout.split("\n")
    assert answers.pop() == "" and len(answers) == len(questions)
    return answers


def text_of(seconds):
    return " ".join(map(str, seconds))


def differences(questions, answers, expected):
    """A line for each that differs, with wall clocks a person can read."""
    for q, got, want in zip(questions, answers, expected, strict=True):
        if got != want:
            odd = sorted(set(got.split()) ^ set(want.split()))
            shown = [s if not s.isdigit() else f"{s} ({datetime.datetime.fromtimestamp(int(s), zoneinfo.ZoneInfo(q.zone))})" for s in odd[:4]]
            yield f"'{q.expression}' in {q.zone} from {q.after} until {q.until}: not both have {', '.join(shown) or 'this order'}\n  got  {got}\n  want {want}"


def span_of(change):
    """Whole minutes around it. No clock changes twice within so short a time; test_the_changes_are_all_there checks that."""
    at = change.at - change.at % 60
    return at - AROUND_S, at + AROUND_S


class Book:
    """Expected ticks, worked out once for each change and expression, whichever zones share it."""

    def __init__(self):
        self.clocks, self.expressions, self.known = {}, {}, {}

    def clock(self, zone, change):
        if change not in self.clocks:
            self.clocks[change] = Clock(zoneinfo.ZoneInfo(zone), *span_of(change))
        return self.clocks[change]

    def expressions_for(self, change):
        if change not in self.expressions:
            texts = dict.fromkeys(expressions_for(change, random.Random(f"{SEED} {change}")))
            self.expressions[change] = [(t, Expression("0 * * * *" if t == "@hourly" else t)) for t in texts]
        return self.expressions[change]

    def ticks(self, zone, change, text, expression):
        key = change, text
        if key not in self.known:
            start, _ = span_of(change)
            self.known[key] = [t for t in ticks(expression, self.clock(zone, change)) if t > start]
        return self.known[key]


@pytest.fixture(scope="module")
def book():
    return Book()


@pytest.fixture(scope="module")
def changes(same_tzdata):
    return all_changes()


def question_of(zone, change, text):
    start, end = span_of(change)
    return Question(zone, start * 1000000, end * 1000000, text)


# ---- the tests -------------------------------------------------------------------------------------------------------------------------


def test_both_know_the_same_zones(changes):
    """Every name of tzdata is a zone to the product too, and what is none is refused."""
    assert len(changes) > 400
    names = [*changes, *NOT_ZONES, "posix/Europe/Berlin", "Europe/Nowhere", "../etc/passwd"]
    answers = dict(zip(names, ask([Question(n, FIRST * 1000000, FIRST * 1000000 + 1, "0 0 * * *") for n in names])))
    refused = {n for n, a in answers.items() if a.startswith("error: ")}
    assert refused == set(names) - set(changes)


def test_the_changes_are_all_there(changes):
    """Of every size that clocks are known to change by, and each alone in the span that is looked at."""
    sizes = {c.after - c.before for of_zone in changes.values() for c in of_zone}
    assert {1800, -1800, 3600, -3600, 7200, -7200, 86400} <= sizes
    assert len({c for of_zone in changes.values() for c in of_zone if c.at >= FIRST}) > 500
    for name, of_zone in changes.items():
        for one, next_ in zip(of_zone, of_zone[1:]):
            assert next_.at - one.at > 2 * AROUND_S, (name, one, next_)


@pytest.mark.slow
def test_every_change_of_every_zone(changes, book):
    """The ticks of some forty expressions around each change are those that a look at every minute finds, in order, none twice."""
    questions, expected = [], []
    for zone, of_zone in changes.items():
        for change in of_zone:
            for text, expression in book.expressions_for(change):
                questions.append(question_of(zone, change, text))
                expected.append(text_of(book.ticks(zone, change, text, expression)))
    assert len(questions) > 100000
    wrong = list(differences(questions, ask(questions), expected))
    assert not wrong, f"{len(wrong)} of {len(questions)} differ:\n" + "\n".join(wrong[:10])


def test_every_zone_on_an_ordinary_day(changes):
    """At some moment of those years: zones whose clocks never change too."""
    rng = random.Random(SEED)
    questions, expected = [], []
    for zone, of_zone in changes.items():
        at = rng.randrange(FIRST, LAST, 60)
        if any(abs(at - c.at) < 2 * DAY_S for c in of_zone):
            continue
        wall = datetime.datetime.fromtimestamp(at, zoneinfo.ZoneInfo(zone))
        clock = Clock(zoneinfo.ZoneInfo(zone), at, at + DAY_S // 2)
        for text in ["0 0 * * *", "*/15 * * * *", *(random_expression(rng, wall) for _ in range(6))]:
            questions.append(Question(zone, at * 1000000, (at + DAY_S // 2) * 1000000, text))
            expected.append(text_of(t for t in ticks(Expression(text), clock) if t > at))
    wrong = list(differences(questions, ask(questions), expected))
    assert not wrong, f"{len(wrong)} of {len(questions)} differ:\n" + "\n".join(wrong[:10])


def some(changes, n):
    """(zone, change), each change once, in a fixed order that has nothing to do with their names."""
    one_of = {change: zone for zone, of_zone in changes.items() for change in of_zone}
    return random.Random(SEED).sample([(zone, change) for change, zone in one_of.items()], n)


def test_the_next_tick_is_the_same_whenever_it_is_asked_for(changes, book):
    """From a tick itself, from a microsecond around it, from any moment between two: never one skipped, never one again, always later."""
    rng = random.Random(SEED)
    questions, expected = [], []
    for zone, change in some(changes, 250):
        start, end = span_of(change)
        for text, expression in rng.sample(book.expressions_for(change), 12):
            found = book.ticks(zone, change, text, expression)
            around = [t * 1000000 + d for t in found if abs(t - change.at) < 3 * 3600 for d in (-1, 0, 1, 30 * 1000000 + 1)][:24]
            between = [rng.randrange(max(start, change.at - 7200) * 1000000, min(end, change.at + 7200) * 1000000) for _ in range(6)]
            for after in [*around, *between, change.at * 1000000 - 1, change.at * 1000000]:
                if after < start * 1000000:
                    continue
                i = bisect.bisect_right(found, after // 1000000)
                next_ = found[i:i + 1]
                until = next_[0] if next_ else end
                questions.append(Question(zone, after, until * 1000000, text))
                expected.append(text_of(next_))
    assert len(questions) > 10000
    wrong = list(differences(questions, ask(questions), expected))
    assert not wrong, f"{len(wrong)} of {len(questions)} differ:\n" + "\n".join(wrong[:10])


@pytest.mark.parametrize("rule", ["gap", "gap, lost day", "overlap, fixed", "overlap, interval", "either day"])
def test_a_broken_rule_would_be_seen(changes, book, rule):
    """With one rule turned round in the oracle, product and oracle part: so the expressions do put each rule to the test."""
    questions, expected = [], []
    for zone, change in some(changes, 60):
        for text, expression in book.expressions_for(change):
            if rule == "either day":
                expression = Expression("0 * * * *" if text == "@hourly" else text)
                expression.either_day = not expression.either_day
            start, _ = span_of(change)
            questions.append(question_of(zone, change, text))
            expected.append(text_of(t for t in ticks(expression, book.clock(zone, change), broken=rule) if t > start))
    assert len(list(differences(questions, ask(questions), expected))) > 20
