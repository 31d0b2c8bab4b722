"""A trace is the same in every process: nothing in it may hang on the order of a set, which Python draws anew."""

from __future__ import annotations

import os
import subprocess
import sys

from tts_lab.systems import STUDIES, SYSTEMS

SCRIPT = """
import hashlib
from tts_lab.experiments.vram import traced
from tts_lab.systems import STUDIES, SYSTEMS
for system in (*SYSTEMS, *STUDIES):
    log = traced(system, "8gb", "as-released" if "public" in system else "default", 3.0, 3.0)
    columns = log.columns()
    arrays = (columns.storage, columns.bytes, columns.operator, columns.module, columns.stage, columns.category)
    digest = hashlib.sha256(repr((columns.tables, log.markers, log.repeats, log.work, log.flushes)).encode())
    for array in (*arrays, log.uses.position, log.uses.storage):
        digest.update(array.tobytes())
    print(system, len(columns.bytes), digest.hexdigest())
"""


def digests(seed: str) -> list[str]:
    run = subprocess.run([sys.executable, "-c", SCRIPT], env={**os.environ, "PYTHONHASHSEED": seed},
                         capture_output=True, text=True, check=True)  # fmt: skip
    return run.stdout.split("\n")[:-1]


def test_a_trace_does_not_hang_on_the_order_of_sets() -> None:
    first, second = digests("1"), digests("2")
    assert len(first) == len(SYSTEMS) + len(STUDIES)
    assert first == second
