# `podman run`, with the Containerfile's own HEALTHCHECK.
. /root/cases/container.bash
NAME=vpo VOLUME=vpo
CASES=("${SHARED[@]}" every_line_of_the_log_is_json a_backup_taken_online_restores a_share_mounted_later_is_seen_inside
    the_image_is_small_and_says_what_it_is the_simplest_command_is_healthy what_is_documented_works)
LIMIT=3                         # of restarts

wipe() { clear_engine; }

up() {
    if podman container exists vpo; then podman start vpo; return; fi
    local options=(-e VPO_LIBRARY_ROOTS=/videos) variable
    for variable in "${ENV[@]}"; do options+=(-e "$variable"); done
    [ -z "$CONFIG" ] || options+=(-v "$CONFIG:/etc/vpo:ro")
    podman run -d --name vpo --read-only --cap-drop all --security-opt no-new-privileges --restart "on-failure:$LIMIT" \
        --stop-timeout 40 -p 127.0.0.1:8321:8321 -v "${DATA:-vpo}:/data" -v "$VIDEOS:/videos:ro,rslave" \
        "${options[@]}" localhost/vpo "${ARGS[@]}"
    # The options of `podman run` do not reach the image's own HEALTHCHECK.
    [ "$PROBE_EVERY" = 30 ] || podman update --health-interval "${PROBE_EVERY}s" --health-retries 1 vpo
}

down() { podman stop vpo; }

a_share_mounted_later_is_seen_inside() {
    fresh
    mkdir -p "$VIDEOS/share"
    mount -t tmpfs share "$VIDEOS/share"
    touch "$VIDEOS/share/late.mkv"
    [ -e "/proc/$(main_pid)/root/videos/share/late.mkv" ] || { umount "$VIDEOS/share"; return 1; }
    umount "$VIDEOS/share"
}

the_image_is_small_and_says_what_it_is() {
    local format
    [ "$(podman image inspect --format '{{.Size}}' localhost/vpo)" -lt 7000000 ]
    [ "$(stat -c %s /usr/local/bin/vpo)" -lt 5000000 ]
    format='{{.User}} {{json .Config.Entrypoint}} {{json .Config.Cmd}} {{json .HealthCheck.Test}} {{.Config.StopSignal}}'
    is "$(podman image inspect --format "$format" localhost/vpo)" \
        '65532:65532 ["/vpo"] ["serve"] ["CMD","/vpo","healthcheck"] SIGTERM'
    is "$(podman image inspect --format '{{index .Labels "org.opencontainers.image.version"}}' localhost/vpo)" \
        "$(podman run --rm localhost/vpo --version | awk '{ print $2 }')"
}

the_simplest_command_is_healthy() {
    wipe
    podman run -d --name vpo localhost/vpo serve
    within 10 podman healthcheck run vpo
    podman stop vpo
    ended_well
}

what_is_documented_works() {
    wipe
    runs 'podman run'
    within 10 answers health 200
    runs 'podman run' Upgrade
    podman tag vpo:previous vpo
    runs 'podman run'
    within 10 answers health 200
    podman tag vpo kept
    runs 'podman run' Uninstall
    podman tag kept vpo
    podman rmi kept vpo:previous
    refuses livez
}
