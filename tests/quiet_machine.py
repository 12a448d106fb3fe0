"""Tests whose verdict depends on the machine's pace: they need it to themselves."""

import os

import pytest

on_a_quiet_machine = pytest.mark.skipif(
    not os.environ.get("VOICEFILE_FAULTS"),
    reason="needs a machine to itself: make faults runs it",
)
