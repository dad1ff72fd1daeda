# compose.yaml, run by podman-compose.
# shellcheck disable=SC2034  # variables of one file are read in another
# shellcheck source=container.bash
. /root/cases/container.bash
NAME=vpo_vpo_1 VOLUME=vpo_data LIMIT=5
CASES=("${SHARED[@]}" every_line_of_the_log_is_json a_dependent_service_waits_until_it_is_healthy
    docker_compose_runs_it_too)

compose() { (cd "$FILES" && podman-compose -p vpo -f compose.yaml -f "$FILES/case.yaml" "$@"); }

wipe() { clear_engine; }

override() {
    printf 'services:\n  vpo:\n    command: [%s]\n    healthcheck:\n      interval: %ss\n      retries: 1\n' \
        "$(IFS=,; echo "${ARGS[*]}")" "$PROBE_EVERY"
    echo "    environment: {VPO_SCAN_ROOTS: /videos$(printf ', %s' "${ENV[@]/=/: }" | sed 's/, $//')}"
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

# Docker's own compose program, with Podman as its engine.
docker_compose_runs_it_too() {
    wipe
    systemctl start podman.socket
    local docker=(env DOCKER_HOST=unix:///run/podman/podman.sock docker-compose --project-directory "$FILES" -p vpo)
    "${docker[@]}" up -d --wait vpo
    answers health 200
    VIDEOS=$VIDEOS "${docker[@]}" run --rm scan
    "${docker[@]}" down --volumes -t 40
    refuses livez
}
