"""Puts the harness of the scenarios within reach, and borrows its fixtures: a Stack around each test."""
import importlib.util
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "scenarios"), str(HERE.parent)]
spec = importlib.util.spec_from_file_location("scenario_fixtures", HERE.parent / "scenarios" / "conftest.py")
fixtures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fixtures)
cluster, stack, pytest_runtest_makereport, pytest_assertrepr_compare = (
    getattr(fixtures, name) for name in ("cluster", "stack", "pytest_runtest_makereport", "pytest_assertrepr_compare"))
