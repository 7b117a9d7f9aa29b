#!/usr/bin/python3
"""tables - the option tables of the READMEs: between `<!-- options: COMMAND -->` and `<!-- /options -->` stands what COMMAND prints.

`tables.py BIN` checks them against the programs in BIN; `tables.py BIN --write` puts them right.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"(<!-- options: (\S[^\n]*?) -->\n)(.*?)(<!-- /options -->)", re.S)


def readmes():
    """The READMEs that hold such a table."""
    files = (f for f in ROOT.rglob("README.md") if f.relative_to(ROOT).parts[0] not in ("build", ".run", ".git"))
    return [f for f in sorted(files) if BLOCK.search(f.read_text())]


def blocks(readme):
    """(command, text) of each table."""
    return [(m[2], m[3]) for m in BLOCK.finditer(readme.read_text())]


def printed(command, folder):
    program, *argv = command.split()
    return subprocess.run([pathlib.Path(folder) / program, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def main(folder, write=False):
    wrong = []
    unbuilt = {command.split()[0] for readme in readmes() for command, _ in blocks(readme) if not (pathlib.Path(folder) / command.split()[0]).exists()}
    if unbuilt:
        print(f"not in {folder}: {' '.join(sorted(unbuilt))}")
        return 1
    for readme in readmes():
        text = readme.read_text()
        right = BLOCK.sub(lambda m: m[1] + printed(m[2], folder) + m[4], text)
        if right != text:
            wrong.append(readme)
            if write:
                readme.write_text(right)
    for readme in wrong:
        print(f"{readme.relative_to(ROOT)}: {'written anew' if write else 'its option table is not what the program prints; run ./dev tables'}")
    return 1 if wrong and not write else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], "--write" in sys.argv[2:]))
