# What every suite is written with. A suite is a file that says how one service manager is told to start and stop VPO,
# and names its cases; a case is a function whose name states the behaviour.
# shellcheck disable=SC2034  # variables of one file are read in another

URL=http://127.0.0.1:8321
VIDEOS=/srv/videos
FILES=/root/vpo                     # the project's compose.yaml, systemd/
LOGS=/root/logs

# What a case may change before `up`; each case begins with these.
plain() {
    ARGS=(serve)                    # the command line after `vpo`
    ENV=()                          # VARIABLE=value
    DATA=                           # a directory in place of the suite's own
    CONFIG=                         # a directory in place of /etc/vpo
    PROBE_EVERY=30                  # seconds between the manager's health probes
}

# within SECONDS COMMAND…: waits until the command succeeds.
within() {
    local limit=$1 deadline
    shift
    deadline=$(($(date +%s%N) + limit * 1000000000))
    until "$@"; do
        if [ "$(date +%s%N)" -gt "$deadline" ]; then echo "not within $limit s: $*" >&2; return 1; fi
        sleep 0.05
    done
}

# at_most SECONDS COMMAND…: the command succeeds, and takes no longer.
at_most() {
    local limit=$1 begin took
    shift
    begin=$(date +%s%N)
    "$@"
    took=$((($(date +%s%N) - begin) / 1000000))
    if [ "$took" -gt $((limit * 1000)) ]; then echo "took $took ms, the limit is $limit s: $*" >&2; return 1; fi
}

is() { if [ "$1" != "$2" ]; then echo "'$1' is not '$2'${3:+: $3}" >&2; return 1; fi; }

status() { curl -s -o /dev/null -m 5 -w '%{http_code}' "$URL/$1" || true; }
answers() { [ "$(status "$1")" = "$2" ]; }
refuses() { [ "$(status "$1")" = 000 ]; }

# The journal from here on: `mark`, then `messages` (the daemon's) or `since journalctl's arguments`. By the time, because
# with systemd 252 --after-cursor loses the first entry that matches when the cursor's own does not.
mark() { MARK=@$(date +%s.%6N); }
since() { journalctl -q --sync; journalctl -q --since "$MARK" "$@"; }
says() { messages | grep -qiE -- "$1"; }
advises() { messages | grep -qF -- "$1"; }

# The commands of docs/install.md: `documented HEADING` prints the shell block of a section, `documented HEADING ITEM` the
# command of an item in its list.
documented() {
    awk -v heading="## $1" -v item="${2:-}" '
        /^## / { inside = $0 == heading; next }
        !inside { next }
        /^```/ { block = !block && $0 == "```sh"; if (!block && printed) exit; next }
        item == "" && block { print; printed = 1; next }
        item != "" && /^- / { taken = index($0, "- **" item "**") == 1 }
        item != "" && /^$/ { taken = 0 }
        item != "" && taken { text = text " " $0 }
        END { if (item != "") { split(text, parts, "`"); print parts[2] } }' "$FILES/docs/install.md" | grep .
}

# runs HEADING [ITEM]: it, in the checkout, with the image that is there already.
runs() {
    local commands
    commands=$(documented "$@")
    (
        cd "$FILES" || exit
        podman() { [ "$1" = build ] || command podman "$@"; }
        eval "$commands"
    )
}

gone() { ! kill -0 "$1" 2>/dev/null; }
state_of() { sed -nE 's/^State:\s+(.).*/\1/p' "/proc/$1/status" 2>/dev/null || echo gone; }
another_pid() { local pid; pid=$(main_pid) && [ "${pid:-0}" -gt 0 ] && [ "$pid" != "$1" ]; }

# A true fault, as from a bug: the program's text under a running process becomes zeros. (kill -SEGV is none: PID 1 of a
# container ignores a signal sent to it whose action is the default.)
break_text() {
    local range begin end
    range=$(awk '$2 ~ /x/ && $6 ~ /vpo$/ { print $1; exit }' "/proc/$1/maps")
    begin=$((16#${range%-*})) end=$((16#${range#*-}))
    dd if=/dev/zero of="/proc/$1/mem" bs=4096 seek=$((begin / 4096)) count=$(((end - begin) / 4096)) \
        conv=notrunc status=none || true
}

# run_case NAME: one case, in a process of its own.
run_case() {
    TMP=$(mktemp -d)
    trap 'rm -rf "$TMP"' EXIT
    plain
    mark
    set -x
    "$1"
}

# run_suite NAME: every case that CASES lists, or those that ONLY matches; a line for each, and a file of what it did.
# Retry rule: times are held as they are stated, on whatever machine this is. A case that fails is shown, and run once
# more; the table says of it `again` when it passes then.
run_suite() {
    local suite=$1 name result begin took failed=0
    mkdir -p "$LOGS" "$VIDEOS"
    [ -e "$VIDEOS/film.mkv" ] || head -c 4096 /dev/zero > "$VIDEOS/film.mkv"
    for name in "${CASES[@]}"; do
        [ -z "${ONLY:-}" ] || [[ $name == *$ONLY* ]] || continue
        begin=$(date +%s%N)
        for result in ok again FAIL; do
            [ $result != FAIL ] || { failed=1; break; }
            mark
            timeout --kill-after=5 300 /root/cases/suite "$suite" "$name" > "$LOGS/$suite.$name" 2>&1 && break
            echo "--- ${name//_/ }: the end of its trace, and the journal meanwhile"
            grep -vE '^\++ (within|local|sleep|date|curl|\[|deadline|status|answers)' "$LOGS/$suite.$name" | tail -25 || true
            since -o short-monotonic --no-hostname |
                grep -vE 'kernel:|podman\[|conmon\[|\.mount|\.scope|journald|[0-9a-f]{64}' | cut -c 1-300 | tail -20 || true
            echo '---'
        done
        took=$(awk -v ns=$(($(date +%s%N) - begin)) 'BEGIN { printf "%.1f", ns / 1e9 }')
        printf '%s\t%s\t%s\t%s\n' "$suite" "${name//_/ }" "$result" "$took" | tee -a "$LOGS/table"
    done
    plain
    wipe > "$LOGS/$suite.end" 2>&1 || true
    return $failed
}
