"""Fixtures: one private Postgres for a run (each test has its own database in it), and a Stack around each test."""
import pathlib
import re
import sys

import pytest

sys.dont_write_bytecode = True
sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]
pytest.register_assert_rewrite("stack", "services")
import oracle  # noqa: E402
import stack as stack_module  # noqa: E402


@pytest.fixture(scope="session")
def cluster():
    made = stack_module.Cluster()
    yield made
    made.destroy()


@pytest.fixture
def stack(request, cluster, tmp_path):
    name = "t_" + re.sub(r"\W+", "_", request.node.name)[:50]
    made = stack_module.Stack(cluster, tmp_path, name)
    request.node.stack = made
    yield made
    wrong = made.close()
    if wrong:
        pytest.fail("\n\n".join(wrong), pytrace=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what every process said."""
    report = (yield).get_result()
    made = getattr(item, "stack", None)
    if report.failed and made is not None:
        for name, text in made.logs():
            report.sections.append((f"log of {name}", text))


def pytest_assertrepr_compare(op, left, right):
    if op == "==" and isinstance(left, oracle.Rows) and isinstance(right, oracle.Rows):
        return left.difference(right)
    return None
