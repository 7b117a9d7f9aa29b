"""The options of each program: the READMEs tell them as they are, and bad ones are refused in one line."""
import subprocess

import pytest

import stack as harness
import tables

PROGRAMS = ["deskmill-worker", "deskmill-scheduler", "deskmill-api"]


@pytest.mark.parametrize("readme", tables.readmes(), ids=lambda p: str(p.parent.name))
def test_the_readme_shows_the_options_that_there_are(readme):
    for command, shown in tables.blocks(readme):
        assert shown == tables.printed(command, harness.BIN), f"{readme}: run ./dev tables"


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_has_its_table_in_a_readme(program):
    assert any(command.split()[0] == program for readme in tables.readmes() for command, _ in tables.blocks(readme))


def run(program, *argv, **env):
    full = {**harness.base_env(), "DATABASE_URL": "postgresql://127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1", "DESKMILL_KEY": "0" * 64,
            "DESKMILL_API_KEY": "k" * 32, **env}
    return subprocess.run([harness.binary(program), *argv], env={k: v for k, v in full.items() if v is not None}, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=30)


BAD = [
    ("deskmill-worker", ["--no-such-option"], {}, "no-such-option"),
    ("deskmill-worker", ["--slots", "0"], {}, "slots"),
    ("deskmill-worker", ["--slots=many"], {}, "slots"),
    ("deskmill-worker", ["--slots"], {}, "slots"),
    ("deskmill-worker", [], {"DATABASE_URL": "mysql://x"}, "DATABASE_URL|database-url"),
    ("deskmill-worker", [], {"DATABASE_URL": None}, "DATABASE_URL|database-url"),
    ("deskmill-worker", [], {"DESKMILL_KEY": "abc"}, "DESKMILL_KEY|key"),
    ("deskmill-worker", [], {"DESKMILL_SLOTS": "-4"}, "DESKMILL_SLOTS|slots"),
    ("deskmill-worker", [], {"DESKMILL_KEY": "@/nonexistent/key"}, "/nonexistent/key: No such file"),
    ("deskmill-scheduler", [], {"DATABASE_URL": "@/nonexistent/url"}, "/nonexistent/url: No such file"),
    ("deskmill-api", ["--redis-url", "@/"], {}, "/: Is a directory"),
    ("deskmill", ["migrate"], {"DATABASE_URL": "@/nonexistent/url"}, "/nonexistent/url: No such file"),
    ("deskmill", ["jobs"], {"DESKMILL_API_KEY": "@/nonexistent/key"}, "/nonexistent/key: No such file"),
    ("deskmill-worker", ["surplus"], {}, "surplus"),
    ("deskmill-scheduler", ["--lease-ms", "1"], {}, "lease-ms"),
    ("deskmill-scheduler", [], {"REDIS_URL": "http://x"}, "REDIS_URL|redis-url"),
    ("deskmill-api", ["--port", "70000"], {}, "port"),
    ("deskmill-api", [], {"DESKMILL_API_KEY": "short"}, "DESKMILL_API_KEY|api-key"),
]


@pytest.mark.parametrize("program, argv, env, names", BAD, ids=[f"{p.removeprefix('deskmill-')} {' '.join(a) or ' '.join(e)}" for p, a, e, _ in BAD])
def test_a_bad_option_is_one_line_that_names_it(program, argv, env, names):
    done = run(program, *argv, **env)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert any(name in done.stderr for name in names.split("|")), done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("program", PROGRAMS + ["deskmill"])
def test_help_and_version_end_well(program):
    told = run(program, "--help")
    assert told.returncode == 0 and "--" in told.stdout and told.stderr == ""
    version = run(program, "--version")
    assert version.returncode == 0 and version.stdout.strip()
