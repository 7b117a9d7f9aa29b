"""The protocol's model, looked through by spin: it holds within its bounds, and each part left out is missed.

spin turns protocol.pml into a C program that visits every state. `holds` runs must visit them all and find nothing; `broken` ones leave a part of
the protocol out and must find what that part is there for. A run that ends otherwise than expected fails with its story, step by step.
"""
import pathlib
import re
import shutil
import subprocess

import pytest

MODEL = pathlib.Path(__file__).resolve().parent / "protocol.pml"
DEPTH = 20000
MEMORY_MB = 3000
pytestmark = pytest.mark.skipif(not (shutil.which("spin") and shutil.which("gcc")), reason="no spin, or no gcc for it; spin is in Debian's package spin")

# Name -> bounds. Each run covers all interleavings of everything that these allow.
HOLDS = {
    "two workers, one job, two faults": {"FAULTS": 2},
    "two pages": {"FAULTS": 1, "PAGES": 2},
    "one worker, three faults": {"WORKERS": 1, "FAULTS": 3},
    "two jobs of one lock key": {"JOBS": 2, "FAULTS": 1},
}
SLOW = {"two jobs of one lock key"}

WRITES_TWICE, STEALS = "row[j].page==note", "row[j].state=="
STUCK, INNOCENT = "acceptance cycle", "row[0].losses<=struck"
# What is left out -> (other settings, what must be found).
BROKEN = {
    "NO_FENCE": ({}, STEALS),
    "NO_EPOCH": ({"KINDS": "CHILD"}, WRITES_TWICE),
    "NO_OWNER": ({"KINDS": "CRASH"}, WRITES_TWICE),
    "NO_FLOOR": ({"KINDS": "CRASH+CHILD", "FAULTS": 2}, WRITES_TWICE),
    "RELAXED_REGISTER": ({"KINDS": "CRASH"}, WRITES_TWICE),
    "ANYONE": ({"KINDS": "STOP"}, INNOCENT),
    "NO_LEASE": ({"KINDS": "0"}, INNOCENT),
    "NO_REAP": ({"KINDS": "KILL"}, STUCK),
    "NO_REPUSH": ({"KINDS": "FORGET"}, STUCK),
    "NO_ADRIFT": ({"KINDS": "CUT"}, STUCK),
}
# What is needed only where something is left out (a claim that is held already, worker ids that are undone), and the ends of loops.
UNREACHED = {"ids = (ids-1)", "note[(i*5)].owner = 0", "note[(i*5)].page = 0", "-end-"}


class Verdict:
    def __init__(self, text, story):
        self.text, self.story = text, story
        self.errors = int(re.search(r"errors: (\d+)", text)[1]) if "errors:" in text else None
        self.whole = "Search not completed" not in text and "max search depth too small" not in text and "out of memory" not in text

    def unreached(self):
        """{(process, number): statement}"""
        found, process = {}, None
        for line in self.text.splitlines():
            if head := re.match(r"unreached in (?:proctype )?(\w+)", line):
                process = head[1]
            elif state := re.match(r'\tprotocol\.pml:\d+, state (\d+), "(.*)"$', line):
                found[process, int(state[1])] = state[2]
        return found

    def __repr__(self):
        return f"{self.text}\n{self.story}"


def verify(folder, settings, progress=True, large=False):
    """`progress`: also that every job ends; otherwise only the assertions, and the shortest story to one that fails. `large`: worth a slower compiler."""
    flags = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in settings.items()]
    shutil.copy(MODEL, folder)

    def call(*argv):
        return subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    made = call("spin", "-a", *flags, MODEL.name)
    assert made.returncode == 0 and "Error" not in made.stdout, made.stdout
    how = ["-DNOFAIR"] if progress else ["-DSAFETY", "-DNOCLAIM", "-DBFS"]
    made = call("gcc", "-w", "-O1" if large else "-O0", f"-DMEMLIM={MEMORY_MB}", *how, "-o", "pan", "pan.c")
    assert made.returncode == 0, made.stdout
    text = call("./pan", f"-m{DEPTH}", *(["-a"] if progress else [])).stdout
    story = ""
    if (folder / f"{MODEL.name}.trail").exists():
        replay = call("spin", "-t", "-T", *flags, MODEL.name).stdout
        story = "\n".join(re.findall(r"^ *((?:worker|child|Postgres|scheduler|Redis|FAULT)\b.*:.*|<+START OF CYCLE>+)$", replay, re.M))
    return Verdict(text, story)




@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in HOLDS])
def test_holds(tmp_path, name):
    verdict = verify(tmp_path, HOLDS[name], large=True)
    assert verdict.errors == 0 and verdict.whole, verdict


SEEN_BY = [{"FAULTS": 1}, {"FAULTS": 2, "KINDS": "CHILD+CUT"}, {"WORKERS": 1, "JOBS": 2, "FAULTS": 2, "KINDS": "KILL+STOP+CRASH+FORGET+AWAY"}]


def test_every_step_of_the_model_can_happen(tmp_path):
    """A model in which something can never happen would hold for the wrong reason. Between them, three smaller runs see everything."""
    never = None
    for i, settings in enumerate(SEEN_BY):
        folder = tmp_path / str(i)
        folder.mkdir()
        missed = verify(folder, settings).unreached()
        assert missed
        never = missed if never is None else {key: text for key, text in never.items() if key in missed}
    assert set(never.values()) <= UNREACHED, never


@pytest.mark.parametrize("part", BROKEN)
def test_without_it(tmp_path, part):
    """Each part is there for a reason, and the model shows it."""
    settings, expected = BROKEN[part]
    verdict = verify(tmp_path, {part: None, "FAULTS": 1, **settings}, progress=expected == STUCK)
    assert verdict.errors == 1 and expected in verdict.text, verdict
