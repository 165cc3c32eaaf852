"""A clipmakerd of the fake plugins: its config, its control protocol, its end, and what it left."""
import collections
import copy
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

from conftest import BUILD, STAGE

FAKES = ("source", "prepare", "stt", "llm", "render", "publish", "blind")

OVER = ("succeeded", "partial", "failed", "cancelled")

#: step: stage, what follows it; `use` is added by Daemon.
STEPS = """
  {{ step = "fetch"; stage = "source"; use = {source}; tries = 3; deadline = "{deadline}"; }},
  {{ step = "prepare"; stage = "prepare"; use = {prepare}; after = [ "fetch" ]; makes = [ "chunk" ]; tries = 3;
     deadline = "{deadline}"; }},
  {{ step = "stt"; stage = "stt"; use = {stt}; after = [ "prepare" ]; each = "chunk"; tries = 3;
     deadline = "{deadline}"; {stall} }}"""
MORE = """,
  {{ step = "windows"; builtin = "windows"; after = [ "stt" ]; makes = [ "window" ]; }},
  {{ step = "moments"; stage = "llm"; ask = "moment_selection"; use = {llm}; after = [ "windows" ]; each = "window";
     deadline = "{deadline}"; }},
  {{ step = "score"; stage = "llm"; ask = "virality_scoring"; use = {llm}; after = [ "moments" ]; }},
  {{ step = "choose"; builtin = "choose"; after = [ "score" ]; makes = [ "moment" ]; }},
  {{ step = "clip"; stage = "render"; use = {render}; after = [ "choose" ]; each = "moment*format";
     deadline = "{deadline}"; }},
  {{ step = "post"; stage = "publish"; use = [ "target" ]; after = [ "clip" ]; each = "moment*format*target";
     tries = 4; deadline = "{deadline}"; }}"""

Act = collections.namedtuple("Act", "ms pid stage instance job step item fence number what")


def process_file(pid, name):
    """What /proc says of a process, nothing when it has ended in between."""
    try:
        return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def send_signal(pid, number):
    """True when there was a process to take it."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


class Refused(Exception):
    def __init__(self, answer):
        super().__init__(answer["words"])
        self.status, self.words = answer["status"], answer["words"]


class Client:
    """One connection to the control socket."""

    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        folder = os.open(pathlib.Path(path).parent, os.O_PATH | os.O_DIRECTORY)
        try:
            # However long the folder's name is: an address has room for 107 bytes.
            self.socket.connect(f"/proc/self/fd/{folder}/{pathlib.Path(path).name}")
        finally:
            os.close(folder)
        self.lines = self.socket.makefile("r", encoding="utf-8")

    def line(self):
        text = self.lines.readline()
        if not text.endswith("\n"):
            raise ConnectionError("the daemon hung up")
        return json.loads(text)

    def ask(self, do, **fields):
        self.socket.sendall(json.dumps({"v": 1, "do": do, **fields}).encode() + b"\n")
        answer = self.line()
        if not answer["ok"]:
            raise Refused(answer)
        return answer

    def close(self):
        self.lines.close()
        self.socket.close()


class Daemon:
    """Everything lives under `root`: clipmaker.conf, state/, tally/, platform/, log."""

    def __init__(self, root, short=False, **settings):
        self.root = pathlib.Path(root)
        self.state, self.tally = self.root / "state", self.root / "tally"
        self.platform, self.blind = self.root / "platform", self.root / "blind"
        self.log, self.conf = self.root / "log", self.root / "clipmaker.conf"
        for folder in (self.root, self.tally, self.platform, self.blind):
            folder.mkdir(parents=True, exist_ok=True)
        self.control = self.state / "control.sock"
        self.process = None
        self.settings = dict(slots=4, max_jobs=1000, min_free="1MiB", kill_after="300ms", drain="1s",
                             backoff_base="20ms", backoff_max="200ms", failures=50, rest="300ms", chunks=2,
                             chunk_length="40s", deadline="20s", stall="", extra="", limit=4, warm="60s", memory="",
                             store="", publish='"pub"', script="ok", chunk_limit=4, warm_attempts=1000)
        self.settings.update(settings)
        self.short, self.instances = short, {}
        self.uses = {stage: f'[ "{stage}1" ]' for stage in ("source", "prepare", "stt", "llm", "render")}
        self.write_config()

    def twin(self, name):
        """Another daemon of the same config, store and state folder."""
        other = copy.copy(self)
        other.control, other.log, other.process = self.root / f"{name}.sock", self.root / f"{name}.log", None
        return other

    # ---- The config

    def instance(self, name, plugin, **options):
        """An instance for the config; call write_config() after the last one."""
        self.instances[name] = (plugin, options)

    def instance_text(self, name, plugin, options):
        path = plugin if plugin.startswith("/") else BUILD / f"plugins/{plugin}.so"
        lines = [f'plugin = "{path}";']
        if plugin.startswith("fake_"):
            options = {"tally": str(self.tally), **options}
        else:
            options = {"data": "ru", **options}  # a server on this machine, whatever it stands for
        for key, value in options.items():
            if isinstance(value, str):
                value = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
            lines.append(f"{key} = {value};")
        return f"  {name}: {{ {' '.join(lines)} }};\n"

    def plugins_text(self):
        known = {
            "source1": ("fake_source", {"limit": self.settings["limit"]}),
            "prepare1": ("fake_prepare", {"limit": self.settings["limit"], "chunks": self.settings["chunks"],
                                         "chunk_length": self.settings["chunk_length"]}),
            "stt1": ("fake_stt", {"limit": self.settings["chunk_limit"]}),
            "llm1": ("fake_llm", {"limit": self.settings["limit"]}),
            "render1": ("fake_render", {"limit": self.settings["limit"]}),
            "pub": ("fake_publish", {"limit": self.settings["limit"], "platform": str(self.platform)}),
            "blind": ("fake_blind", {"limit": self.settings["limit"], "platform": str(self.blind)}),
        }
        known.update(self.instances)
        return "".join(self.instance_text(name, *one) for name, one in known.items())

    def config_text(self):
        s = self.settings
        steps = (STEPS + ("" if self.short else MORE)).format(deadline=s["deadline"], stall=s["stall"], **self.uses)
        return (f'language = "en"; slots = {s["slots"]}; max_jobs = {s["max_jobs"]}; min_free = "{s["min_free"]}";\n'
                f'kill_after = "{s["kill_after"]}"; drain = "{s["drain"]}"; log = "info";\n'
                f'clips: {{ min = "5s"; max = "30s"; count = 2; formats = [ "9:16" ]; }};\n'
                f'backoff: {{ base = "{s["backoff_base"]}"; max = "{s["backoff_max"]}"; }};\n'
                f'breaker: {{ failures = {s["failures"]}; rest = "{s["rest"]}"; }};\n'
                f'warm: {{ idle = "{s["warm"]}"; attempts = {s["warm_attempts"]}; }};\n{s["memory"]}\n{s["store"]}\n'
                f'plugins: {{\n{self.plugins_text()}}};\ntargets = [ {s["publish"]} ];\n{s["extra"]}\n'
                f'pipeline: ({steps}\n);\n')

    def write_config(self, text=None):
        part = self.conf.with_suffix(".part")
        part.write_text(text if text is not None else self.config_text(), encoding="utf-8")
        part.rename(self.conf)

    # ---- The process

    def start(self, ready=True, **environment):
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [STAGE / "sbin/clipmakerd", "-c", self.conf, "--state", self.state, "--control", self.control,
                 "--plain-log"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "LC_ALL": "C.UTF-8", **environment})
        if ready:
            self.wait(self.answers, "the control socket")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"clipmakerd ended with {self.process.returncode}:\n{self.log_text()[-3000:]}")
        try:
            self.ask("status")
            return True
        except (OSError, ConnectionError):
            return False

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        return self.process.wait(20) if self.process else None

    def stop(self, number=signal.SIGTERM, timeout=20):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout)

    def reload(self):
        """SIGHUP; whether the new config is in force, and what the log says about it."""
        before = len(self.log_text())
        self.process.send_signal(signal.SIGHUP)
        said = self.wait(lambda: re.search(r"the new config is (in force|not used)", self.log_text()[before:]),
                         "a word on the reload")
        return said.group(1) == "in force", self.log_text()[before:]

    def log_text(self):
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    # ---- Talking

    def client(self):
        return Client(self.control)

    def ask(self, do, **fields):
        client = self.client()
        try:
            return client.ask(do, **fields)
        finally:
            client.close()

    def submit(self, script="ok", **fields):
        """A job; its script as fake_source takes it."""
        fields.setdefault("params", {})
        return self.ask("submit", source=f"fake:{script}", **fields)["job"]

    def show(self, job):
        return self.ask("show", job=job)

    def job(self, job):
        return self.show(job)["job"]

    def tasks(self, job, step):
        return [task for task in self.show(job)["tasks"] if task["step"] == step]

    @staticmethod
    def wait(ready, what, seconds=20):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = ready()
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"waited {seconds} s in vain for {what}")

    def wait_state(self, job, *states, seconds=20):
        last = {}

        def reached():
            last.update(self.job(job))
            return last["state"] in states or (last["held"] and "held" in states)
        try:
            self.wait(reached, states, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}; {self.ask('why', job=job)['words']}") from None
        return last

    def ended(self, job, seconds=20):
        return self.wait_state(job, *OVER, seconds=seconds)

    def acts(self, **which):
        path = self.tally / "acts.log"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        acts = [Act(*line.split("\t")) for line in lines if line.count("\t") == 9]
        return [act for act in acts if all(getattr(act, key) == value for key, value in which.items())]

    def begun(self, **which):
        return [act for act in self.acts(**which) if act.what.startswith("begin ")]

    def posts(self):
        return sorted(path.name for path in self.platform.iterdir())

    def wait_act(self, what, seconds=20, **which):
        return self.wait(lambda: [act for act in self.acts(**which) if act.what.startswith(what)], what, seconds)

    # ---- What is left

    def run(self, *arguments, timeout=30):
        return subprocess.run([STAGE / "bin/clipmaker", *arguments], capture_output=True, text=True, timeout=timeout,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}, check=False)

    def fsck(self):
        done = self.run("fsck", "--state", str(self.state))
        assert done.returncode == 0, done.stdout + done.stderr

    def processes(self):
        """Every process that has something open here or was started for this place."""
        found = []
        for folder in pathlib.Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != os.getpid() and self.belongs(folder):
                found.append(int(folder.name))
        return found

    def belongs(self, folder):
        mine = str(self.root)
        try:
            if (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return False
            if mine.encode() in (folder / "cmdline").read_bytes():
                return True
            return any(self.opens(fd, mine) for fd in (folder / "fd").iterdir())
        except (OSError, IndexError):
            return False

    def process_texts(self):
        """The arguments and environments of all that runs here; the daemon's own are among them."""
        texts = [process_file(pid, name) for pid in self.processes() for name in ("cmdline", "environ")]
        assert any(str(self.conf).encode() in one for one in texts), "nobody can be looked at"
        return b"".join(texts)

    @staticmethod
    def opens(fd, mine):
        try:
            return os.readlink(fd).startswith(mine)
        except OSError:
            return False

    # ---- What must hold after everything

    def rows(self):
        """What all jobs have of artifacts, effects and attempts; asked of the running daemon."""
        found = {"artifacts": [], "effects": [], "attempts": [], "tasks": []}
        for job in self.ask("jobs", limit=1000)["jobs"]:
            shown = self.show(job["id"])
            for kind, rows in found.items():
                rows.extend(shown[kind])
        return found

    def is_idle(self):
        status = self.ask("status")
        return not status["running"] and not any(one["running"] for one in status["instances"])

    def assert_ledger(self, rows):
        """(ii), (iii): one post under a key, each with a row, and nothing confirmed that is not there."""
        posts = [path.name for folder in self.root.glob("platform*") for path in folder.iterdir()]
        posts += [path.name for path in self.blind.iterdir()]
        assert all(name.endswith(".1") for name in posts), posts
        keys = {effect["key"] for effect in rows["effects"]}
        assert {name[:-2] for name in posts} <= keys
        confirmed = {one["post_id"] for one in rows["effects"]
                     if one["state"] == "confirmed" and one["url"].startswith("fake://")}
        assert confirmed <= set(posts), (confirmed, posts)

    def assert_folders(self, rows):
        """Only what an accepted attempt left: nothing of those that failed, were lost or killed."""
        kept = {str(pathlib.Path(one["path"]).parent) for one in rows["artifacts"]}
        self.wait(lambda: {str(path) for path in self.state.glob("jobs/*/*")} <= kept,
                  "the end of the folders of failed attempts", 5)

    def assert_after(self):
        """At the end of a scenario: every job over or held by name, no slot, token, process or folder left, a sound
        store, nothing doubled."""
        self.wait(self.is_idle, "the end of the last attempt", 10)
        for job in self.ask("jobs", limit=1000)["jobs"]:
            assert job["state"] in OVER or (job["held"] and job["reason"]), job
        rows = self.rows()
        assert all(one["verdict"] for one in rows["attempts"]), rows["attempts"]
        self.assert_ledger(rows)
        self.assert_folders(rows)
        self.fsck()
        assert self.stop() == 0
        self.assert_clean()

    def assert_clean(self):
        """After the daemon ended: no process, a sound store, nothing posted twice."""
        self.wait(lambda: not self.processes(), f"the end of {self.processes()}", 5)
        self.fsck()
        assert not [name for name in self.posts() if not name.endswith(".1")]
