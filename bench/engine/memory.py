"""make bench-memory: what an idle clipmakerd with the default config and four warm workers hold, beside a BullMQ worker.

The last line is one JSON object; figures are KiB from /proc/PID/smaps_rollup.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import daemon as ours
from run import BUILD, NOOP, PROGRAMS, QUICK, SOURCE, WORKER, Redis, install_peer, say

IDLE_S = 1 if QUICK else 10
ROUNDS_MAX = 10
DEFAULT = SOURCE.parent.parent / "etc/clipmaker.conf"


def memory(pid):
    fields = {}
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, number = line.split()[:2]
        fields[name.rstrip(":")] = int(number)
    return {"rss": fields["Rss"], "pss": fields["Pss"],
            "own": fields["Private_Clean"] + fields["Private_Dirty"]}


def children(pid):
    return [int(one) for one in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def idle_daemon(root):
    """The config as it is shipped, with this build's plugins and a clips folder of ours."""
    text = DEFAULT.read_text().replace("/var/lib/clipmaker/clips", str(root / "clips"))
    plugins = BUILD / "plugins"
    for name in ("source_file", "source_http", "media_ffmpeg", "stt_captions", "stt_pocketsphinx", "llm_offline",
                 "render_ffmpeg", "publish_folder"):
        text = text.replace(f'plugin = "{name}"', f'plugin = "{plugins}/{name}.so"')
    text += f'worker = "{BUILD}/clipmaker-worker"; prompts = "{DEFAULT.parent}/prompts";\n'
    daemon = ours.Daemon(root / "idle", PROGRAMS, text)
    try:
        daemon.start()
        time.sleep(IDLE_S)
        return memory(daemon.process.pid)
    finally:
        daemon.stop()


def warm_workers(root):
    config = ours.CONFIG.format(slots=4, log="info", worker=WORKER, plugin=NOOP, store="")
    daemon = ours.Daemon(root / "warm", PROGRAMS, config)
    try:
        daemon.start()
        pids = []
        for _ in range(ROUNDS_MAX):  # tasks this short may all be done before a fourth worker is called for
            ours.dags(daemon, 20, 4, 0)
            pids = children(daemon.process.pid)
            if len(pids) == 4:
                break
        assert len(pids) == 4, f"{len(pids)} workers instead of four"
        return [memory(pid) for pid in pids]
    finally:
        daemon.stop()


def bullmq_worker(root, peer):
    with Redis(root / "redis") as redis:
        worker = subprocess.Popen(["node", peer, "idle", str(redis.port)], stdout=subprocess.DEVNULL)
        try:
            time.sleep(3)
            return memory(worker.pid)
        finally:
            worker.kill()
            worker.wait()


def row(name, one):
    say(f"{name:28} RSS {one['rss'] / 1024:6.1f}  PSS {one['pss'] / 1024:6.1f}  its own {one['own'] / 1024:6.1f} MiB")


def main():
    root = pathlib.Path(tempfile.mkdtemp(prefix="clipmaker-bench-"))
    figures, ratios = {}, {}
    try:
        idle, warm = idle_daemon(root), warm_workers(root)
        row("clipmakerd, idle", idle)
        for number, one in enumerate(warm):
            row(f"warm worker {number + 1}", one)
        worst = max(one["pss"] for one in warm)
        figures.update(daemon_rss_kib=idle["rss"], daemon_pss_kib=idle["pss"], worker_pss_kib_max=worst,
                       worker_pss_kib=[one["pss"] for one in warm])
        ratios.update(daemon_of_16_mb=round(idle["rss"] / 15625, 3), worker_of_8_mb=round(worst / 7812.5, 3))
        if not QUICK:
            peer = bullmq_worker(root, install_peer("bullmq"))
            row("BullMQ worker (one process)", peer)
            figures.update(bullmq_worker_rss_kib=peer["rss"], bullmq_worker_pss_kib=peer["pss"])
            ratios.update(worker=round(worst / peer["pss"], 3), daemon=round(idle["rss"] / peer["rss"], 3))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(json.dumps({"bench": "memory", "figures": figures, "ratios": ratios}))


main()
