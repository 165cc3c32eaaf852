"""make bench-engine: ClipMaker's engine, and its daemon with real workers, against BullMQ over a real Redis, and
on PostgreSQL against graphile-worker and pg-boss over the same server.

Pairs in turn, the median of ROUNDS. Everything is started here, on 127.0.0.1 and in a temporary folder, and ended
here, also on failure. The last line is one JSON object.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import daemon as ours

SOURCE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ["CLIPMAKER_BUILD"]).resolve()
QUICK = "--quick" in sys.argv
ROUNDS = 1 if QUICK else int(os.environ.get("ROUNDS", "5"))
IN_FLIGHT = 50          # DAGs; and tasks, where a task takes a worker
ALL_TASKS = IN_FLIGHT * 25
RATE = 5
EFFECTS = 100
PROGRAMS = {"clipmakerd": str(BUILD / "clipmakerd")}
INLINE, WORKER = BUILD / "bench/engine/inline", BUILD / "bench/engine/worker"
NOOP, EFFECT = BUILD / "bench/engine/noop.so", BUILD / "bench/engine/effect.so"


def say(text):
    print(text, flush=True)


def run(*command, timeout=600, **more):
    done = subprocess.run([str(one) for one in command], capture_output=True, text=True, timeout=timeout, **more)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


# ---- The peer ------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Redis:
    """A Redis of our own that has every write on disk before it answers."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.root.mkdir(parents=True)

    def __enter__(self):
        self.port = free_port()
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.root), "--save", "",
             "--appendonly", "yes", "--appendfsync", "always"], stdout=subprocess.DEVNULL)
        for _ in range(500):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.01)
        raise RuntimeError("Redis does not serve")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)


def as_nobody(*command):
    """PostgreSQL does not run as root."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command] if os.getuid() == 0 else command


class Postgres:
    """A PostgreSQL of our own, as it is by default: fsync on, synchronous_commit on."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"))

    def __enter__(self):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="clipmaker-bench-pg-"))
        if os.getuid() == 0:
            shutil.chown(self.data, "nobody", "nogroup")
        folder, port = self.programs[-1].parent, free_port()
        subprocess.run(as_nobody(folder / "initdb", "-D", self.data, "-A", "trust", "-U", "bench"), check=True,
                       capture_output=True)
        self.process = subprocess.Popen(
            as_nobody(folder / "postgres", "-D", self.data, "-c", "listen_addresses=127.0.0.1", "-c", f"port={port}",
                      "-c", "unix_socket_directories="), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.port = port
        wait_for("PostgreSQL", lambda: subprocess.run([folder / "pg_isready", "-h", "127.0.0.1", "-p", str(port)],
                                                      capture_output=True).returncode == 0, 30)
        return self

    def url(self, name):
        folder = self.programs[-1].parent
        subprocess.run([folder / "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "bench", name], check=True)
        return f"postgresql://bench@127.0.0.1:{self.port}/{name}"

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()
        shutil.rmtree(self.data, ignore_errors=True)


def install_peer(name):
    """npm packages of bench/engine/NAME, in the build folder; where its program is."""
    folder = BUILD / "bench/npm" / name
    folder.mkdir(parents=True, exist_ok=True)
    for one in (SOURCE / name).iterdir():
        shutil.copy(one, folder)
    if not (folder / "node_modules").exists():
        subprocess.run(["npm", "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True,
                       capture_output=True)
    return folder / "bench.js"


def bullmq(root, peer, count, rate):
    with Redis(root / "redis") as redis:
        return run("node", peer, "dags", redis.port, count, IN_FLIGHT, rate)


def wait_for(what, holds, seconds):
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise RuntimeError("waited in vain for " + what)
        time.sleep(0.005)


def lines(path):
    return path.read_text().split() if path.exists() else []


def bullmq_effects(root, peer):
    """Kills it with ten in flight; how long until these are done, and how many effects came twice."""
    file = root / "effects-bullmq"
    with Redis(root / "redis") as redis:
        first = subprocess.Popen(["node", peer, "effects", str(redis.port), file, str(EFFECTS)])
        try:
            wait_for("forty effects", lambda: len(lines(file)) >= 40, 60)
            time.sleep(0.05)
        finally:
            first.kill()
            first.wait()
        begun = time.monotonic()
        run("node", peer, "recover", redis.port, file, EFFECTS, timeout=300)
        return time.monotonic() - begun, len(lines(file)) - len(set(lines(file)))


# ---- Ours ----------------------------------------------------------------------------------------


def inline(root, count, rate, tasks=ALL_TASKS):
    shutil.rmtree(root / "inline", ignore_errors=True)
    (root / "inline").mkdir()
    return run(INLINE, f"sqlite:{root}/inline/store.db", count, IN_FLIGHT, tasks, rate)


def workers(root, count, rate):
    """Warm means: they are there already."""
    shutil.rmtree(root / "daemon", ignore_errors=True)
    config = ours.CONFIG.format(slots=IN_FLIGHT, log="info", worker=WORKER, plugin=NOOP, store="")
    daemon = ours.Daemon(root / "daemon", PROGRAMS, config)
    try:
        daemon.start()
        ours.dags(daemon, 2 if QUICK else 20, IN_FLIGHT, 0)
        return ours.dags(daemon, count, IN_FLIGHT, rate)
    finally:
        daemon.stop()


def confirmed(daemon):
    return {one[0] for one in daemon.rows("SELECT key FROM effect WHERE state = 3")}


def our_effects(root):
    shutil.rmtree(root / "daemon", ignore_errors=True)
    file = root / "effects-ours"
    file.unlink(missing_ok=True)
    config = ours.EFFECTS.format(worker=WORKER, noop=NOOP, effect=EFFECT, file=file, store="")
    daemon = ours.Daemon(root / "daemon", PROGRAMS, config)
    try:
        daemon.start()
        for _ in range(EFFECTS):
            daemon.submit()
        wait_for("forty effects", lambda: len(lines(file)) >= 40, 60)
        time.sleep(0.05)
        daemon.kill()
        in_flight = set(lines(file)) - confirmed(daemon)
        begun = time.monotonic()
        daemon.start()
        wait_for("those in flight", lambda: in_flight <= confirmed(daemon), 60)
        seconds = time.monotonic() - begun
        wait_for("all", lambda: len(confirmed(daemon)) == EFFECTS, 60)
        return seconds, len(lines(file)) - len(set(lines(file))), len(in_flight)
    finally:
        daemon.stop()


# ---- All of it -----------------------------------------------------------------------------------


def spread(values):
    """Half of what lies between the lowest and the highest, as a share of the median."""
    return (max(values) - min(values)) / 2 / statistics.median(values) if len(values) > 1 else 0


def throughput(root, peer, figures, ratios):
    rates = {"inline": [], "inline_50": [], "workers": [], "bullmq": []}
    for _ in range(ROUNDS):
        rates["inline"].append(inline(root, 60 if QUICK else 1500, 0)["tasks_per_s"])
        rates["inline_50"].append(inline(root, 60 if QUICK else 1500, 0, IN_FLIGHT)["tasks_per_s"])
        rates["workers"].append(workers(root, 20 if QUICK else 600, 0)["tasks_per_s"])
        if peer:
            rates["bullmq"].append(bullmq(root, peer, 300, 0)["tasks_per_s"])
    for name, values in rates.items():
        if values:
            figures[name + "_tasks_per_s"] = statistics.median(values)
            figures[name + "_noise"] = round(spread(values), 3)
            say(f"{name:10} {statistics.median(values):8.0f} tasks/s  (± {spread(values):.0%}: {values})")
    if peer:
        for name in ("inline", "inline_50", "workers"):
            pairs = [a / b for a, b in zip(rates[name], rates["bullmq"])]
            ratios[name] = round(statistics.median(pairs), 2)


def latency(root, peer, figures, ratios):
    count = 5 if QUICK else 50
    kinds = {"inline": lambda: inline(root, count, RATE), "workers": lambda: workers(root, count, RATE)}
    if peer:
        kinds["bullmq"] = lambda: bullmq(root, peer, count, RATE)
    measured = {name: {"p50_ms": [], "p99_ms": []} for name in kinds}
    for _ in range(1 if QUICK else 3):
        for name, measure in kinds.items():
            got = measure()
            for field in measured[name]:
                measured[name][field].append(got[field])
    for name, fields in measured.items():
        for field, values in fields.items():
            figures[f"{name}_{field}"] = round(statistics.median(values), 2)
        say(f"{name:10} p50 {figures[name + '_p50_ms']:6.1f} ms  p99 {figures[name + '_p99_ms']:6.1f} ms  "
            f"of a DAG at {RATE} a second")
    if peer:
        for field in ("p50", "p99"):
            ratios[field] = round(figures[f"workers_{field}_ms"] / figures[f"bullmq_{field}_ms"], 3)
            ratios[field + "_inline"] = round(figures[f"inline_{field}_ms"] / figures[f"bullmq_{field}_ms"], 3)


def effects(root, peer, figures, ratios):
    rounds = [our_effects(root) for _ in range(ROUNDS)]
    figures["recovery_s"] = round(statistics.median(one[0] for one in rounds), 3)
    figures["doubled"] = sum(one[1] for one in rounds)
    figures["in_flight"] = [one[2] for one in rounds]
    say(f"workers    in flight {figures['in_flight']} at SIGKILL, recovered in {figures['recovery_s']:.2f} s, "
        f"{figures['doubled']} effects doubled in {ROUNDS} rounds of {EFFECTS}")
    if peer:
        seconds, doubled = bullmq_effects(root, peer)
        figures["bullmq_recovery_s"], figures["bullmq_doubled"] = round(seconds, 1), doubled
        ratios["recovery"] = round(figures["recovery_s"] / seconds, 4)
        say(f"bullmq     recovered in {seconds:.1f} s, {doubled} of {EFFECTS} effects doubled")


def on_postgres(root, figures, ratios):
    """Ours and two others over one server, each in a database of its own."""
    server = Postgres(root)
    if not server.programs:
        say("no PostgreSQL server here: not measured")
        return
    peer = install_peer("postgres")
    rates = {"pg_inline": [], "graphile": [], "pgboss": []}
    with server:
        for number in range(3):
            try:
                got = run(INLINE, server.url(f"ours{number}"), 300, IN_FLIGHT, ALL_TASKS, 0)
                rates["pg_inline"].append(got["tasks_per_s"])
            except RuntimeError as error:
                say(f"the store on PostgreSQL: {str(error)[-300:].strip()}")
                return
            for kind in ("graphile", "pgboss"):
                rates[kind].append(run("node", peer, kind, server.url(f"{kind}{number}"), 60, IN_FLIGHT)["tasks_per_s"])
    for name, values in rates.items():
        figures[name + "_tasks_per_s"] = statistics.median(values)
        say(f"{name:10} {statistics.median(values):8.0f} tasks/s  (± {spread(values):.0%}: {values})")
    for name in ("graphile", "pgboss"):
        ratios["pg_" + name] = round(statistics.median(a / b for a, b in zip(rates["pg_inline"], rates[name])), 2)


def main():
    figures, ratios = {}, {}
    peer = None if QUICK else install_peer("bullmq")
    root = pathlib.Path(tempfile.mkdtemp(prefix="clipmaker-bench-"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        throughput(root, peer, figures, ratios)
        latency(root, peer, figures, ratios)
        effects(root, peer, figures, ratios)
        if peer:
            on_postgres(root, figures, ratios)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(json.dumps({"bench": "engine", "figures": figures, "ratios": ratios}))


if __name__ == "__main__":
    main()
