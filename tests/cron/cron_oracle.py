"""cron_oracle - which minutes are ticks of a cron expression, by looking at every minute of a span, one after the other.

The rules are those of common/cron.h in its own words: fields, either day, gaps, overlaps. The wall clock is Python's zoneinfo. Nothing here
was taken from common/cron.c: no search for the next match, no arithmetic with offsets.

    clock = Clock(zoneinfo.ZoneInfo("Europe/Berlin"), start, end)     seconds since 1970, whole minutes
    ticks(Expression("30 2 * * *"), clock)                            the seconds of its ticks, ascending
"""
import collections
import datetime
import functools
import itertools

UTC = datetime.timezone.utc
MINUTE = datetime.timedelta(minutes=1)
DAY = datetime.timedelta(days=1)
MONTHS = dict(zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13)))
WEEKDAYS = dict(zip("sun mon tue wed thu fri sat".split(), range(7)))
FIELDS = [(0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, MONTHS), (0, 7, WEEKDAYS)]

# What a minute of a wall clock shows, as far as cron looks.
Reading = collections.namedtuple("Reading", "minute hour mday month wday")


@functools.lru_cache(maxsize=None)
def read(wall):
    return Reading(wall.minute, wall.hour, wall.day, wall.month, wall.isoweekday() % 7)


class Clock:
    """Each minute of a span as the zone's wall clock shows it."""

    def __init__(self, zone, start, end):
        self.shown = collections.defaultdict(list)  # (hour, minute) -> [(second, reading, whether it was shown before)]
        self.gaps = {}  # second of the first minute after a gap -> the wall-clock minutes that the gap skipped
        before = None
        for t in range(start - 60, end + 1, 60):
            local = datetime.datetime.fromtimestamp(t, zone)
            wall = local.replace(tzinfo=None, fold=0)
            if t >= start:
                self.shown[wall.hour, wall.minute].append((t, read(wall), local.fold == 1))
                if wall > before + MINUTE:
                    self.gaps[t] = [before + n * MINUTE for n in range(1, (wall - before) // MINUTE)]
            before = wall


class Expression:
    def __init__(self, text):
        words = text.split()
        self.minute, self.hour, self.mday, self.month, wday = (self._field(w, *f) for w, f in zip(words, FIELDS, strict=True))
        self.wday = {n % 7 for n in wday}
        self.either_day = not words[2].startswith("*") and not words[4].startswith("*")
        self.interval = any(c in word for word in words[:2] for c in "*/")

    @staticmethod
    def _field(word, low, high, names):
        values = set()
        for item in word.lower().split(","):
            span, _, step = item.partition("/")
            if span == "*":
                first, last = low, high
            else:
                first, _, last = span.partition("-")
                first = names.get(first, first)
                last = names.get(last or first, last or first)
            values.update(range(int(first), int(last) + 1, int(step or 1)))
        return values

    def day_matches(self, r):
        m, w = r.mday in self.mday, r.wday in self.wday
        return r.month in self.month and (m or w if self.either_day else m and w)

    def matches(self, r):
        return r.minute in self.minute and r.hour in self.hour and self.day_matches(r)


def gap_calls_for_a_run(e, skipped, lost_days_count=True):
    """A fixed time that was skipped does; of an interval, only a day of which nothing else is left."""
    lost = [wall for wall in skipped if e.matches(read(wall))]
    if not e.interval or not lost:
        return bool(lost)
    for midnight in {wall.replace(hour=0, minute=0) for wall in lost}:
        of_day = [midnight + n * MINUTE for n in range(1440)]
        if lost_days_count and all(wall in skipped for wall in of_day if e.matches(read(wall))):
            return True
    return False


def ticks(e, clock, broken=None):
    """`broken` names a rule to get wrong, so that a test can show that somebody would notice."""
    twice = e.interval if broken != "overlap, interval" else False
    if broken == "overlap, fixed":
        twice = True
    found = {t for time in itertools.product(e.hour, e.minute) for t, reading, again in clock.shown.get(time, ())
             if (twice or not again) and e.day_matches(reading)}
    if broken != "gap":
        found.update(t for t, skipped in clock.gaps.items() if gap_calls_for_a_run(e, skipped, broken != "gap, lost day"))
    return sorted(found)
