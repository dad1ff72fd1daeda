# compose.yaml, run by podman-compose.
. /root/cases/container.bash
NAME=vpo_vpo_1 VOLUME=vpo_data LIMIT=5
CASES=("${SHARED[@]}" every_line_of_the_log_is_json a_dependent_service_waits_until_it_is_healthy)

compose() { (cd "$FILES" && podman-compose -p vpo -f compose.yaml -f "$FILES/case.yaml" "$@"); }

wipe() {
    podman ps -aq --filter label=io.podman.compose.project=vpo | xargs -r podman rm -f -i -v >/dev/null
    podman volume rm -f vpo_data >/dev/null
}

override() {
    local variable
    printf 'services:\n  vpo:\n    command: [%s]\n    healthcheck:\n      interval: %ss\n      retries: 1\n' \
        "$(IFS=,; echo "${ARGS[*]}")" "$PROBE_EVERY"
    echo "    environment: {VPO_LIBRARY_ROOTS: /videos$(printf ', %s' "${ENV[@]/=/: }" | sed 's/, $//')}"
    [ -z "$CONFIG$DATA" ] || echo '    volumes:'
    [ -z "$CONFIG" ] || echo "      - $CONFIG:/etc/vpo:ro"
    [ -z "$DATA" ] || echo "      - $DATA:/data"
}

up() {
    override > "$FILES/case.yaml"
    if podman container exists "$NAME"; then compose start vpo; else compose up -d vpo; fi
}

down() { compose stop vpo; }

a_dependent_service_waits_until_it_is_healthy() {
    wipe
    PROBE_EVERY=1
    override > "$FILES/case.yaml"
    VIDEOS=$VIDEOS compose --profile scan up -d
    within 20 eval "[ \"\$(podman inspect --format '{{.State.Status}}' vpo_scan_1)\" = exited ]"
    is "$(podman inspect --format '{{.State.ExitCode}}' vpo_scan_1)" 0 "the scan's exit code"
    local healthy scan
    healthy=$(podman inspect --format '{{json .State.Health.Log}}' "$NAME" | jq -r 'map(select(.ExitCode == 0))[0].Start')
    scan=$(podman inspect --format '{{.State.StartedAt.Format "2006-01-02T15:04:05.000000000Z07:00"}}' vpo_scan_1)
    [ "$(date -d "$scan" +%s%N)" -gt "$(date -d "$healthy" +%s%N)" ]
}
