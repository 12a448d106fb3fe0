import subprocess
import sys

ASKED = """
import gc
from voicefile.chassis.collector import settle_collector
class Cycle:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("went")
Cycle()
settle_collector()
print("kept", gc.get_freeze_count() > 1_000)
"""


def test_what_was_loaded_is_not_looked_at_again_and_what_was_left_behind_is_gone():
    # In a process of its own: what is frozen here would be for all tests.
    told = subprocess.run([sys.executable, "-c", ASKED], capture_output=True, text=True, check=True)

    assert told.stdout.split() == ["went", "kept", "True"]
