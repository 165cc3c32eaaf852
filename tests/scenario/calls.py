"""One call of one plugin, without a daemon: clipmaker-worker --call."""
import json
import subprocess

from conftest import STAGE

WORKER = STAGE / "libexec/clipmaker/clipmaker-worker"
PLUGINS = STAGE / "lib/clipmaker/plugins"


class Called:
    def __init__(self, process):
        self.log = process.stderr
        self.messages = [json.loads(line) for line in process.stdout.splitlines()]
        assert self.messages and self.messages[-1]["type"] == "done", self.log
        self.done = self.messages[-1]
        self.verdict, self.reason = self.done["verdict"], self.done.get("reason", "")
        self.scope, self.words = self.done.get("scope", ""), self.done.get("words", "")
        self.delay_ms = self.done.get("delay_ms", 0)

    def said(self, kind):
        return [one for one in self.messages if one["type"] == kind]

    def artifact(self, folder, role):
        one = next(one for one in self.done["artifacts"] if one["role"] == role)
        return json.loads((folder / one["file"]).read_text())


def call(folder, plugin, stage, operation, options, timeout=60, **fields):
    """Runs it with `folder` as the attempt's; the result of an earlier call there is replaced."""
    folder.mkdir(exist_ok=True)
    begin = {
        "v": 1, "type": "begin", "attempt": "try/step/#1", "job": "try", "step": "step", "item": "", "fence": 1,
        "stage": stage, "op": operation, "instance": "cloud", "plugin": str(PLUGINS / f"{plugin}.so"),
        "options": options, "secrets": ["key"], "language": "en", "params": {"language": "en"}, "dir": str(folder),
        **fields,
    }
    path = folder.parent / (folder.name + ".begin.json")
    path.write_text(json.dumps(begin, ensure_ascii=False))
    return Called(subprocess.run([WORKER, "--call", path], capture_output=True, text=True, timeout=timeout))
