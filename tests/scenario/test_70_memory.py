"""The daemon's memory: small when idle, flat over ten thousand attempts."""
import pathlib
import re

import pytest

from daemon import Daemon

CHUNKS = 500
MIB = 1024


def rss_kb(daemon):
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))


def a_thousand(daemon):
    """Two jobs of CHUNKS attempts each; the memory after them."""
    for job in [daemon.submit() for _ in range(2)]:
        assert daemon.ended(job, seconds=60)["state"] == "succeeded"
    return rss_kb(daemon)


@pytest.mark.long
def test_memory_stays_flat(tmp_path):
    daemon = Daemon(tmp_path, short=True, chunks=CHUNKS, chunk_length="2s", slots=8, warm_attempts=100000)
    # Without the tally: to count what was before it is read whole, again for each attempt.
    daemon.instance("stt1", "fake_stt", limit=8, tally="")
    daemon.write_config()
    daemon.start()
    try:
        idle = rss_kb(daemon)
        # What the store and the allocator keep for reuse goes up and down by a megabyte; a leak lifts the floor.
        after = [a_thousand(daemon) for _ in range(10)]
        print(f"idle {idle} KiB; after each 1000 attempts {after}")
        early, late = min(after[1:4]), min(after[7:])
        assert idle <= 16 * MIB
        assert late - early <= max(early // 20, MIB)
        assert daemon.stop() == 0
    finally:
        daemon.kill()
    daemon.assert_clean()
