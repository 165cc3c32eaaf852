"""Running two programs in turn and comparing what they cost: medians of CPU time, with their noise."""
import json
import os
import statistics
import subprocess
import tempfile
import time

ROUNDS = 1 if os.environ.get("QUICK") else int(os.environ.get("ROUNDS", 5))


def run(*commands, limit=None):
    """Runs commands (argument lists) side by side, at most `limit` at once. CPU seconds (user and system, with
    their children), wall seconds, and the largest resident set of one process."""
    waiting, running = list(commands), []
    cpu = peak = 0.0
    began = time.monotonic()
    while waiting or running:
        while waiting and (limit is None or len(running) < limit):
            running.append(start(waiting.pop(0)))
        pid, status, usage = os.wait4(-1, 0)
        done = next((one for one in running if one.pid == pid), None)
        if done is None:
            continue
        running.remove(done)
        done.returncode = os.waitstatus_to_exitcode(status)
        if done.returncode != 0:
            raise SystemExit(f"failed ({done.returncode}): {' '.join(done.args)}\n{said(done)}")
        cpu += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss / 1024)
    return {"cpu_s": cpu, "wall_s": time.monotonic() - began, "rss_mb": peak}


def start(command):
    output = tempfile.TemporaryFile()
    child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    child.output = output
    return child


def said(child):
    child.output.seek(0)
    return child.output.read().decode(errors="replace")[-2000:]


def in_turn(ways, rounds=ROUNDS):
    """`ways`: name → function that gives a measurement. Every round runs each once, so that what else the machine does
    falls on all of them alike."""
    found = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(way())
    return found


def median(measurements, what="cpu_s"):
    return statistics.median(one[what] for one in measurements)


def noise(measurements, what="cpu_s"):
    """Half the distance between the extremes, as a share of the median."""
    values = [one[what] for one in measurements]
    return (max(values) - min(values)) / 2 / statistics.median(values)


def ratio(ours, theirs, what="cpu_s"):
    """The median of the ratios of the rounds."""
    return statistics.median(one[what] / other[what] for one, other in zip(ours, theirs))


def print_table(rows):
    """Rows of texts, the first the heads."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                        for i, (text, width) in enumerate(zip(row, widths))))
        if number == 0:
            print("  ".join("-" * width for width in widths))


def print_result(bench, figures, ratios):
    """The last line: one JSON object."""
    def rounded(values):
        return {name: round(value, 4) for name, value in values.items()}
    print(json.dumps({"bench": bench, "figures": rounded(figures), "ratios": rounded(ratios)}))
