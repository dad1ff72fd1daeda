# `podman run`, with the Containerfile's own HEALTHCHECK.
# shellcheck disable=SC2034  # variables of one file are read in another
# shellcheck source=container.bash
. /root/cases/container.bash
NAME=vpo VOLUME=vpo
CASES=("${SHARED[@]}" every_line_of_the_log_is_json a_backup_taken_online_restores a_share_mounted_later_is_seen_inside
    the_image_is_small_and_says_what_it_is the_simplest_command_is_healthy prometheus_scrapes_it_by_its_name_without_any_setting
    what_is_documented_works)
LIMIT=3                         # of restarts

wipe() { clear_engine; }

up() {
    if podman container exists vpo; then podman start vpo; return; fi
    local options=(-e VPO_SCAN_ROOTS=/videos) variable
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

# No registry can be reached from here: the image is Debian's Prometheus with the libraries that it needs.
prometheus_image() {
    podman image exists localhost/prometheus && return
    local files
    mapfile -t files < <(echo /usr/bin/prometheus; ldd /usr/bin/prometheus | grep -oE '/[^ ]+')
    tar -C / -ch "${files[@]#/}" | podman import -q - localhost/prometheus
}

# The value of the one series that Prometheus has for a query.
measured() { curl -sG -m 5 --data-urlencode "query=$1" "http://127.0.0.1:9090/api/v1/query" | jq -r '.data.result[0].value[1]'; }
measures() { [ "$(measured "$1")" = "$2" ]; }

prometheus_scrapes_it_by_its_name_without_any_setting() {
    wipe
    prometheus_image
    podman network create monitoring
    podman run -d --name vpo --network monitoring -p 127.0.0.1:8321:8321 localhost/vpo
    cat > "$TMP/prometheus.yml" <<'YAML'
scrape_configs:
  - {job_name: name, scrape_interval: 1s, static_configs: [{targets: ['vpo:8321']}]}
  - {job_name: qualified, scrape_interval: 1s, static_configs: [{targets: ['vpo.dns.podman:8321']}]}
YAML
    podman run -d --name prometheus --network monitoring -p 127.0.0.1:9090:9090 --tmpfs /data \
        -v "$TMP/prometheus.yml:/prometheus.yml:ro" localhost/prometheus \
        /usr/bin/prometheus --config.file=/prometheus.yml --storage.tsdb.path=/data
    within 20 measures 'up{job="name"}' 1
    within 20 measures 'up{job="qualified"}' 1
    within 20 measures 'vpo_build_info{job="name"}' 1
    # The rule was there meanwhile.
    is "$(curl -s -o /dev/null -w '%{http_code}' -H 'Host: films.example.org' "$URL/metrics")" 421
    is "$(curl -s -H 'Host: films.example.org' "$URL/health" | jq -c '[.status, .checks]')" '["healthy",[]]'
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
