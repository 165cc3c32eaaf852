"""Bad and odd input: nothing crashes, nothing hangs, nothing is left half done, and one line says what to do."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import time

import pytest

import clips
from conftest import STAGE

LIMIT_S = 120
SAID = ("People remember one story, not a hundred facts. So what is the secret of a good lesson? "
        "Start with a question that nobody expects.")
NOBODY = 65534


def slow(*cases):
    """Cases that say little more than others do, for the long run only."""
    return [pytest.param(case, marks=pytest.mark.long) for case in cases]


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(os.fspath, arguments)], check=True)


class Inputs:
    """Films made when they are asked for, each once; the base is some nine seconds of English."""

    def __init__(self, folder):
        self.folder = folder
        self.voice = folder / "voice.wav"
        subprocess.run(["flite", "-voice", "rms", "-t", SAID, "-o", self.voice], check=True)
        self.seconds = clips.duration_of(self.voice)

    def get(self, name):
        path = self.folder / name
        if not path.exists():
            getattr(self, "make_" + name.replace(".", "_"))(path)
        return path

    def film(self, path, *coding, size="320x240", rate=10, filters="null"):
        shape = f"testsrc2=s={size}:r={rate}:d={self.seconds},hue=s=0,{filters}"  # no yellow: captions have it
        ffmpeg("-f", "lavfi", "-i", shape, "-i", self.voice, *(coding or ("-preset", "ultrafast", "-pix_fmt", "yuv420p")),
               path)

    def make_plain_mp4(self, path):
        self.film(path)

    def make_plain_mkv(self, path):
        ffmpeg("-i", self.get("plain.mp4"), "-c", "copy", path)

    def make_empty_mp4(self, path):
        path.write_bytes(b"")

    def make_text_mp4(self, path):
        path.write_text("This is a shopping list.\n" * 50)

    def make_noise_mp4(self, path):
        path.write_bytes(bytes((i * i * 31 + i // 7) % 256 for i in range(20000)))

    def make_folder_mp4(self, path):
        path.mkdir()

    def make_truncated_mp4(self, path):
        whole = self.get("plain.mp4").read_bytes()
        path.write_bytes(whole[:len(whole) * 6 // 10])  # the index stands at the end

    def make_truncated_mkv(self, path):
        whole = self.get("plain.mkv").read_bytes()
        path.write_bytes(whole[:len(whole) * 7 // 10])

    def make_sound_m4a(self, path):
        ffmpeg("-i", self.voice, path)

    def make_mute_mp4(self, path):
        ffmpeg("-i", self.get("plain.mp4"), "-an", "-c", "copy", path)

    def make_silent_mp4(self, path):
        ffmpeg("-i", self.get("plain.mp4"), "-f", "lavfi", "-i", "anullsrc", "-map", "0:v", "-map", "1:a", "-c:v", "copy",
               "-shortest", path)

    def make_short_mp4(self, path):
        ffmpeg("-i", self.get("plain.mp4"), "-t", "1.5", path)

    def make_unknown_codec_mp4(self, path):
        path.write_bytes(self.get("plain.mp4").read_bytes().replace(b"avc1", b"zzq9"))

    def make_unknown_sound_mp4(self, path):
        path.write_bytes(self.get("plain.mp4").read_bytes().replace(b"mp4a", b"zzq9"))

    def make_no_pictures_mp4(self, path):
        ffmpeg("-i", self.get("plain.mp4"), "-map", "0", "-frames:v", "0", "-c:a", "copy", "-preset", "ultrafast", path)

    def make_one_picture_mkv(self, path):
        ffmpeg("-t", "0.05", "-i", self.get("plain.mp4"), "-i", self.voice, "-map", "0:v", "-map", "1:a", "-preset",
               "ultrafast", path)

    def make_rotated_mp4(self, path):
        ffmpeg("-display_rotation", "90", "-i", self.get("plain.mp4"), "-c", "copy", path) \
            if self.has_display_rotation() else ffmpeg("-i", self.get("plain.mp4"), "-c", "copy", "-metadata:s:v",
                                                       "rotate=90", path)

    @staticmethod
    def has_display_rotation():
        told = subprocess.run(["ffmpeg", "-hide_banner", "-h", "full"], capture_output=True, text=True)
        return "-display_rotation" in told.stdout

    def make_odd_mkv(self, path):
        self.film(path, "-c:v", "mpeg4", size="321x243")

    def make_pixel_mkv(self, path):
        self.film(path, "-c:v", "png", filters="scale=1:1")

    def make_column_mkv(self, path):
        self.film(path, "-c:v", "png", filters="scale=1:600")

    def make_8k_mp4(self, path):
        self.film(path, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-crf", "35", rate=2,
                  filters="scale=7680:4320:flags=neighbor")

    def make_deep_mkv(self, path):
        self.film(path, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv422p10le")

    def make_vfr_mkv(self, path):
        self.film(path, "-c:v", "libx264", "-preset", "ultrafast", "-fps_mode", "vfr", rate=30,
                  filters="select='lt(mod(n,30),12)+not(mod(n,7))'")

    def make_jumps_ts(self, path):
        ffmpeg("-i", self.get("plain.mp4"), "-t", "5", "-c", "copy", "-bsf:v", "h264_mp4toannexb",
               self.folder / "first.ts")
        ffmpeg("-ss", "5", "-i", self.get("plain.mp4"), "-preset", "ultrafast", "-output_ts_offset", "3600",
               self.folder / "second.ts")
        path.write_bytes(b"".join((self.folder / part).read_bytes() for part in ("first.ts", "second.ts")))


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    folder.chmod(0o755)
    return Inputs(folder)


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    return clips.fast_config(tmp_path_factory.mktemp("config"))


@pytest.fixture
def short(config):
    """Arguments under which nine seconds are enough."""
    return "--lang", "en", "--min", "3s", "-c", config


def left_in(out):
    return {entry.name for entry in out.iterdir()} - {".clipmaker"} if out.exists() else set()


def check_refused(done, status, *words):
    assert done.status == status, done.err
    assert len(done.said) == 1, done.err
    assert not done.out and done.said[0] == done.err.splitlines()[-1]
    for word in words:
        assert word in done.said[0], done.said
    assert not left_in(done.dir), left_in(done.dir)


def check_made(done, edges=True):
    report = clips.report_of(done)
    for clip in report["clips"]:
        clips.check_streams(done.dir / clip["file"], clip)
        clips.check_captions(done.dir / clip["file"], clip)
        clips.check_loudness(done.dir / clip["file"])
    assert not [name for name in left_in(done.dir) if name.endswith((".part", ".tmp"))]
    return report


# ---- Refused ------------------------------------------------------------------------------------

REFUSED = {
    "absent.mp4": (66, "no such file"),
    "folder.mp4": (65, "folder"),
    "empty.mp4": (65, "empty"),
    "text.mp4": (65, "not a video"),
    "noise.mp4": (65, "not a video"),
    "truncated.mp4": (65, "truncated.mp4"),
    "mute.mp4": (65, "sound"),
    "silent.mp4": (65, "silent"),
    "short.mp4": (65, "shorter"),
    "unknown_codec.mp4": (69, "H.264"),
    "sound.m4a": (65, "sound.m4a"),
    "no_pictures.mp4": (65, "no_pictures.mp4"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(inputs, tmp_path, short, name):
    status, word = REFUSED[name]
    film = inputs.folder / name if status == 66 else inputs.get(name)
    check_refused(clips.run(film, tmp_path / "out", *short, timeout=LIMIT_S), status, word)


def test_refused_in_json_too(inputs, tmp_path, short):
    done = clips.run(inputs.get("text.mp4"), tmp_path / "out", *short, "--json", timeout=LIMIT_S)
    report = clips.json.loads(done.out)
    assert done.status == 65 and report["state"] == "failed" and report["clips"] == []
    assert report["error"]["words"] == done.said[0].removeprefix("clipmaker: ")


def test_a_minimum_longer_than_the_video(inputs, tmp_path, config):
    done = clips.run(inputs.get("plain.mp4"), tmp_path / "out", "--lang", "en", "--min", "30s", "-c", config)
    check_refused(done, 65, "shorter", "30")


def test_wishes_that_contradict(inputs, tmp_path, config):
    done = clips.run(inputs.get("plain.mp4"), tmp_path / "out", "--min", "30s", "--max", "10s", "-c", config)
    check_refused(done, 64, "30s", "10s")


@pytest.mark.parametrize("wish", [("--format", "4:3"), ("--clips", "many"), ("--min", "-3s"), ("--lang", "xx"),
                                  ("--captions", "/nowhere/a.srt"), ("--unheard-of",), ("-c", "/nowhere/a.conf")])
def test_wishes_that_cannot_be(inputs, tmp_path, wish):
    done = clips.run(inputs.get("plain.mp4"), tmp_path / "out", *wish, timeout=LIMIT_S)
    check_refused(done, {"--captions": 66, "-c": 78}.get(wish[0], 64), wish[-1])


# ---- Odd, and good for a clip -------------------------------------------------------------------

@pytest.mark.parametrize("name", ["truncated.mkv", "rotated.mp4", "odd.mkv", "pixel.mkv",
                                  "8k.mp4", "deep.mkv", "vfr.mkv", "jumps.ts", "one_picture.mkv",
                                  *slow("unknown_sound.mp4", "column.mkv", "plain.mp4")])
def test_odd_pictures_make_clips(inputs, tmp_path, short, name):
    report = check_made(clips.run(inputs.get(name), tmp_path / "out", *short, timeout=LIMIT_S))
    if name == "rotated.mp4":
        assert (report["source"]["width"], report["source"]["height"]) == (240, 320)


NAMES = {"spaces": "my  long talk .mp4", "quotes": "it's \"quoted\" `x` $HOME %s.mp4", "newline": "two\nlines.mp4",
         "cyrillic": "Разговор о главном.mp4", "dash": "-o.mp4", "longest": "л" * 125 + "x.mp4", "no ending": "talk"}


@pytest.mark.parametrize("kind", ["quotes", "newline", "longest", *slow("spaces", "cyrillic", "dash", "no ending")])
def test_odd_names(inputs, tmp_path, short, kind):
    name = NAMES[kind]
    film = tmp_path / name
    shutil.copy(inputs.get("plain.mp4"), film)
    assert kind != "longest" or len(os.fsencode(name)) == 255
    report = check_made(clips.run(film, tmp_path / "out", *short, "--clips", "1", timeout=LIMIT_S))
    assert report["source"]["path"] == str(film)


def test_a_name_in_an_old_encoding(inputs, tmp_path, short):
    film = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(inputs.get("plain.mp4"), film)
    check_refused(clips.run(film, tmp_path / "out", *short, timeout=LIMIT_S), 65, "UTF-8", "rename")


# ---- Captions -----------------------------------------------------------------------------------

RUSSIAN = ("1\n00:00:00,500 --> 00:00:03,000\nПочему никто не помнит лекцию?\n\n"
           "2\n00:00:03,200 --> 00:00:06,000\nПотому что люди помнят истории.\n\n"
           "3\n00:00:06,200 --> 00:00:08,500\nНачните с вопроса.\n")


def captions(folder, text, encoding="utf-8"):
    path = folder / "given.srt"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("encoding", ["cp1251", *slow("utf-16", "utf-8-sig", "koi8-r")])
def test_captions_in_an_old_encoding(inputs, tmp_path, config, encoding):
    given = captions(tmp_path, RUSSIAN, encoding)
    done = clips.run(inputs.get("plain.mp4"), tmp_path / "out", "--lang", "ru", "--min", "3s", "--captions", given, "-c",
                     config, timeout=LIMIT_S)
    report = check_made(done)
    assert report["transcript"]["by"] == "captions"
    words = " ".join(clips.captions_words(done.dir / clip["captions"]) for clip in report["clips"])
    assert "истории" in words or "вопроса" in words or "лекцию" in words, words


def test_captions_that_overlap(inputs, tmp_path, config):
    given = captions(tmp_path, RUSSIAN.replace("00:00:03,000", "00:00:05,000").replace("00:00:06,000", "00:00:12,000"))
    done = clips.run(inputs.get("plain.mp4"), tmp_path / "out", "--lang", "ru", "--min", "3s", "--captions", given, "-c",
                     config, timeout=LIMIT_S)
    assert check_made(done)["transcript"]["by"] == "captions"


@pytest.mark.parametrize("text", ["", "1\n\n2\n\n", "a letter to my aunt\n", "\0\1\2\3" * 100])
def test_captions_without_cues(inputs, tmp_path, config, text):
    given = captions(tmp_path, text)
    done = clips.run(inputs.get("plain.mp4"), tmp_path / "out", "--lang", "ru", "--min", "3s", "--captions", given, "-c",
                     config, timeout=LIMIT_S)
    assert done.status in (65, 69), done.err
    check_refused(done, done.status)


# ---- Disks --------------------------------------------------------------------------------------

def can_mount(folder):
    return os.geteuid() == 0 and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
                                                capture_output=True).returncode == 0


@contextlib.contextmanager
def disk(folder, options):
    folder.mkdir()
    if not can_mount(folder):
        pytest.skip("a small disk of one's own needs root and the right to mount")
    try:
        remount(folder, options)
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", "remount," + options, folder], check=True)


def begin(film, out, arguments):
    log = open(out.parent.parent / "said", "wb")
    return subprocess.Popen(clips.command(film, out, *arguments), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=log, env=clips.environment(), start_new_session=True), log


def said_in(log):
    return pathlib.Path(log.name).read_text(errors="replace")


def wait_for_words(process, log, words, seconds=60):
    until = time.monotonic() + seconds
    while not any(word in said_in(log) for word in words):
        assert process.poll() is None, said_in(log)
        assert time.monotonic() < until, said_in(log)
        time.sleep(0.1)


def check_waits_then_goes_on(inputs, tmp_path, arguments, options, later, words):
    with disk(tmp_path / "disk", options) as folder:
        process, log = begin(inputs.get("plain.mp4"), folder / "out", arguments)
        try:
            wait_for_words(process, log, words)
            remount(folder, later)
            assert process.wait(timeout=LIMIT_S) == 0, said_in(log)
            done = clips.Run(0, "", said_in(log), 0, folder / "out")
            check_made(done)
        finally:
            clips.kill_all(process, folder / "out")
            assert not clips.wait_gone(folder / "out")


def test_a_disk_with_less_room_than_must_be_left(inputs, tmp_path, short):
    check_waits_then_goes_on(inputs, tmp_path, short, "size=64m", "size=3g", ["waiting"])


@pytest.mark.parametrize("size", ["16k", "700k", *slow("200k")])
def test_a_full_disk(inputs, tmp_path, config, size):
    own = clips.fast_config(tmp_path / "config")
    (own.parent / "conf.d/95-room.conf").write_text('min_free = "4KiB";\n')
    check_waits_then_goes_on(inputs, tmp_path, ("--lang", "en", "--min", "3s", "-c", own), f"size={size}", "size=300m",
                             ["waiting"])


def test_a_read_only_disk(inputs, tmp_path, short):
    check_waits_then_goes_on(inputs, tmp_path, short, "size=3g,ro", "size=3g,rw", ["Read-only"])


# ---- Permissions --------------------------------------------------------------------------------

@pytest.fixture
def public():
    """A folder that everybody can reach, and nobody may write to."""
    folder = pathlib.Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_nobody(film, out, *arguments):
    if os.geteuid() != 0:
        return clips.run(film, out, *arguments, timeout=LIMIT_S)
    return clips.run(film, out, *arguments, timeout=LIMIT_S,
                     before=["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"])


def readable_config(config, public):
    shutil.copytree(config.parent, public / "config")
    for folder in (public / "config", public / "config/conf.d"):
        folder.chmod(0o755)
    return public / "config" / config.name


def test_a_film_that_may_not_be_read(inputs, public, short):
    film = shutil.copy(inputs.get("plain.mp4"), public / "secret.mp4")
    film.chmod(0)
    settings = readable_config(short[-1], public)
    done = as_nobody(film, public / "out", *short[:-1], settings)
    check_refused(done, 66, "secret.mp4")


def test_a_folder_that_may_not_be_written(inputs, public, short):
    film = shutil.copy(inputs.get("plain.mp4"), public / "talk.mp4")
    film.chmod(0o644)
    settings = readable_config(short[-1], public)
    closed = public / "closed"
    closed.mkdir(mode=0o555)
    done = as_nobody(film, closed / "out", *short[:-1], settings)
    assert done.status in (73, 75), done.err
    check_refused(done, done.status, "out", "-o")


def test_an_ordinary_user_gets_clips(inputs, public, short):
    film = shutil.copy(inputs.get("plain.mp4"), public / "talk.mp4")
    film.chmod(0o644)
    settings = readable_config(short[-1], public)
    home = public / "home"
    home.mkdir()
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
    check_made(as_nobody(film, home / "out", *short[:-1], settings))


# ---- Config -------------------------------------------------------------------------------------

WRONG = {
    "language = 7;": "language", "slots = \"two\";": "slots", "max_jobs = \"1s\";": "max_jobs", "min_free = true;": "min_free",
    "log = [ \"info\" ];": "log", "drain = 1.5;": "drain", "kill_after = { };": "kill_after",
    "clips = 5;": "clips", "clips: { min = \"soon\"; };": "min", "clips: { count = \"3\"; };": "count",
    "clips: { formats = \"4:3\"; };": "formats", "clips: { formats = [ 9, 16 ]; };": "formats",
    "backoff: { base = \"-1s\"; };": "base", "breaker: { failures = \"5\"; };": "failures", "warm = \"60s\";": "warm",
    "plugins = [ ];": "plugins", "plugins: { cut: { limit = \"2\"; }; };": "limit", "plugins: { cut: 3; };": "cut",
    "plugins: { cut: { preset = 5; }; };": "preset", "plugins: { cut: { presset = \"fast\"; }; };": "preset",
    "plugins: { cut: { rate = 5; }; };": "rate", "targets = \"folder\";": "targets", "targets = [ 1 ];": "targets",
    "run = \"folder\";": "run", "pipeline = { };": "pipeline", "pipeline = ( 1 );": "pipeline",
    "pipeline: ( { step = 3; stage = \"source\"; use = [ \"file\" ]; } );": "step",
    "lanugage = \"ru\";": "language", "state = 5;": "state", "memory: { render = 4; };": "render",
    "slots = ;": "syntax",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_config(inputs, tmp_path, text):
    config = clips.fast_config(tmp_path / "config")
    wrong = config.parent / "conf.d/99-wrong.conf"
    wrong.write_text("# one line before\n" + text + "\n")
    done = clips.run(inputs.get("plain.mp4"), tmp_path / "out", "-c", config, timeout=LIMIT_S)
    check_refused(done, 78, f"{wrong}:2", WRONG[text])
    checked = subprocess.run([STAGE / "sbin/clipmakerd", "-t", "-c", config], capture_output=True, text=True,
                             env=clips.environment())
    assert checked.returncode == 78 and f"{wrong}:2" in checked.stderr
