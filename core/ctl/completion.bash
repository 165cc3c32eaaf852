# Completion for clipmaker and clipmakerd. Commands and flags are asked from the programs' own --help, so
# they are never out of date; jobs, plugins and parts of the configuration from what there is.

# The long flags of a --help text.
_clipmaker_flags()
{
    LC_ALL=C "$@" --help 2>/dev/null | grep -oE -- '(^|[[:space:]])--[a-z][a-z-]*' | tr -d ' \t'
}

# The values of one field of the objects in a JSON list as `--json` prints it, not of what lies deeper in them.
_clipmaker_values()
{
    sed -n 's/^    "'"$1"'": "\([^"]*\)",\{0,1\}$/\1/p'
}

# What was said before about where the daemon is, to be said again.
_clipmaker_where()
{
    local i
    where=()
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --state | --socket) where+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]/#\~/$HOME}") ;;
        esac
    done
}

# One of the words given, one a line, that begins as what was typed.
_clipmaker_offer()
{
    local IFS=$'\n'
    COMPREPLY=($(compgen -W "$1" -- "$cur"))
}

_clipmaker_files()
{
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$cur"))
}

# The value behind a flag; false when the flag takes none that we know of.
_clipmaker_value_of()
{
    case $1 in
    -o | --output | --captions | -c | --config | --state | --socket | --folder) _clipmaker_files ;;
    -l | --lang) _clipmaker_offer $'ru\nen\nauto' ;;
    -f | --format) _clipmaker_offer $'9:16\n1:1\n16:9' ;;
    --strategy) _clipmaker_offer $'ru\nglobal' ;;
    --by) _clipmaker_offer $'job\ninstance\nmodel\nday\nowner' ;;
    -a | --at | --live | --title | --text) ;;
    -t | --to | --target | --check)
        _clipmaker_where
        _clipmaker_offer "$("${program:-clipmaker}" targets --json "${where[@]}" 2>/dev/null | _clipmaker_values name)"
        ;;
    -n | --since | --clips | --min | --max | --pipeline | --owner | --priority | --request-key | --limit) ;;
    *) return 1 ;;
    esac
}

_clipmaker_word_of()
{
    local where words
    case $2 in
    run | submit) _clipmaker_files ;;
    show | watch | why | cancel | retry | rm | costs)
        _clipmaker_where
        _clipmaker_offer "$("$1" jobs --json "${where[@]}" 2>/dev/null | _clipmaker_values id)"
        ;;
    plugins) _clipmaker_offer "$("$1" plugins --json 2>/dev/null | _clipmaker_values name)" ;;
    plugin)
        words="${COMP_WORDS[*]:2:COMP_CWORD-2}"
        case " $words " in
        *' enable '* | *' disable '*) _clipmaker_offer "$("$1" plugin --json 2>/dev/null | _clipmaker_values name)" ;;
        *) _clipmaker_offer $'enable\ndisable' ;;
        esac
        ;;
    publish) _clipmaker_files ;;
    targets) ;;
    resolve) _clipmaker_offer $'--live\n--absent' ;;
    esac
}

_clipmaker()
{
    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} program=$1
    COMPREPLY=()
    # 9:16 comes in pieces: bash breaks words at colons.
    if [[ $cur == *:* || $before == : || $cur == : ]]; then
        return
    fi
    if [ "$COMP_CWORD" -eq 1 ]; then
        _clipmaker_offer "$(LC_ALL=C "$program" --help 2>/dev/null | sed -n 's/^  \([a-z]\{2,\}\)  *.*/\1/p'
            printf -- '--help\n--version\n')"
    elif _clipmaker_value_of "$before"; then
        :
    elif [[ $cur == -* ]]; then
        _clipmaker_offer "$(_clipmaker_flags "$program" "${COMP_WORDS[1]}")"
    else
        _clipmaker_word_of "$program" "${COMP_WORDS[1]}"
    fi
}

_clipmakerd()
{
    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    _clipmaker_value_of "$before" || _clipmaker_offer "$(_clipmaker_flags "$1")"
}

complete -F _clipmaker clipmaker
complete -F _clipmakerd clipmakerd
