"""What the documentation says is there: options, paths, the default config, the plugin author's way."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from conftest import BUILD, STAGE, TOP
from daemon import Daemon

PAGES = sorted(TOP.glob("docs/**/*.md")) + [TOP / "README.md"]
WORKER = STAGE / "libexec/clipmaker/clipmaker-worker"
COMMANDS = "run submit publish targets jobs show watch why cancel retry rm resolve status consent costs fsck plugins plugin".split()
FOLDERS = ("core", "docs", "etc", "plugins", "tests", "debian")
BUILT = {".so", ".mo"}  # what a path of the tree may name without lying in it


def named(pages):
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(TOP)))


def call(*arguments, **more):
    env = dict(os.environ, LANG="C.UTF-8", LC_ALL="C.UTF-8", **more.pop("env", {}))
    return subprocess.run([str(one) for one in arguments], capture_output=True, text=True, timeout=120, env=env, **more)


@pytest.fixture(scope="module")
def helps():
    """Every option that a program or a command says it has."""
    told = {command: call(STAGE / "bin/clipmaker", command, "--help").stdout for command in COMMANDS}
    told["clipmakerd"] = call(STAGE / "sbin/clipmakerd", "--help").stdout
    return {name: set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text)) for name, text in told.items()}


def mentions(page):
    """(program or command, its options) of every command line that a page shows."""
    for line in page.read_text().splitlines():
        for text in re.findall(r"`((?:clipmaker|clipmakerd) [^`]*)`", line) + [line]:
            text = re.sub(r"\s#.*", "", text)
            found = re.match(r"\s*(?:job=\$\()?(clipmakerd|clipmaker)\s+(.*)", text)
            if not found:
                continue
            program, rest = found.groups()
            word = rest.split()[0]
            if program == "clipmakerd" and (word.startswith("-") or text != line):
                yield "clipmakerd", options_of(rest)
            elif program == "clipmaker" and word in COMMANDS:
                yield word, options_of(rest)


def options_of(text):
    return re.findall(r"(?<!\S)(--?[a-z][\w-]*)", text)


@named(PAGES)
def test_options_exist(page, helps):
    for command, options in mentions(page):
        for option in options:
            assert option in helps[command], f"{page.name}: {command} has no {option}"


def test_options_are_found_at_all():
    shown = {command for page in PAGES for command, options in mentions(page) if options}
    assert {"run", "submit", "clipmakerd"} <= shown


@named([TOP / "docs/operator.md"])
def test_every_command_is_explained(page):
    text = page.read_text()
    missing = [command for command in COMMANDS if not re.search(rf"clipmaker {command}\b", text)]
    assert not missing, f"{page.name} says nothing about {missing}"


def paths_of(page):
    text = page.read_text()
    for path in re.findall(r"`((?:\./)?[\w./*-]+)`", text) + re.findall(r"(?<![\w/.*-])([\w.*-]+/[\w./*-]+\w)", text):
        path = path.removeprefix("./")
        if path.split("/")[0] in FOLDERS and "/" in path:
            yield path.rstrip(".,;:")


@named(PAGES)
def test_paths_exist(page):
    for path in set(paths_of(page)):
        if pathlib.Path(path).suffix in BUILT or path == "etc/clipmaker" or re.match(r"plugins/NAME", path):
            continue
        assert any(TOP.glob(path)) or any(TOP.glob(path + ".c")), f"{page.name} names {path}, which is not there"


@named(PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text().replace("\n", " ")):
        if target.startswith(("http", "#")):
            continue
        assert (page.parent / target.split("#")[0].replace(" ", "")).exists(), f"{page.name} links to {target}"


def test_the_index_has_every_page():
    index = (TOP / "docs/README.md").read_text()
    for page in TOP.glob("docs/**/*.md"):
        name = str(page.relative_to(TOP / "docs"))
        assert name == "README.md" or f"({name})" in index, f"docs/README.md lacks {name}"


def test_packages_are_explained():
    """Every library that configure asks for is in dependencies.md, and every package to run, too."""
    text = (TOP / "docs/dependencies.md").read_text().lower()
    asked = re.findall(r"PKG_CHECK_MODULES\(\[\w+\], \[([^\]]+)\]", (TOP / "configure.ac").read_text())
    names = {re.sub(r"_core$|3$|2$", "", name) for group in asked for name in re.findall(r"[a-z][\w-]+", group)}
    packages = (TOP / "debian/packages").read_text().splitlines()
    names |= {line.split()[1] for line in packages if re.match(r"(run|sample) ", line)}
    assert not [name for name in names if name not in text]


def test_packages_are_what_the_debian_package_builds_with():
    """debian/control and debian/packages name the same libraries."""
    control = (TOP / "debian/control").read_text().split("\n\n")[0]
    in_control = set(re.findall(r"^ ([a-z][a-z0-9.+-]*)", control.split("Build-Depends:")[1], re.M))
    needs_not = {"autoconf", "automake", "gcc", "libc6-dev", "make"}  # debhelper and build-essential bring them
    packages = {tuple(line.split()) for line in (TOP / "debian/packages").read_text().splitlines()}
    listed = {package[1] for package in packages if package[0] == "build"} - needs_not | {"libcmocka-dev"}
    assert in_control - {"debhelper-compat", "dh-sequence-installsysusers"} == listed
    depends = re.search(r"^Package: clipmaker\n.*?^Depends:(.*?)^\S", (TOP / "debian/control").read_text(), re.S | re.M)[1]
    assert not [name for purpose, name in (package for package in packages if len(package) == 2)
                if purpose == "run" and f" {name}," not in depends]


def test_default_config_is_sound():
    """As it lies in the tree, against the staged plugins; nothing of it is changed."""
    answer = call(STAGE / "sbin/clipmakerd", "-t", "-c", TOP / "etc/clipmaker.conf")
    assert answer.returncode == 0, answer.stderr
    installed = call(STAGE / "sbin/clipmakerd", "-t")
    assert installed.returncode == 0, installed.stderr


# ---- The plugin author's page, followed literally ------------------------------------------------

class Platform(BaseHTTPRequestHandler):
    """The imaginary platform of the template: takes the clip, then the post."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, self.headers["Authorization"], body))
        answer = json.dumps({"id": self.path.strip("/") + "-1", "url": "https://example.org/1"}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def platform():
    server = HTTPServer(("127.0.0.1", 0), Platform)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


# clipmaker.pc of the staged tree, with its prefix where it lies.
AUTHOR = {"PREFIX": str(STAGE), "EXAMPLE": str(TOP / "plugins/template"), "PKG_CONFIG": "pkg-config --define-prefix",
          "PKG_CONFIG_PATH": str(STAGE / "lib/pkgconfig")}


def fenced(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", (TOP / "docs/plugins.md").read_text(), re.S | re.M)


def follow(block, folder):
    """One shell block of the page, in the author's folder."""
    answer = call("bash", "-euc", block, cwd=folder, env=AUTHOR)
    assert answer.returncode == 0, f"{block}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


def test_plugin_page(tmp_path, platform):
    build, describe, one_call = fenced("sh")
    folder = tmp_path / "mine"
    folder.mkdir()
    follow(build, folder)

    described = json.loads(follow(describe, folder))
    assert (described["name"], described["stage"]) == ("publish_example", "publish")
    assert {option["name"] for option in described["options"]} >= {"url", "token", "channel"}

    shutil.copy(TOP / "etc/clipmaker.conf", folder)
    (folder / "conf.d").mkdir()
    [config] = fenced("conf")
    (folder / "conf.d/example.conf").write_text(config.replace("/absolute/path", str(folder)))
    checked = call(STAGE / "sbin/clipmakerd", "-t", "-c", folder / "clipmaker.conf", env={"EXAMPLE_TOKEN": "secret"})
    assert checked.returncode == 0, checked.stderr
    wrong = folder / "conf.d/zz.conf"
    wrong.write_text('plugins: { example: { chanel = "x"; }; };\n')
    checked = call(STAGE / "sbin/clipmakerd", "-t", "-c", folder / "clipmaker.conf", env={"EXAMPLE_TOKEN": "secret"})
    assert checked.returncode == 78 and "zz.conf:1: unknown option chanel" in checked.stderr
    assert "did you mean channel?" in checked.stderr

    [begin] = fenced("json")
    begin = begin.replace("/absolute/path", str(folder)).replace("8099", str(platform.server_port))
    (folder / "begin.json").write_text(begin)
    (folder / "clip.mp4").write_bytes(b"a clip")
    messages = [json.loads(line) for line in follow(one_call, folder).splitlines()]
    assert [message["type"] for message in messages if message["type"] != "progress"] == ["save", "sending", "done"]
    assert messages[-1]["verdict"] == "ok" and messages[-1]["url"] == "https://example.org/1"
    assert [path for path, _, _ in platform.seen] == ["/uploads", "/posts"]
    assert all(token == "Bearer secret" for _, token, _ in platform.seen)
    assert b"a clip" in platform.seen[0][2] and b"try-01" in platform.seen[1][2]


def test_the_template_builds_under_its_own_name(tmp_path):
    shutil.copytree(TOP / "plugins/template", tmp_path / "template")
    made = call("make", "-C", tmp_path / "template", f"INCLUDE={STAGE}/include")
    assert made.returncode == 0, made.stderr
    described = call(WORKER, "--describe", tmp_path / "template/template.so")
    assert described.returncode == 0 and json.loads(described.stdout)["name"] == "template"


@pytest.mark.long
def test_the_package_way_of_the_plugin_page(tmp_path):
    """The example as a package, by the debhelper command as it lies here instead of in clipmaker-dev."""
    where, package = fenced("bash")
    asked = call("bash", "-euc", where.replace("pkg-config", AUTHOR["PKG_CONFIG"]), env=AUTHOR).stdout.split()
    assert asked == [str(STAGE / "lib/clipmaker/plugins"), str(STAGE / "etc/clipmaker/plugins-available")]

    folder, tools = tmp_path / "template", tmp_path / "tools"
    shutil.copytree(TOP / "plugins/template", folder)
    (tools / "Debian/Debhelper/Sequence").mkdir(parents=True)
    shutil.copy(TOP / "debian/clipmaker_plugin.pm", tools / "Debian/Debhelper/Sequence")
    shutil.copy(TOP / "debian/dh_clipmaker_plugin", tools)
    (folder / "debian/rules").write_text("#!/usr/bin/make -f\n%:\n\tdh $@ --with clipmaker-plugin\n"
                                         "override_dh_auto_install:\n\tdh_auto_install -- PLUGINS=/usr/lib/clipmaker/plugins"
                                         " CONFIG=/etc/clipmaker/plugins-available\n")
    control = folder / "debian/control"
    control.write_text(control.read_text().replace(" dh-sequence-clipmaker-plugin,\n", ""))
    made = call("bash", "-euc", package.replace("-b\n", "-b -d\n"), cwd=folder, env={
        **AUTHOR, "PATH": f"{tools}:{os.environ['PATH']}", "PERL5LIB": str(tools), "DEB_BUILD_OPTIONS": "nostrip noautodbgsym",
        "DH_AUTOSCRIPTDIR": str(TOP / "debian"), "DH_DATAFILES": ""})
    assert made.returncode == 0, made.stdout + made.stderr
    header = (TOP / "core/include/clipmaker/plugin.h").read_text()
    minor = re.search(r"#define CM_ABI_MINOR (\d+)", header)[1]
    assert f"clipmaker-plugin-abi-1 (>= 1.{minor})" in made.stdout.splitlines()[-1]
    [deb] = tmp_path.glob("*.deb")
    assert 'plugin disable --force "template"' in call("dpkg-deb", "--info", deb, "prerm").stdout


def test_a_plugin_without_the_note_makes_no_package(tmp_path):
    plugins = tmp_path / "debian/example/usr/lib/clipmaker/plugins"
    plugins.mkdir(parents=True)
    (tmp_path / "debian/control").write_text("Source: example\nBuild-Depends: debhelper-compat (= 13)\n\nPackage: example\n"
                                             "Architecture: any\n")
    shutil.copy(BUILD / "plugins/fake_stt.so", plugins)
    told = call(TOP / "debian/dh_clipmaker_plugin", cwd=tmp_path)
    assert told.returncode == 0 and "clipmaker-plugin-abi-1" in (tmp_path / "debian/example.substvars").read_text()
    assert call("objcopy", "--remove-section", ".note.clipmaker.abi", plugins / "fake_stt.so").returncode == 0
    told = call(TOP / "debian/dh_clipmaker_plugin", cwd=tmp_path)
    assert told.returncode != 0 and "fake_stt.so: no section .note.clipmaker.abi" in told.stderr


# ---- Manual pages --------------------------------------------------------------------------------

MANUALS = sorted(TOP.glob("docs/man/*.[1-8]"))


@named(MANUALS)
def test_manual_page_is_well_formed(page):
    told = call("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page)
    assert told.returncode == 0 and not told.stderr, told.stderr
    if shutil.which("mandoc"):
        told = call("mandoc", "-T", "lint", "-W", "warning", page)
        assert told.returncode == 0, told.stdout
    name = call("lexgrog", page).stdout
    assert f': "{re.sub("(.ru)?.[1-8]$", "", page.name)} - ' in name, name


@named([page for page in MANUALS if ".ru." not in page.name])
def test_manual_page_has_its_russian_twin(page):
    """The same options, commands and settings stand in both."""
    twin = page.with_name(page.stem + ".ru" + page.suffix)

    def marks(path):
        text = path.read_text().replace("\\-", "-")
        return set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text)), len(re.findall(r"^\.TP", text, re.M))
    assert marks(page) == marks(twin)


def test_manual_pages_have_every_option(helps):
    words = {name: (TOP / "docs/man" / name).read_text().replace("\\-", "-") for name in ("clipmaker.1", "clipmakerd.8")}
    for command, options in helps.items():
        text = words["clipmakerd.8" if command == "clipmakerd" else "clipmaker.1"]
        missing = [option for option in options if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text)]
        assert not missing, f"{command}: the manual lacks {missing}"
    for command in COMMANDS:
        assert re.search(rf"^\.B {command}\b", words["clipmaker.1"], re.M), command


@named(sorted(TOP.glob("docs/man/clipmaker.conf*")))
def test_manual_page_has_every_setting(page):
    """Name, type and default as `clipmakerd --settings` has them."""
    settings = re.findall(r"^(\S+)\s+(\S+)\s+default (\S+)", call(STAGE / "sbin/clipmakerd", "--settings").stdout, re.M)
    assert len(settings) > 25
    text = page.read_text().replace("\\-", "-")
    for name, kind, default in settings:
        entry = re.search(rf"^\.B {re.escape(name)}\n(.+)$", text, re.M)
        assert entry, f"{page.name} lacks {name}"
        assert f"({kind}" in entry[1] and (default == "-" or f" {default})" in entry[1]), f"{page.name}: {entry[0]}"


# ---- Completion ----------------------------------------------------------------------------------

def complete(*words, path=None, **more):
    """What bash would offer for the last word."""
    script = ('. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); eval "_$1 $1"; '
              '[ ${#COMPREPLY[@]} -eq 0 ] || printf "%s\\n" "${COMPREPLY[@]}"')
    told = call("bash", "-uc", script, "bash", TOP / "core/ctl/completion.bash", *words,
                env={"PATH": f"{STAGE}/bin:{STAGE}/sbin:{os.environ['PATH']}"}, **more)
    assert told.returncode == 0 and not told.stderr.strip(), told.stderr
    return told.stdout.split()


def test_completion_knows_commands_flags_and_plugins(helps):
    assert set(COMMANDS) <= set(complete("clipmaker", ""))
    assert complete("clipmaker", "wat") == ["watch"]
    for command in COMMANDS:
        assert set(complete("clipmaker", command, "--")) == {flag for flag in helps[command] if flag.startswith("--")}
    assert set(complete("clipmakerd", "--")) == {flag for flag in helps["clipmakerd"] if flag.startswith("--")}
    assert complete("clipmaker", "run", "--lang", "") == ["ru", "en", "auto"]
    assert complete("clipmaker", "plugins", "render") == ["render_ffmpeg"]
    assert complete("clipmaker", "plugin", "") == ["enable", "disable"]
    assert "publish_folder" in complete("clipmaker", "plugin", "enable", "")
    assert complete("clipmaker", "resolve", "key", "") == ["--live", "--absent"]


def test_completion_offers_files(tmp_path):
    (tmp_path / "talk one.mp4").touch()
    assert " ".join(complete("clipmaker", "run", "ta", cwd=tmp_path)) == "talk one.mp4"
    assert " ".join(complete("clipmaker", "submit", "--captions", "ta", cwd=tmp_path)) == "talk one.mp4"


def test_completion_offers_jobs(tmp_path):
    daemon = Daemon(tmp_path / "d").start()
    try:
        jobs = {daemon.submit(), daemon.submit()}
        assert set(complete("clipmaker", "show", "--state", daemon.state, "")) == jobs
        assert complete("clipmaker", "cancel", "--state", daemon.state, min(jobs)[:-1] + "~") == []
    finally:
        daemon.kill()
