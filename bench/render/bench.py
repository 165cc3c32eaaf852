"""bench-render: 30 s of a 1080p talk into a captioned 1080x1920 clip, ours against FFmpeg's program.

    make bench-render       (QUICK=1: one round)

The same source, window, captions (word for word the same ASS events), logo, loudness target and encoder settings:

  ours        clipmaker-worker --call with render_ffmpeg: what the daemon runs. Beside the clip: a thumbnail, an SRT,
              loudness that is checked on the coded sound.
  one pass    one ffmpeg command: crop, scale, ass, overlay, loudnorm (its one-pass form), x264 veryfast crf 20, AAC.
              No thumbnail, no SRT, its loudness is not checked.
  chain       three commands: cut (medium, crf 18), reframe (fast, crf 18), burn (veryfast, crf 20, with the loudness).
  floor       decoding the span, and coding ready pictures: nobody can be below it with this encoder.

SSIM is against the ideal: the one-pass command's filters, with exact rounding, coded without loss.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import pairs
import talk

START_S, LENGTH_S, FPS = 20, 30, 30
LOGO_PX, LOGO_SHARE, OPACITY = 400, 0.18, 0.7
CLIPS_AT_ONCE = 5
FONTS = "/usr/share/fonts/truetype/open-sans"
KEYS = ["-g", str(2 * FPS), "-profile:v", "high", "-pix_fmt", "yuv420p"]
AAC = ["-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2"]
LOUD = "loudnorm=I=-14:TP=-1.5"


class Bench:
    def __init__(self, build):
        self.build = build
        self.work = build / "bench-render"
        self.work.mkdir(parents=True, exist_ok=True)
        self.source, self.kind = talk.full_hd(self.work)
        self.logo = self.work / "logo.png"
        talk.ffmpeg("-f", "lavfi", "-i", f"testsrc2=size={LOGO_PX}x{LOGO_PX // 2}", "-frames:v", 1, "-vf",
                    "format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*lt(hypot(X-200,2*(Y-100)),195)'", self.logo)
        self.write_call_files()

    # ---- Ours -----------------------------------------------------------------------------------

    def write_call_files(self):
        words = (talk.SPEECH * 3).split()
        spoken = [{"t": word, "s": (START_S * 10 + 4 * i) * 100, "e": (START_S * 10 + 4 * i + 3) * 100}
                  for i, word in enumerate(words) if 0.4 * (i + 1) < LENGTH_S]
        self.save("transcript.json", {"words": spoken})
        self.save("moment.json", {"rank": 1, "start_ms": START_S * 1000, "end_ms": (START_S + LENGTH_S) * 1000})

    def save(self, name, value):
        (self.work / name).write_text(json.dumps(value))

    def ours(self, name="ours"):
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        inputs = [{"role": "media", "key": "", "path": str(self.source), "facts": {}},
                  {"role": "moment", "key": "01", "path": str(self.work / "moment.json"), "facts": {}},
                  {"role": "transcript", "key": "", "path": str(self.work / "transcript.json"), "facts": {}}]
        self.save(f"{name}.json", {
            "v": 1, "type": "begin", "attempt": "bench/clip/01#1", "job": "bench", "step": "clip", "item": "01/9:16",
            "fence": 1, "stage": "render", "op": "render", "instance": "bench",
            "plugin": str(self.build / "plugins/render_ffmpeg.so"), "language": "en", "params": {},
            "options": {"watermark_image": str(self.logo), "watermark_size": str(LOGO_SHARE),
                        "watermark_opacity": str(OPACITY), "watermark_corner": "bottom-left", "cta": "none"},
            "paths": [str(self.logo)], "dir": str(folder), "inputs": inputs, "confine": False})
        return [self.build / "clipmaker-worker", "--call", self.work / f"{name}.json"]

    # ---- FFmpeg's program -----------------------------------------------------------------------

    def make_captions(self):
        script = subprocess.run([self.build / "bench/render/print_ass", self.work / "ours/document.json"], check=True,
                                stdout=subprocess.PIPE).stdout
        (self.work / "captions.ass").write_bytes(script)

    def laid_over(self, picture):
        """What is laid over the upright picture, in the place where ours lays it (render_ffmpeg/image.c). Bottom left,
        because that is even: `overlay` has no odd places, and would lay the logo one row off."""
        width = round(LOGO_SHARE * 1080)
        return (f"{picture}ass={self.work}/captions.ass:fontsdir={FONTS}[c];"
                f"[1:v]scale={width}:-1:out_color_matrix=bt709:out_range=tv,format=yuva420p,colorchannelmixer=aa={OPACITY}[w];"
                f"[c][w]overlay={round(0.05 * 1080)}:{round(0.84 * 1920 - width / 2)}[v]")

    REFRAME = "crop=608:1080,scale=1080:1920:flags=bicubic,setsar=1"
    EXACT = "crop=608:1080,scale=1080:1920:flags=bicubic+accurate_rnd,setsar=1"

    def one_pass(self, out, *coded, reframe=REFRAME):
        coded = coded or ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", *KEYS]
        return ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-ss", START_S, "-t", LENGTH_S, "-i", self.source,
                "-i", self.logo, "-filter_complex", self.laid_over(f"[0:v]{reframe},") + f";[0:a]{LOUD}[a]",
                "-map", "[v]", "-map", "[a]", *coded, *AAC, "-movflags", "+faststart", self.work / out]

    def chain(self):
        cut, reframed = self.work / "chain-cut.mp4", self.work / "chain-reframed.mp4"
        start = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y"]
        return [
            [*start, "-ss", START_S, "-t", LENGTH_S, "-i", self.source, "-c:v", "libx264", "-preset", "medium", "-crf",
             18, *AAC, cut],
            [*start, "-i", cut, "-vf", self.REFRAME, "-c:v", "libx264", "-preset", "fast", "-crf", 18, "-c:a", "copy",
             reframed],
            [*start, "-i", reframed, "-i", self.logo, "-filter_complex",
             self.laid_over("[0:v]") + f";[0:a]{LOUD}[a]", "-map", "[v]", "-map", "[a]", "-c:v", "libx264", "-preset",
             "veryfast", "-crf", 20, *KEYS, *AAC, "-movflags", "+faststart", self.work / "chain.mp4"]]

    def floor(self):
        """Decode the source; and code ready pictures, less what decoding those takes."""
        start = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y"]
        decode = pairs.run([*start, "-ss", START_S, "-t", LENGTH_S, "-i", self.source, "-an", "-f", "null", "-"])
        ready = pairs.run([*start, "-i", self.work / "ideal.mkv", "-an", "-f", "null", "-"])
        coded = pairs.run([*start, "-r", FPS, "-i", self.work / "ideal.mkv", "-an", "-c:v", "libx264", "-preset", "veryfast",
                           "-crf", "20", *KEYS, self.work / "floor.mp4"])
        return {"cpu_s": decode["cpu_s"] + coded["cpu_s"] - ready["cpu_s"],
                "wall_s": decode["wall_s"] + coded["wall_s"] - ready["wall_s"], "rss_mb": coded["rss_mb"]}

    # ---- What came out --------------------------------------------------------------------------

    def ssim(self, clip):
        number = f"settb=1/{FPS},setpts=N"  # picture by picture: Matroska rounds times to milliseconds
        out = subprocess.run(["ffmpeg", "-nostdin", "-hide_banner", "-i", clip, "-i", self.work / "ideal.mkv", "-lavfi",
                              f"[0:v]{number}[a];[1:v]{number}[b];[a][b]ssim", "-an", "-f", "null", "-"], check=True, capture_output=True, text=True)
        return float(re.search(r"SSIM .*All:([0-9.]+)", out.stderr).group(1))

    def video_bytes(self, clip):
        out = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "packet=size", "-of",
                              "csv=p=0", clip], check=True, capture_output=True, text=True)
        return sum(int(line.strip(",")) for line in out.stdout.split())

    def chain_cost(self):
        steps = [pairs.run(command) for command in self.chain()]
        return {"cpu_s": sum(step["cpu_s"] for step in steps), "wall_s": sum(step["wall_s"] for step in steps),
                "rss_mb": max(step["rss_mb"] for step in steps)}

    def once(self):
        """What is needed before the rounds, and warms the disk's cache."""
        pairs.run(self.ours())
        self.make_captions()
        pairs.run(self.one_pass("ideal.mkv", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0",
                                reframe=self.EXACT))

    def singles(self):
        return pairs.in_turn({
            "ours": lambda: pairs.run(self.ours()),
            "one pass": lambda: pairs.run(self.one_pass("one-pass.mp4")),
            "chain": self.chain_cost,
            "floor": self.floor,
        })

    def five(self):
        """Five clips on this machine: ours as the daemon runs them, two at once; theirs two at once as well."""
        names = [f"ours-{i}" for i in range(CLIPS_AT_ONCE)]
        return pairs.in_turn({
            "ours": lambda: pairs.run(*[self.ours(name) for name in names], limit=2),
            "one pass": lambda: pairs.run(*[self.one_pass(f"one-pass-{i}.mp4") for i in range(CLIPS_AT_ONCE)], limit=2),
        }, rounds=min(pairs.ROUNDS, 3))


def main():
    bench = Bench(pathlib.Path(os.environ["CLIPMAKER_BUILD"]).resolve())
    bench.once()
    found = bench.singles()
    clips = {"ours": bench.work / "ours/clip.mp4", "one pass": bench.work / "one-pass.mp4",
             "chain": bench.work / "chain.mp4", "floor": bench.work / "floor.mp4"}
    seen = {name: bench.ssim(clip) for name, clip in clips.items()}
    bytes_of = {name: bench.video_bytes(clip) for name, clip in clips.items()}
    rows = [["30 s of 1080p", "CPU s", "noise", "wall s", "memory MB", "SSIM", "picture MB"]]
    for name, costs in found.items():
        rows.append([name, f"{pairs.median(costs):.1f}", f"±{100 * pairs.noise(costs):.1f} %",
                     f"{pairs.median(costs, 'wall_s'):.1f}", f"{pairs.median(costs, 'rss_mb'):.0f}", f"{seen[name]:.4f}",
                     f"{bytes_of[name] / 1e6:.2f}"])
    print(f"{bench.kind}, median of {pairs.ROUNDS}, {os.cpu_count()} processors\n")
    pairs.print_table(rows)
    five = bench.five() if not os.environ.get("NO_FIVE") else None
    figures = {f"{name.replace(' ', '_')}_cpu_s": pairs.median(costs) for name, costs in found.items()}
    ratios = {
        "cpu_one_pass": pairs.ratio(found["ours"], found["one pass"]),
        "cpu_chain": pairs.ratio(found["ours"], found["chain"]),
        "cpu_floor": pairs.ratio(found["ours"], found["floor"]),
        "ssim_less": seen["one pass"] - seen["ours"],
        "size": bytes_of["ours"] / bytes_of["one pass"],
    }
    figures["noise"] = max(pairs.noise(found["ours"]), pairs.noise(found["one pass"]))
    if five:
        print(f"\n{CLIPS_AT_ONCE} clips, two at once\n")
        pairs.print_table([["", "CPU s", "noise", "wall s"]] + [
            [name, f"{pairs.median(costs):.1f}", f"±{100 * pairs.noise(costs):.1f} %",
             f"{pairs.median(costs, 'wall_s'):.1f}"] for name, costs in five.items()])
        ratios["five_cpu"] = pairs.ratio(five["ours"], five["one pass"])
        ratios["five_wall"] = pairs.ratio(five["ours"], five["one pass"], "wall_s")
    print()
    pairs.print_result("render", figures, ratios)


if __name__ == "__main__":
    main()
