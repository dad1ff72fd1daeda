# What the four managers that run a container share. A suite sets NAME, the container's.
# shellcheck disable=SC2034  # variables of one file are read in another
UIDS='65532 65532 65532'
WRITE_FIX=':U'

# The engine as it was before any case; its images stay.
clear_engine() {
    podman pod rm -a -f -t 1 >/dev/null
    podman rm -a -f -t 1 --depend >/dev/null
    podman volume rm -a -f >/dev/null
    podman network prune -f >/dev/null
}

main_pid() { podman inspect --format '{{.State.Pid}}' "$NAME" 2>/dev/null; }
messages() { since _COMM=conmon CONTAINER_NAME="$NAME" -o cat | grep . || true; }   # conmon ends its messages with a line feed
health_status() { podman inspect --format '{{.State.Health.Status}}' "$NAME" 2>/dev/null; }
healthy() { [ "$(health_status)" = healthy ]; }
unhealthy() { [ "$(health_status)" = unhealthy ]; }
probe_now() { podman healthcheck run "$NAME"; }
data() { if [ -n "$DATA" ]; then echo "$DATA"; else podman volume inspect --format '{{.Mountpoint}}' "$VOLUME"; fi; }
BESIDE=/data
vpo_there() { podman exec "$NAME" /vpo "$@"; }
reload() { podman kill --signal HUP "$NAME"; }
exit_code() { podman inspect --format '{{.State.ExitCode}}' "$NAME"; }
given_up() { [ "$(podman inspect --format '{{.State.Status}} {{.RestartCount}}' "$NAME")" = "exited $LIMIT" ]; }
ended_well() { is "$(podman inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$NAME")" 'exited 0'; }
comes_back() { up; }

# Networks, namespaces, mounts, timers and volumes: one line that must be the same before and after.
leftovers() {
    echo "containers=$(podman ps -aq | wc -l)" "volumes=$(podman volume ls -q | wc -l)" \
        "links=$(ip -o link | wc -l)" "netns=$(find /run/netns -type f 2>/dev/null | wc -l)" \
        "mounts=$(wc -l < /proc/self/mountinfo)" \
        "timers=$(systemctl list-units --all --plain --no-legend --type=timer | grep -cE '^[0-9a-f]{64}' || true)"
}

every_line_of_the_log_is_json() {
    fresh
    down
    local lines
    lines=$(messages | wc -l)
    [ "$lines" -ge 3 ]
    is "$(messages | jq -c 'select(.timestamp and .level and .logger and .message)' | wc -l)" "$lines" 'lines of JSON with their keys'
    # Standard output, so that journald files them under info, not under err.
    is "$(since _COMM=conmon CONTAINER_NAME="$NAME" -o json | jq -r .PRIORITY | sort -u)" 6 'the priorities'
}
