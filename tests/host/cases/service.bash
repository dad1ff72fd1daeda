# systemd/vpo.service and vpo.socket with the bare binary.
# shellcheck disable=SC2034  # variables of one file are read in another
CASES=("${SHARED[@]}" the_journal_has_lines_with_their_priorities a_backup_taken_online_restores kill_segv_restarts_it
    a_wedged_daemon_is_restarted_by_the_watchdog a_restart_behind_the_socket_refuses_no_connection
    what_is_documented_works)
WRITE_FIX='ReadWritePaths='
UNITS=/etc/systemd/system
DROPIN=$UNITS/vpo.service.d/case.conf

systemd-sysusers "$FILES/systemd/vpo.sysusers"
UIDS=$(id -u vpo); UIDS="$UIDS $UIDS $UIDS"
GIDS=$(id -g vpo); GIDS="$GIDS $GIDS $GIDS"

wipe() {
    systemctl stop vpo.socket vpo.service 2>/dev/null || true
    rm -rf "$UNITS"/vpo.service "$UNITS"/vpo.socket "$UNITS/vpo.service.d" /var/lib/vpo /etc/vpo
    systemctl daemon-reload
    systemctl reset-failed 2>/dev/null || true
}

up() {
    mkdir -p "$(dirname "$DROPIN")"
    cp "$FILES"/systemd/vpo.service "$FILES"/systemd/vpo.socket "$UNITS"
    {
        printf '[Service]\nRestartSec=1\nEnvironment=VPO_SCAN_ROOTS=%s\n' "$VIDEOS"
        local variable
        for variable in "${ENV[@]}"; do echo "Environment=$variable"; done
        [ "${ARGS[*]}" = serve ] || printf 'ExecStart=\nExecStart=/usr/local/bin/vpo %s\n' "${ARGS[*]}"
        [ -z "$CONFIG" ] || echo "BindReadOnlyPaths=$CONFIG:/etc/vpo"
        [ -z "$DATA" ] || echo "Environment=VPO_DATABASE_PATH=$DATA/library.db"
        [ -z "${WATCHDOG:-}" ] || echo "WatchdogSec=$WATCHDOG"
    } > "$DROPIN"
    systemctl daemon-reload
    systemctl start vpo
}

down() { systemctl stop vpo; }
reload() { systemctl reload vpo; }
comes_back() { :; }
property() { systemctl show -p "$1" --value vpo; }
main_pid() { property MainPID; }
data() { echo "${DATA:-/var/lib/vpo}"; }
BESIDE=/var/lib/vpo
vpo_there() { vpo "$1" --database "$(data)/library.db" "${@:2}"; }
messages() { since -u vpo SYSLOG_IDENTIFIER=vpo -o cat; }
# The manager knows that READY=1 came; the verdict is the probe's.
probe_now() { vpo healthcheck --database "$(data)/library.db"; }
healthy() { [ "$(property ActiveState)" = active ] && probe_now; }
unhealthy() { ! probe_now; }
exit_code() { property ExecMainStatus; }
given_up() { [ "$(property ActiveState)" = failed ] && is "$(property NRestarts)" 0 restarts; }
ended_well() { is "$(property ActiveState) $(property Result) $(property ExecMainStatus)" 'inactive success 0'; }
leftovers() { echo "mounts=$(wc -l < /proc/self/mountinfo)" "runtime=$(find /run/vpo 2>/dev/null | wc -l)"; }

the_journal_has_lines_with_their_priorities() {
    fresh
    mv "$(data)/library.db" "$(data)/library.away"
    within 5 answers health 503
    mv "$(data)/library.away" "$(data)/library.db"
    within 5 answers health 200
    down
    # Info is 6, a warning 4. The prefix <N> is journald's to take away, the time is its own.
    is "$(since -u vpo SYSLOG_IDENTIFIER=vpo -o json | jq -r .PRIORITY | sort -u | tr '\n' ' ')" '4 6 '
    since -u vpo SYSLOG_IDENTIFIER=vpo -o json | jq -se 'any(.PRIORITY == "4" and (.MESSAGE | test("missing")))'
    ! messages | grep -E '^<[0-7]>|^[0-9]{4}-[0-9]{2}-[0-9]{2}T'
    # And what ends it is an error, 3.
    mv "$(data)/library.db" "$(data)/library.away"
    mark
    up || true
    within 10 says restore
    since -u vpo SYSLOG_IDENTIFIER=vpo -o json | jq -se 'any(.PRIORITY == "3" and (.MESSAGE | test("restore")))'
    ! messages | grep -E '^<[0-7]>'
}

kill_segv_restarts_it() {
    fresh
    local pid
    pid=$(main_pid)
    # Rust's runtime takes the first for a guard-page fault to look at, and leaves the next one to the default action.
    within 10 eval "kill -SEGV $pid 2>/dev/null; another_pid $pid"
    within 10 answers health 200
    is "$(property NRestarts)" 1 restarts
}

a_wedged_daemon_is_restarted_by_the_watchdog() {
    wipe
    WATCHDOG=2
    up
    answers health 200
    local pid
    pid=$(main_pid)
    sleep 3            # longer than the watchdog: a daemon that feeds it is left alone
    is "$(main_pid)" "$pid" 'the same process'
    mark
    kill -STOP "$pid"
    within 15 another_pid "$pid"
    within 10 answers health 200
    since -u vpo -o cat | grep -q 'Watchdog timeout'
}

a_restart_behind_the_socket_refuses_no_connection() {
    wipe
    up
    systemctl stop vpo
    systemctl start vpo.socket
    systemctl is-active vpo && return 1
    answers livez 200                     # the first connection starts it
    local asking
    curl -s -m 20 -H 'Connection: close' -o /dev/null -w '%{http_code} %{errormsg}\n' "$URL/livez?[1-1000]" > "$TMP/codes" & asking=$!
    local restarts=0
    while kill -0 "$asking" 2>/dev/null; do systemctl restart vpo; restarts=$((restarts + 1)); done
    wait "$asking"
    [ "$restarts" -ge 2 ]
    is "$(sort "$TMP/codes" | uniq -c | sed 's/ *$//;s/^ *//')" '1000 200'
}

what_is_documented_works() {
    wipe
    cp /usr/local/bin/vpo "$FILES/vpo"
    runs 'A bare binary, installed'
    within 10 answers health 200
    [[ $(property WantedBy) == *multi-user.target* ]]
    probe_now
    runs 'A bare binary, installed' Socket
    answers health 200
    systemctl is-active --quiet vpo.socket
    runs 'A bare binary, installed' Upgrade
    answers health 200
    runs 'A bare binary, installed' 'Roll back'
    answers health 200
    runs 'A bare binary, installed' Uninstall
    refuses livez
    [ ! -e /usr/local/bin/vpo ] && [ ! -e "$UNITS/vpo.service" ]
    install -m755 "$FILES/vpo" /usr/local/bin/vpo
}
