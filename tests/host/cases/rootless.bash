# systemd/user/vpo.container: a user's own containers under the user's own systemd.
# shellcheck disable=SC2034  # variables of one file are read in another
# shellcheck source=container.bash
. /root/cases/container.bash
NAME=vpo VOLUME=vpo
CASES=(
    first_start_on_an_empty_volume_is_healthy_and_not_before
    runs_unprivileged_on_a_read_only_root
    health_follows_the_library
    a_stop_answers_the_requests_in_flight
    a_stop_when_idle_is_quick_and_clean
    a_restart_keeps_the_library
    a_lost_library_is_never_replaced_by_an_empty_one
    a_crash_restarts_it
    a_wrong_configuration_does_not_loop
)

id -u tester >/dev/null 2>&1 || useradd --create-home --shell /bin/bash tester
grep -q '^tester:' /etc/subuid || usermod --add-subuids 200000-265535 --add-subgids 200000-265535 tester
OWN=$(id -u tester)
UIDS="$OWN $OWN $OWN"           # keep-id: the container's user is the user
/usr/bin/systemctl start network-online.target    # what a user's Quadlet waits for, up to 90 s
loginctl enable-linger tester
within 20 systemctl is-active --quiet "user@$OWN.service"

as_tester() { runuser -u tester -- env --chdir=/home/tester XDG_RUNTIME_DIR="/run/user/$OWN" "$@"; }
systemctl() { as_tester /usr/bin/systemctl --user "$@"; }
UNITS=/home/tester/.config/containers/systemd
VIDEOS=/home/tester/Videos
as_tester mkdir -p "$UNITS" "$VIDEOS"
if [ "$(as_tester podman image inspect --format '{{.Id}}' localhost/vpo 2>/dev/null)" != \
     "$(/usr/bin/podman image inspect --format '{{.Id}}' localhost/vpo)" ]; then
    podman save -q --format docker-archive localhost/vpo | as_tester podman load -q
fi
podman() { as_tester /usr/bin/podman "$@"; }

wipe() {
    systemctl stop vpo.service 2>/dev/null || true
    as_tester rm -rf "$UNITS"
    systemctl daemon-reload
    systemctl reset-failed 2>/dev/null || true
    clear_engine
}

up() {
    local variable
    as_tester mkdir -p "$UNITS/vpo.container.d"
    cp "$FILES"/systemd/user/vpo.container "$FILES"/systemd/vpo.volume "$UNITS"
    {
        echo '[Container]'
        for variable in "${ENV[@]}"; do echo "Environment=$variable"; done
        printf 'HealthInterval=%ss\nHealthRetries=1\n' "$PROBE_EVERY"
        [ -z "${ON_FAILURE:-}" ] || echo "HealthOnFailure=$ON_FAILURE"
        printf '[Service]\nRestartSec=1\n'
    } > "$UNITS/vpo.container.d/case.conf"
    systemctl daemon-reload
    systemctl start vpo
}

down() { systemctl stop vpo; }
comes_back() { :; }
property() { systemctl show -p "$1" --value vpo; }
exit_code() { property ExecMainStatus; }
given_up() { [ "$(property ActiveState)" = failed ] && is "$(property NRestarts)" 0 restarts; }
ended_well() { is "$(property ActiveState) $(property Result) $(property ExecMainStatus)" 'inactive success 0'; }

health_follows_the_library() {
    ON_FAILURE=none
    wipe
    PROBE_EVERY=1
    up
    within 15 healthy
    mv "$(data)/library.db" "$(data)/library.away"
    within 5 answers health 503
    within 10 unhealthy
    mv "$(data)/library.away" "$(data)/library.db"
    within 10 healthy
}
