"""Makes published_log.json: a log of 300 leaves with proofs, as Go's sumdb publishes it.

Build the Go program in tests/third_party_log, and run `python -m tests.vectors.make_published_log
PROGRAM` from the repository's root. Our own code must make the same bytes: a test beside the
program compares. The file changes only together with the formats, and they are other people's.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).with_name("published_log.json")
SIZE = 300
ASKED = {
    "name": "voicefile/vectors/" + "11" * 16,
    "seed": hashlib.sha256(b"voicefile/vectors/published-log").hexdigest(),
    "leaves": [hashlib.sha256(f"leaf {index}".encode()).hexdigest() for index in range(SIZE)],
    "inclusion": [
        {"index": index, "size": size}
        for size in (1, 2, 7, 8, 255, 256, 257, SIZE)
        for index in sorted({0, size // 3, size - 1})
    ],
    "consistency": [
        {"old_size": old_size, "size": size}
        for size in (2, 7, 8, 256, 257, SIZE)
        for old_size in sorted({1, size // 2, size - 1, size})
    ],
}


def by_go(program):
    """What the Go program publishes."""
    ran = subprocess.run(
        [program, "make"], input=json.dumps(ASKED).encode(), capture_output=True, check=True
    )
    return json.loads(ran.stdout)


def as_text(published):
    """The file."""
    return json.dumps({"asked": ASKED, "published": published}, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(as_text(by_go(sys.argv[1])))
