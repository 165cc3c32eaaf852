"""Runs of the staged `clipmaker run`, and what every clip that comes out of one must be.

A run's folder is judged by what ffprobe and ffmpeg find in the files, never by what the product
says of them; where a text has known times, by those.
"""
import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import time

from conftest import STAGE, TOP
from daemon import send_signal

CLIPMAKER = STAGE / "bin/clipmaker"
SIZES = {"9:16": (1080, 1920), "1:1": (1080, 1080), "16:9": (1920, 1080)}
CLIP_FIELDS = {"file": str, "thumbnail": str, "captions": str, "title": str, "reason": str, "start_s": (int, float),
               "end_s": (int, float), "format": str, "width": int, "height": int, "score": dict, "cta": str,
               "selected_by": str}
SCORES = ("hook", "engagement", "flow", "trend")
CONTAINER_TAGS = {"major_brand", "minor_version", "compatible_brands"}
TRACK_TAGS = {"language", "handler_name", "vendor_id"}
AAC_FRAME_S = 1024 / 48000
TIMEOUT_S = 300


# ---- Running ------------------------------------------------------------------------------------

@dataclasses.dataclass
class Run:
    status: int
    out: str
    err: str
    seconds: float
    dir: pathlib.Path

    @property
    def said(self):
        """The lines for a person: everything on stderr that is not progress."""
        return [line for line in self.err.splitlines() if line.startswith("clipmaker: ")]


def environment(**changes):
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith(("CLIPMAKER_", "LC_", "LANG"))}
    return {**clean, "LANG": "C.UTF-8", **changes}


def command(source, out, *arguments):
    return [str(CLIPMAKER), "run", os.fspath(source), "-o", os.fspath(out), *map(os.fspath, arguments)]


def run(source, out, *arguments, env=None, timeout=TIMEOUT_S, before=()):
    """Runs `clipmaker run` to its end; nothing that it started may be left then."""
    begun = time.monotonic()
    process = subprocess.Popen([*before, *command(source, out, *arguments)], stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env or environment(),
                               start_new_session=True)
    try:
        printed, said = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        kill_all(process, pathlib.Path(out))
        raise
    seconds = time.monotonic() - begun
    left = wait_gone(pathlib.Path(out))
    assert not left, f"processes left behind: {left}"
    return Run(process.returncode, printed.decode(errors="replace"), said.decode(errors="replace"), seconds,
               pathlib.Path(out))


def at_work(out):
    """The processes with this run's folder in their command line, working folder or open files."""
    folder = os.fsencode(os.path.realpath(out))
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes()
            files = [os.readlink(os.fsencode(name)) for name in (entry / "fd").iterdir()]
        except OSError:
            continue
        if b"clipmaker" in words and (folder in words or any(name.startswith(folder) for name in files)):
            found[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace")
    return found


def wait_gone(out, seconds=5):
    until = time.monotonic() + seconds
    while (left := at_work(out)) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def kill_all(process, out):
    """kill -9 of the command, its daemon and every worker."""
    process.kill()
    for pid in at_work(out):
        send_signal(pid, signal.SIGKILL)
    process.wait()


def fast_config(folder):
    """A config of its own whose encoder hurries: for tests that do not look at the picture."""
    folder = pathlib.Path(folder)
    (folder / "conf.d").mkdir(parents=True, exist_ok=True)
    shutil.copy(STAGE / "etc/clipmaker/clipmaker.conf", folder)
    (folder / "conf.d/90-fast.conf").write_text('plugins: { cut: { preset = "ultrafast"; }; };\n')
    return folder / "clipmaker.conf"


def state_of(out):
    """The state folder of the one run in DIR."""
    states = [entry for entry in (pathlib.Path(out) / ".clipmaker").iterdir() if entry.is_dir()]
    assert len(states) == 1, states
    return states[0]


def shown(out, job=None):
    """What `clipmaker show` knows of the run's job: tasks, attempts, artifacts."""
    state = state_of(out)
    if job is None:
        listed = subprocess.run([CLIPMAKER, "jobs", "--state", state, "--json"], check=True, capture_output=True,
                                env=environment())
        job = json.loads(listed.stdout)[0]["id"]
    answer = subprocess.run([CLIPMAKER, "show", job, "--state", state, "--json"], check=True, capture_output=True,
                            env=environment())
    return json.loads(answer.stdout)


def attempts(out):
    """{(step, item, fence): verdict} of all attempts."""
    return {(row["step"], row["item"], row["fence"]): row["verdict"] for row in shown(out)["attempts"]}


def artifact(out, role):
    """The content of the newest artifact of a role."""
    rows = [row for row in shown(out)["artifacts"] if row["role"] == role]
    assert rows, f"no artifact {role}"
    return json.loads(pathlib.Path(rows[-1]["path"]).read_text())


# ---- The report ---------------------------------------------------------------------------------

def report_of(done, json_asked=False, paid=False):
    """clips.json of a run that went well, with exactly the fields that are promised; of costs where calls cost money."""
    assert done.status == 0, done.err
    report = json.loads((done.dir / "clips.json").read_text())
    if json_asked:
        assert json.loads(done.out) == report
    assert [name for name in report if name != "costs"] == ["job", "state", "source", "transcript", "clips"]
    assert ("costs" in report) == paid
    assert report["state"] == "succeeded" and report["job"]
    assert list(report["source"]) == ["path", "duration_s", "width", "height"]
    assert list(report["transcript"]) == ["language", "words", "by"]
    assert report["clips"], "no clips"
    for rank, clip in enumerate(report["clips"], 1):
        check_fields(clip, rank)
    assert len({clip["file"] for clip in report["clips"]}) == len(report["clips"])
    return report


def check_fields(clip, rank):
    assert list(clip) == list(CLIP_FIELDS)
    for name, kind in CLIP_FIELDS.items():
        assert isinstance(clip[name], kind), (name, clip[name])
    assert re.fullmatch(r"\d\d-[^/\s]+\.mp4", clip["file"]), clip["file"]
    stem = clip["file"][:-4]
    assert clip["thumbnail"] == stem + ".jpg" and clip["captions"] == stem + ".srt"
    assert clip["title"].strip() and clip["reason"].strip() and clip["selected_by"]
    assert list(clip["score"]) == ["total", *SCORES]
    assert all(0 <= clip["score"][name] <= 25 for name in SCORES)
    assert abs(clip["score"]["total"] - sum(clip["score"][name] for name in SCORES)) < 0.01
    assert (clip["width"], clip["height"]) == SIZES[clip["format"]]


def check_best_first(report):
    totals = [clip["score"]["total"] for clip in report["clips"]]
    assert totals == sorted(totals, reverse=True), totals


# ---- A clip's file ------------------------------------------------------------------------------

def probe(path):
    answer = subprocess.run(["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", path],
                            check=True, capture_output=True)
    assert not answer.stderr, answer.stderr
    return json.loads(answer.stdout)


def duration_of(path):
    return float(probe(path)["format"]["duration"])


def top_boxes(path):
    """The names of an mp4's outermost boxes, in order."""
    names, at, size = [], 0, path.stat().st_size
    with open(path, "rb") as file:
        while at < size:
            file.seek(at)
            bytes_, name = struct.unpack(">I4s", file.read(8))
            if bytes_ == 1:
                bytes_ = struct.unpack(">Q", file.read(8))[0]
            names.append(name.decode())
            at += bytes_ or size
    return names


def rate_of(stream):
    over, under = map(int, stream["avg_frame_rate"].split("/"))
    return over / under


def check_streams(path, clip):
    found = probe(path)
    assert [stream["codec_type"] for stream in found["streams"]] == ["video", "audio"]
    video, audio = found["streams"]
    assert (video["codec_name"], video["pix_fmt"], audio["codec_name"]) == ("h264", "yuv420p", "aac")
    assert (video["width"], video["height"]) == SIZES[clip["format"]]
    assert video["sample_aspect_ratio"] == "1:1" and not video.get("side_data_list")
    assert video["r_frame_rate"] == video["avg_frame_rate"]
    frame = 1 / rate_of(video)
    asked = clip["end_s"] - clip["start_s"]
    assert abs(float(video["duration"]) - asked) <= frame + 0.002, (video["duration"], asked)
    assert float(video["start_time"]) == 0 and float(audio["start_time"]) == 0
    assert abs(float(video["duration"]) - float(audio["duration"])) <= max(frame, AAC_FRAME_S)
    assert set(found["format"]["tags"]) <= CONTAINER_TAGS, found["format"]["tags"]
    for stream in found["streams"]:
        assert set(stream["tags"]) <= TRACK_TAGS, stream["tags"]
    boxes = top_boxes(path)
    assert boxes.index("moov") < boxes.index("mdat"), boxes


def loudness(path):
    """(integrated LUFS, true peak dBTP)"""
    answer = subprocess.run(["ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-i", path, "-map", "0:a", "-af",
                             "ebur128=peak=true", "-f", "null", "-"], check=True, capture_output=True, text=True)
    summary = answer.stderr[answer.stderr.rindex("Summary:"):]
    return (float(re.search(r"I:\s+(\S+) LUFS", summary)[1]), float(re.search(r"Peak:\s+(\S+) dBFS", summary)[1]))


def check_loudness(path):
    level, peak = loudness(path)
    assert -15 <= level <= -13, f"{path.name}: {level} LUFS"
    assert peak <= -1, f"{path.name}: peak {peak} dBTP"


def check_thumbnail(path, clip):
    video = probe(path)["streams"][0]
    assert video["codec_name"] == "mjpeg" and video["width"] > 0
    assert abs(video["width"] / video["height"] - clip["width"] / clip["height"]) < 0.01


# ---- Captions -----------------------------------------------------------------------------------

def seconds_of(clock):
    hours, minutes, seconds = clock.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def read_srt(path):
    """[(start, end, text)]"""
    cues = []
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        number, times, *lines = block.split("\n")
        start, end = map(seconds_of, times.split(" --> "))
        assert int(number) == len(cues) + 1 and lines and start < end
        assert not cues or start >= cues[-1][1], "captions overlap"
        cues.append((start, end, " ".join(lines)))
    return cues


def spoken_marks(path, clip):
    """For each frame the number of pixels in the colour of the word being spoken, where captions are."""
    width, height = clip["width"], clip["height"] * 4 // 10 // 4 * 4
    filters = f"crop={width}:{height}:0:{clip['height'] // 2 // 2 * 2},extractplanes=u,lut=y='if(lt(val,62),255,0)'"
    decoder = subprocess.Popen(["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-vf", filters, "-f", "rawvideo",
                                "-pix_fmt", "gray", "-"], stdout=subprocess.PIPE)
    counts, size = [], width // 2 * height // 2
    while len(frame := decoder.stdout.read(size)) == size:
        counts.append(frame.count(b"\xff"))
    assert decoder.wait() == 0
    return counts


def check_captions(path, clip):
    """The captions are in the picture, and come and go with the times in the .srt."""
    cues = read_srt(path.with_suffix(".srt"))
    assert cues, f"{path.name}: no captions"
    rate = rate_of(probe(path)["streams"][0])
    counts = spoken_marks(path, clip)
    usual = sorted(counts)[len(counts) // 20]  # of a yellow tie, say
    lit = [count > usual + 60 for count in counts]
    for number, (start, end, text) in enumerate(cues):
        first, last = round(start * rate), min(round(end * rate), len(lit))
        shown_share = sum(lit[first:last]) / max(1, last - first)
        assert shown_share >= 0.6, f"{path.name}: «{text}» at {start} is seen {shown_share:.0%} of its time"
        gap = start - (cues[number - 1][1] if number else 0)
        if gap >= 0.25:
            dark = lit[max(0, first - round((gap - 0.12) * rate)):first - 2]
            assert not any(dark), f"{path.name}: something is lit before «{text}» at {start}"
            assert any(lit[first:first + 4]), f"{path.name}: «{text}» is late, {start}"


def captions_words(path):
    return " ".join(text for _, _, text in read_srt(path))


# ---- Edges against known times ------------------------------------------------------------------

def read_lines(path):
    """[(start, end, text)] of a .tsv: start, end, …, text"""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [(float(row[0]), float(row[1]), row[-1]) for row in rows]


def pauses(film):
    """[(start, end)] of where nobody speaks: quieter by far than the film's loud parts."""
    measured = subprocess.run(["ffmpeg", "-nostdin", "-hide_banner", "-i", film, "-map", "0:a:0", "-af", "volumedetect",
                               "-f", "null", "-"], check=True, capture_output=True, text=True).stderr
    floor = float(re.search(r"mean_volume: (\S+) dB", measured)[1]) - 10
    heard = subprocess.run(["ffmpeg", "-nostdin", "-hide_banner", "-i", film, "-map", "0:a:0", "-af",
                            f"silencedetect=n={floor}dB:d=0.08", "-f", "null", "-"], check=True, capture_output=True,
                           text=True).stderr
    starts = [float(time_) for time_ in re.findall(r"silence_start: (\S+)", heard)]
    ends = [float(time_) for time_ in re.findall(r"silence_end: (\S+)", heard)]
    return list(zip(starts, ends + [duration_of(film)]))


def check_edges(clip, lines, quiet, slack=0.35):
    """No edge lies inside a spoken line, unless in a pause of it."""
    for edge in (clip["start_s"], clip["end_s"]):
        inside = [text for start, end, text in lines if start + slack < edge < end - slack]
        at_pause = any(start - slack <= edge <= end + slack for start, end in quiet)
        assert not inside or at_pause, f"{clip['file']}: {edge} cuts «{inside[0]}»"


def voice_begins(start, quiet):
    """A known line may begin with silence: where its voice is heard."""
    for begin, end in quiet:
        start = end if begin - 0.05 <= start < end else start
    return start


def check_in_step(path, clip, lines, quiet=(), slack=0.4):
    """While a line is spoken captions stand, and the first one of a line comes with it."""
    cues = read_srt(path.with_suffix(".srt"))
    for start, end, text in lines:
        start = voice_begins(start, quiet)
        start, end = start - clip["start_s"], end - clip["start_s"]
        if start < -slack or end > clip["end_s"] - clip["start_s"] + slack:
            continue
        covered = sum(max(0, min(end, cue[1]) - max(start, cue[0])) for cue in cues)
        assert covered >= 0.7 * (end - start), f"{path.name}: captions stand {covered:.1f} s of «{text}»"
        nearest = min(abs(cue[0] - start) for cue in cues)
        assert nearest <= slack, f"{path.name}: no caption begins with «{text}» at {start:.2f}"


def word_errors(reference, transcript, folder):
    """Per cent, by tests/tools/wer.py."""
    path = pathlib.Path(folder) / "transcript.json"
    path.write_text(json.dumps(transcript))
    answer = subprocess.run(["/usr/bin/python3", TOP / "tests/tools/wer.py", reference, path], check=True,
                            capture_output=True, text=True)
    return float(answer.stdout.split(":")[1].split()[0])


# ---- All of it ----------------------------------------------------------------------------------

def check_clips(done, report, lines=()):
    quiet = pauses(report["source"]["path"]) if lines else ()
    names = {"clips.json"}
    for clip in report["clips"]:
        path = done.dir / clip["file"]
        check_streams(path, clip)
        check_loudness(path)
        check_thumbnail(done.dir / clip["thumbnail"], clip)
        check_captions(path, clip)
        check_edges(clip, lines, quiet)
        assert 0 <= clip["start_s"] < clip["end_s"] <= report["source"]["duration_s"] + 0.05
        names |= {clip[name] for name in ("file", "thumbnail", "captions")} | {clip["file"][:-4] + ".txt"}
    visible = {entry.name for entry in done.dir.iterdir() if not entry.name.startswith(".")}
    assert visible == names, visible ^ names
