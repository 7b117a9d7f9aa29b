"""Fixtures: one deployment for all tests of a run."""
import os
import pathlib
import sys

import pytest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "scenarios")]
pytest.register_assert_rewrite("deployment", "engine", "services")
import deployment as deployment_module  # noqa: E402
import engine  # noqa: E402
import oracle  # noqa: E402

MADE = []


@pytest.fixture(scope="session")
def deployment(tmp_path_factory):
    try:
        engine.prepare()
    except engine.NoEngine as why:
        if os.environ.get("DESKMILL_COMPOSE_TEST") == "required":
            pytest.fail(f"no deployment to test: {why}", pytrace=False)
        pytest.skip(f"no deployment to test: {why}")
    made = deployment_module.Deployment(tmp_path_factory.mktemp("compose"))
    MADE.append(made)
    try:
        made.keep_stages()
        made.build("one")
        made.compose("up", "-d")
        yield made
    finally:
        made.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what every container said."""
    report = (yield).get_result()
    if report.failed and MADE:
        for name, text in MADE[0].logs():
            report.sections.append((f"log of {name}", text))


def pytest_assertrepr_compare(op, left, right):
    if op == "==" and isinstance(left, oracle.Rows) and isinstance(right, oracle.Rows):
        return left.difference(right)
    return None
