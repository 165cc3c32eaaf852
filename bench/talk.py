"""The talks that the media benches work on: a real recording where the test media are, else a spoken, moving picture made
here. Made once into the build folder, and made again when the recipe changes."""
import os
import pathlib
import subprocess

RECORDING = "en_stage_speech_720p.mp4"
SPEECH = ("Thank you all for coming tonight. Most people think that a good talk begins with a joke. It does not. "
          "It begins with a question that nobody in this room can answer. Why do we forget nine tenths of what we hear? "
          "Ten years ago I asked three hundred teachers, and only two of them knew. ")


def ffmpeg(*words):
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *map(str, words)]
    subprocess.run(command, check=True)


def recording():
    """A minute of a talk at 1280x720, 30000/1001 pictures a second; a path, and what to call it."""
    folder = os.environ.get("CLIPMAKER_TEST_MEDIA", "")
    path = pathlib.Path(folder) / RECORDING
    return path if folder and path.exists() else None


def made(path, recipe, make):
    """`make(path)` unless the file was made by this recipe before."""
    note = path.with_suffix(path.suffix + ".recipe")
    if path.exists() and note.exists() and note.read_text() == recipe:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("part-" + path.name)
    make(part)
    part.rename(path)
    note.write_text(recipe)
    return path


def minute(folder):
    """A minute of talk at 720p with AAC stereo at 44.1 kHz."""
    found = recording()
    if found:
        return found, "recorded talk"

    def make(part):
        text = folder / "speech.txt"
        text.write_text(SPEECH * 6)
        ffmpeg("-f", "lavfi", "-i", "mandelbrot=size=1280x720:rate=30000/1001:end_scale=0.3,noise=alls=4:allf=t",
               "-f", "lavfi", "-i", f"flite=textfile={text}:voice=rms", "-t", 60, "-pix_fmt", "yuv420p",
               "-c:v", "libx264", "-preset", "fast", "-crf", 23, "-c:a", "aac", "-ar", 44100, "-ac", 2, part)
    return made(folder / "minute.mp4", "mandelbrot, flite rms; 1", make), "generated talk"


def full_hd(folder, seconds=60):
    """The talk at 1920x1080 and 30 pictures a second, with a camera's grain."""
    source, name = minute(folder)

    def make(part):
        ffmpeg("-stream_loop", -1, "-i", source, "-t", seconds, "-vf",
               "scale=1920:1080:flags=lanczos,noise=alls=5:allf=t,fps=30,setsar=1", "-pix_fmt", "yuv420p",
               "-color_range", "tv", "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709",
               "-c:v", "libx264", "-preset", "fast", "-crf", 21, "-c:a", "aac", "-b:a", "128k", "-ar", 48000, part)
    recipe = f"{source.name} {source.stat().st_size} {seconds} s, lanczos, grain 5, crf 21; 1"
    return made(folder / "talk-1080p.mp4", recipe, make), name


def hour(folder):
    """An hour of 720p: the minute over and over, not coded again."""
    source, name = minute(folder)

    def make(part):
        turns = folder / "turns.txt"
        turns.write_text(f"file '{source}'\n" * 61)
        ffmpeg("-f", "concat", "-safe", 0, "-i", turns, "-t", 3600, "-c", "copy", part)
    return made(folder / "talk-hour.mp4", f"{source.name} {source.stat().st_size}; 1", make), name
