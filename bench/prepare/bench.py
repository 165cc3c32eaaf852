"""bench-prepare: an hour of 720p talk made ready for clips, ours against FFmpeg's program.

    make bench-prepare       (QUICK=1: one round)

  ours        clipmaker-worker --call with media_ffmpeg: speech audio as FLAC chunks cut at pauses, voice activity,
              loudness, level and noise of each 10 ms, silences, loud passages, bursts, scene changes at key frames, facts.
  three       three ffmpeg commands: the sound to mono 16 kHz FLAC; ebur128; scene scores of the key frames. No voice
              activity, no chunks, no levels.
"""
import json
import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import pairs
import talk

HOUR_S = 3600
START = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y"]


def ours(build, work, source):
    shutil.rmtree(work / "ours", ignore_errors=True)
    (work / "ours.json").write_text(json.dumps({
        "v": 1, "type": "begin", "attempt": "bench/prepare#1", "job": "bench", "step": "prepare", "item": "", "fence": 1,
        "stage": "prepare", "op": "prepare", "instance": "bench", "plugin": str(build / "plugins/media_ffmpeg.so"),
        "options": {}, "language": "en", "params": {}, "dir": str(work / "ours"), "confine": False,
        "inputs": [{"role": "media", "key": "", "path": str(source), "facts": {}}]}))
    return [build / "clipmaker-worker", "--call", work / "ours.json"]


def theirs(work, source):
    return {
        "audio to FLAC": [*START, "-i", source, "-vn", "-ac", 1, "-ar", 16000, "-c:a", "flac", work / "sound.flac"],
        "loudness": [*START, "-i", source, "-vn", "-af", "ebur128=framelog=verbose", "-f", "null", "-"],
        "scene scores": [*START, "-skip_frame", "nokey", "-i", source, "-an", "-vf",
                         f"select='gte(scene,0)',metadata=print:file={work}/scenes.txt", "-vsync", "vfr", "-f", "null", "-"],
    }


def summed(parts):
    return [{"cpu_s": sum(one["cpu_s"] for one in round), "wall_s": sum(one["wall_s"] for one in round),
             "rss_mb": max(one["rss_mb"] for one in round)} for round in zip(*parts)]


def main():
    build = pathlib.Path(os.environ["CLIPMAKER_BUILD"]).resolve()
    work = build / "bench-prepare"
    work.mkdir(parents=True, exist_ok=True)
    source, kind = talk.hour(work)
    with source.open("rb") as file:  # from the disk once, for all of them
        while file.read(1 << 20):
            pass
    ways = {"ours": lambda: pairs.run(ours(build, work, source))}
    for name, command in theirs(work, source).items():
        ways[name] = lambda command=command: pairs.run(command)
    found = pairs.in_turn(ways)
    found["three together"] = summed([found[name] for name in theirs(work, source)])
    rows = [["an hour of 720p", "CPU s", "noise", "times real time", "wall s", "memory MB"]]
    for name, costs in found.items():
        cpu = pairs.median(costs)
        rows.append([name, f"{cpu:.2f}", f"±{100 * pairs.noise(costs):.1f} %", f"{HOUR_S / cpu:.0f}",
                     f"{pairs.median(costs, 'wall_s'):.1f}", f"{pairs.median(costs, 'rss_mb'):.0f}"])
    print(f"{kind}, median of {pairs.ROUNDS}, {os.cpu_count()} processors\n")
    pairs.print_table(rows)
    print()
    figures = {f"{name.replace(' ', '_')}_cpu_s": pairs.median(costs) for name, costs in found.items()}
    figures["noise"] = max(pairs.noise(found["ours"]), pairs.noise(found["three together"]))
    pairs.print_result("prepare", figures, {"cpu": pairs.ratio(found["ours"], found["three together"])})


if __name__ == "__main__":
    main()
