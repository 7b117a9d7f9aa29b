"""deskmill migrate: once, from any number of hosts, and never over a history that was changed."""
import shutil
import subprocess
import threading

import pytest

import stack as harness


@pytest.fixture
def empty(cluster, request):
    """The address of an empty database."""
    name = "m_" + request.node.name[:40]
    cluster.make_database(name, migrated=False)
    yield cluster.postgres.url(name)
    cluster.drop_database(name)


def query(url, text):
    return subprocess.run([harness.services.PG_BIN / "../bin/psql", "-XqAt", url, "-c", text], capture_output=True, text=True, check=True).stdout.strip()


def test_a_second_migrate_does_nothing(empty):
    harness.migrate(empty)
    before = query(empty, "SELECT version, name, checksum, xmin FROM deskmill.schema_migrations ORDER BY 1")
    assert before.count("\n") + 1 == len(list((harness.ROOT / "schema").glob("[0-9]*.sql")))
    harness.migrate(empty)
    assert query(empty, "SELECT version, name, checksum, xmin FROM deskmill.schema_migrations ORDER BY 1") == before


def test_every_table_and_column_says_what_it_is(empty):
    """A BI tool shows these comments to people who have never seen the code."""
    harness.migrate(empty)
    assert query(empty, "SELECT format('%s.%s', c.relname, a.attname) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
                        " WHERE c.relnamespace = 'deskmill'::regnamespace AND c.relkind = 'r' AND c.relname <> 'schema_migrations' AND a.attnum > 0"
                        " AND NOT a.attisdropped AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid, 'pg_class') IS NULL)") == ""


def test_many_at_once_are_one(empty):
    """Six processes on an empty database: each ends well, each file is applied once."""
    done = []
    threads = [threading.Thread(target=lambda: done.append(harness.migrate(empty, check=False))) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [d.returncode for d in done] == [0] * 6, "\n".join(d.stderr for d in done)
    assert query(empty, "SELECT count(*) = count(DISTINCT version) FROM deskmill.schema_migrations") == "t"


def test_a_changed_applied_file_is_a_clear_error(empty, tmp_path):
    folder = shutil.copytree(harness.ROOT / "schema", tmp_path / "schema")
    harness.migrate(empty, "--dir", folder)
    first = min(folder.glob("0001_*.sql"))
    first.write_text(first.read_text() + "-- only a comment\n")
    done = harness.migrate(empty, "--dir", folder, check=False)
    assert done.returncode == 1, done.stderr
    assert "0001" in done.stderr and "changed" in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_a_failing_file_leaves_nothing_of_itself(empty, tmp_path):
    """Those before it stay; mended, it goes on from there."""
    folder = shutil.copytree(harness.ROOT / "schema", tmp_path / "schema")
    last = folder / f"{len(list(folder.glob('[0-9]*.sql'))) + 1:04d}_broken.sql"
    last.write_text("CREATE TABLE deskmill.half (a int);\nCREATE TABLE deskmill.half (a int);\n")
    done = harness.migrate(empty, "--dir", folder, check=False)
    assert done.returncode == 1 and "half" in done.stderr, done.stderr
    assert query(empty, "SELECT to_regclass('deskmill.half'), count(*) FROM deskmill.schema_migrations") == f"|{len(list(folder.glob('[0-9]*.sql'))) - 1}"
    last.write_text("CREATE TABLE deskmill.half (a int);\n")
    harness.migrate(empty, "--dir", folder)
    assert query(empty, "SELECT to_regclass('deskmill.half') IS NOT NULL") == "t"


@pytest.mark.parametrize("program, opts", [("deskmill-worker", []), ("deskmill-scheduler", []), ("deskmill-api", ["--port", "0"])])
def test_a_process_refuses_a_database_that_is_not_migrated(empty, tmp_path, program, opts):
    redis = harness.services.Redis(tmp_path)
    try:
        done = subprocess.run([harness.binary(program), *opts], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env={
            **harness.base_env(), "DATABASE_URL": empty, "REDIS_URL": redis.url, "DESKMILL_KEY": "0" * 64, "DESKMILL_API_KEY": "k" * 32})
    finally:
        redis.stop()
    assert done.returncode not in (0, -6, 99), done.stderr
    assert "migrate" in done.stderr, done.stderr
