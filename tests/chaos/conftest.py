"""Puts the harness of the scenarios within reach; the fixtures are theirs."""
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "scenarios"), str(HERE.parent)]
