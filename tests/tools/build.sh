# What quickstart and check share: installing packages, building, and a tree that runs in place.
# To be sourced; $top is the source folder.

say() {
    echo "== $*" >&2
}

# install_packages PURPOSE…: those of debian/packages that are not here yet.
install_packages() {
    local missing=() purpose name
    while read -r purpose name; do
        case " $* " in
        *" $purpose "*) dpkg-query -W -f '${Status}\n' "$name" 2>/dev/null | grep -q '^install ok installed' || missing+=("$name") ;;
        esac
    done < <(grep -v '^#' "$top/debian/packages")
    [ ${#missing[@]} -eq 0 ] && return 0
    say "installing ${missing[*]}"
    local root=
    [ "$(id -u)" -eq 0 ] || root=sudo
    DEBIAN_FRONTEND=noninteractive $root apt-get -qq update >&2
    DEBIAN_FRONTEND=noninteractive $root apt-get -qq install -y --no-install-recommends "${missing[@]}" >&2 </dev/null
}

# build_in FOLDER [configure arguments]: configures once, builds, and stages in FOLDER/stage.
build_in() {
    local folder=$1
    shift
    [ -x "$top/configure" ] && [ "$top/configure" -nt "$top/configure.ac" ] && [ "$top/Makefile.in" -nt "$top/Makefile.am" ] ||
        (cd "$top" && mkdir -p build-aux && autoreconf -i) >/dev/null
    mkdir -p "$folder"
    [ -f "$folder/config.status" ] && [ "$folder/config.status" -nt "$top/configure" ] ||
        (set -o pipefail # autoconf's clean-up looks for core dumps and stumbles over our folder `core`
            cd "$folder" && "$top/configure" -q "$@" 2>&1 | { grep -v "cannot remove 'core'" || true; } >&2)
    make -s -C "$folder" -j "$(nproc)" >&2
    rm -rf "$folder/stage"
    make -s -C "$folder" install DESTDIR="$folder/stage" >/dev/null
}

# stage_of FOLDER: sets STAGE, the prefix of what build_in staged; programs find each other there.
stage_of() {
    STAGE=$1/stage/usr/local
}
