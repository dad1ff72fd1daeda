# systemd/vpo.container and vpo.volume under systemd.
# shellcheck disable=SC2034  # variables of one file are read in another
# shellcheck source=container.bash
. /root/cases/container.bash
NAME=vpo VOLUME=vpo
CASES=("${SHARED[@]}" every_line_of_the_log_is_json health_on_failure_kills_and_the_unit_waits_for_the_library
    a_wedged_daemon_is_restarted_by_the_watchdog what_is_documented_works)
UNITS=/etc/containers/systemd
DROPIN=$UNITS/vpo.container.d/case.conf

wipe() {
    systemctl stop vpo.service 2>/dev/null || true
    rm -rf "$UNITS"
    systemctl daemon-reload
    systemctl reset-failed 2>/dev/null || true
    clear_engine
}

up() {
    mkdir -p "$(dirname "$DROPIN")"
    cp "$FILES"/systemd/vpo.container "$FILES"/systemd/vpo.volume "$UNITS"
    {
        echo '[Container]'
        [ "${ARGS[*]}" = serve ] || echo "Exec=${ARGS[*]}"
        local variable
        for variable in "${ENV[@]}"; do echo "Environment=$variable"; done
        [ -z "$CONFIG" ] || echo "Volume=$CONFIG:/etc/vpo:ro"
        [ -z "${WATCHDOG:-}" ] || printf 'Environment=WATCHDOG_USEC=%s000000\nStopTimeout=2\n' "$WATCHDOG"
        if [ -n "$DATA" ]; then printf 'Volume=\nVolume=%s:/data\nVolume=%s:/videos:ro\n' "$DATA" "$VIDEOS"; fi
        printf 'HealthInterval=%ss\nHealthRetries=%s\n' "$PROBE_EVERY" "${RETRIES:-3}"
        [ -z "${ON_FAILURE:-}" ] || echo "HealthOnFailure=$ON_FAILURE"
        printf '[Service]\nRestartSec=1\n'
        [ -z "${WATCHDOG:-}" ] || echo "WatchdogSec=$WATCHDOG"
    } > "$DROPIN"
    systemctl daemon-reload
    systemctl start vpo
}

down() { systemctl stop vpo; }
reload() { systemctl reload vpo; }
comes_back() { :; }
property() { systemctl show -p "$1" --value vpo; }
exit_code() { property ExecMainStatus; }
given_up() { [ "$(property ActiveState)" = failed ] && is "$(property NRestarts)" 0 restarts; }
ended_well() { is "$(property ActiveState) $(property Result) $(property ExecMainStatus)" 'inactive success 0'; }

health_follows_the_library() {
    ON_FAILURE=none
    wipe
    PROBE_EVERY=1 RETRIES=1
    up
    within 15 healthy
    mv "$(data)/library.db" "$(data)/library.away"
    within 5 answers health 503
    within 10 unhealthy
    mv "$(data)/library.away" "$(data)/library.db"
    within 10 healthy
}

health_on_failure_kills_and_the_unit_waits_for_the_library() {
    wipe
    PROBE_EVERY=1 RETRIES=1
    up
    within 15 healthy
    local pid
    pid=$(main_pid)
    mark
    mv "$(data)/library.db" "$(data)/library.away"
    within 15 gone "$pid"
    within 20 says 'restore'
    # It goes on refusing, and makes no new one.
    local tries
    tries=$(property NRestarts)
    within 15 eval "[ \$(property NRestarts) -gt $tries ]"
    [ ! -e "$(data)/library.db" ]
    refuses health
    mv "$(data)/library.away" "$(data)/library.db"
    within 15 answers health 200
    within 15 healthy
}

a_wedged_daemon_is_restarted_by_the_watchdog() {
    wipe
    WATCHDOG=2
    up
    within 10 answers health 200
    local pid
    pid=$(main_pid)
    sleep 3            # longer than the watchdog: a daemon that feeds it is left alone
    is "$(main_pid)" "$pid" 'the same process'
    # systemd ends conmon, and `podman rm` then the container, as ever within its StopTimeout.
    kill -STOP "$pid"
    within 20 another_pid "$pid"
    within 15 answers health 200
}

what_is_documented_works() {
    wipe
    runs 'Podman Quadlet'
    within 10 answers health 200
    [[ $(property WantedBy) == *multi-user.target* ]]
    runs 'Podman Quadlet' Upgrade
    within 10 answers health 200
    runs 'Podman Quadlet' 'Roll back'
    within 10 answers health 200
    podman rmi vpo:previous
    runs 'Podman Quadlet' Uninstall
    refuses livez
    [ ! -e "$UNITS/vpo.container" ]
}
