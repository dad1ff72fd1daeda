# What must hold under every service manager. A suite gives: wipe (nothing left, no data either), up, down, main_pid,
# data (the library's directory out here), messages, healthy and unhealthy (the manager's own verdict).
# shellcheck disable=SC2034  # variables of one file are read in another

SHARED=(
    first_start_on_an_empty_volume_is_healthy_and_not_before
    runs_unprivileged_on_a_read_only_root
    health_follows_the_library
    a_stop_answers_the_requests_in_flight
    a_stop_when_idle_is_quick_and_clean
    a_restart_keeps_the_library
    a_lost_library_is_never_replaced_by_an_empty_one
    a_directory_it_may_not_write_is_named_with_the_fix
    a_crash_restarts_it
    a_wrong_configuration_does_not_loop
    a_failed_reload_keeps_the_old_configuration
    the_probe_follows_the_port
    fifty_stops_and_starts_leave_nothing_behind
)

fresh() { wipe; up; within 10 answers health 200; }

first_start_on_an_empty_volume_is_healthy_and_not_before() {
    wipe
    PROBE_EVERY=1
    up
    # Whatever the manager says healthy of answers 200 at that moment.
    within 15 healthy
    answers health 200
    [ -f "$(data)/library.db" ]
    says 'library.*created|created.*library'
}

runs_unprivileged_on_a_read_only_root() {
    fresh
    local pid file
    pid=$(main_pid)
    file=/proc/$pid/status
    is "$(awk '/^Uid:/ { print $2, $3, $4 }' "$file")" "$UIDS" 'user ids'
    is "$(awk '/^Gid:/ { print $2, $3, $4 }' "$file")" "${GIDS:-$UIDS}" 'group ids'
    [ "$(awk '/^Cap(Inh|Prm|Eff|Bnd|Amb):/ { print $2 }' "$file" | sort -u)" = 0000000000000000 ]
    grep -qE '^NoNewPrivs:\s+1' "$file"
    grep -qE '^Seccomp:\s+2' "$file"
    awk '$5 == "/" { print $6 }' "/proc/$pid/mountinfo" | tail -1 | grep -qE '(^|,)ro(,|$)'
    [ "$(stat -c %u "$(data)/library.db")" = "${UIDS%% *}" ]
}

health_follows_the_library() {
    wipe
    PROBE_EVERY=1
    up
    within 15 healthy
    mv "$(data)/library.db" "$(data)/library.away"
    within 5 answers health 503
    within 10 unhealthy
    answers livez 200
    mv "$(data)/library.away" "$(data)/library.db"
    within 5 answers health 200
    within 10 healthy
}

# With the daemon stopped in its tracks the kernel still completes connections: they are in flight when the stop comes.
freeze_with_requests() {
    local pid=$1 count=$2 i
    kill -STOP "$pid"
    within 5 eval "[ \"\$(state_of $pid)\" = T ]"
    for i in $(seq "$count"); do
        curl -s -m 30 -o /dev/null -w '%{http_code}\n' "$URL/livez" >> "$TMP/codes" &
    done
    within 10 eval "[ \$(nsenter -t $pid -n ss -Htn state established 'sport = :8321' | wc -l) -ge $count ]"
}

# SIGTERM is number 15, bit 14 of the masks.
stop_signal_came() {
    local mask
    [ "$(state_of "$1")" = T ] || return 0
    while read -r mask; do
        [ $((16#$mask >> 14 & 1)) -eq 1 ] && return 0
    done < <(awk '/^(SigPnd|ShdPnd):/ { print $2 }' "/proc/$1/status")
    return 1
}

a_stop_answers_the_requests_in_flight() {
    fresh
    local pid stopping
    pid=$(main_pid)
    freeze_with_requests "$pid" 20
    at_most 10 down & stopping=$!
    within 10 stop_signal_came "$pid"
    kill -CONT "$pid" 2>/dev/null || true
    wait "$stopping"
    wait
    is "$(sort "$TMP/codes" | uniq -c | awk '{ print $1, $2 }')" '20 200' 'answers'
    ended_well
}

a_stop_when_idle_is_quick_and_clean() {
    fresh
    at_most 5 down
    ended_well
    refuses livez
}

a_restart_keeps_the_library() {
    fresh
    local before
    before=$(stat -c %i "$(data)/library.db")
    down
    mark
    up
    within 10 answers health 200
    is "$(stat -c %i "$(data)/library.db")" "$before" 'the library.db that was there'
    ! says 'library.*created|created.*library'
}

a_lost_library_is_never_replaced_by_an_empty_one() {
    fresh
    down
    mv "$(data)/library.db" "$(data)/library.away"
    mark
    up || true
    within 10 says 'restore'
    [ ! -e "$(data)/library.db" ]
    refuses health
    mv "$(data)/library.away" "$(data)/library.db"
    comes_back
    within 15 answers health 200
}

a_directory_it_may_not_write_is_named_with_the_fix() {
    wipe
    DATA=/srv/foreign
    rm -rf "$DATA"
    install -d -o root -g root -m 755 "$DATA"
    mark
    up || true
    within 10 advises "$WRITE_FIX"
    [ -z "$(ls -A "$DATA")" ]
}

a_crash_restarts_it() {
    fresh
    local pid
    pid=$(main_pid)
    break_text "$pid"
    within 15 another_pid "$pid"
    within 15 answers health 200
}

a_wrong_configuration_does_not_loop() {
    wipe
    ENV=(VPO_SERVER_PORT=banana)
    mark
    up || true
    within 15 given_up
    says 'VPO_SERVER_PORT'
    is "$(exit_code)" 78 'the exit code'
}

a_failed_reload_keeps_the_old_configuration() {
    wipe
    CONFIG=/srv/vpo-config
    mkdir -p "$CONFIG"
    printf '[logging]\nlevel = "info"\n' > "$CONFIG/config.toml"
    chmod -R a+rX "$CONFIG"
    up
    within 10 answers health 200
    local pid
    pid=$(main_pid)
    mark
    printf '[logging]\nlevel = "loud"\n' > "$CONFIG/config.toml"
    reload
    within 5 says 'reload failed, nothing was changed.*config\.toml'
    answers health 200
    mark
    printf '[logging]\nlevel = "debug"\n' > "$CONFIG/config.toml"
    reload
    within 5 says 'reloaded.*logging\.level|logging\.level.*reloaded'
    answers health 200
    is "$(main_pid)" "$pid" 'the same process'
}

the_probe_follows_the_port() {
    wipe
    ARGS=(serve --port 9000)
    PROBE_EVERY=1
    up
    within 15 healthy
    probe_now
    refuses livez
    [ -n "$(nsenter -t "$(main_pid)" -n ss -Hltn 'sport = :9000')" ]
}

fifty_stops_and_starts_leave_nothing_behind() {
    fresh
    local before
    before=$(find "$(data)" -printf '%P\n' | grep -vE -- '-(wal|shm)$' | sort)
    down
    local locks files
    locks=$(wc -l < /proc/locks) files=$(leftovers)
    for _ in $(seq 50); do
        up
        within 10 answers health 200
        down
    done
    ended_well
    is "$(find "$(data)" -printf '%P\n' | sort)" "$before" 'the files beside the library'
    is "$(wc -l < /proc/locks)" "$locks" 'locks'
    is "$(leftovers)" "$files" 'what the manager keeps'
    is "$(ss -Hltn 'sport = :8321')" '' 'listeners'
}

# As docs/operations.md says it, with the daemon at work. The library's directory is BESIDE where `vpo_there` runs.
a_backup_taken_online_restores() {
    fresh
    local library
    library=$(data)/library.db
    within 20 eval "[ \"\$(sqlite3 $library 'SELECT count(*) FROM files')\" = 1 ]"
    vpo_there backup "$BESIDE/backup.db"
    is "$(sqlite3 "$(data)/backup.db" 'PRAGMA integrity_check; SELECT count(*) FROM files' | tr '\n' ' ')" 'ok 1 ' 'the backup'
    rm "$library"
    within 5 answers health 503
    vpo_there restore "$BESIDE/backup.db"
    within 5 answers health 200
    is "$(stat -c %u:%g "$library")" "$(stat -c %u:%g "$library.lock")" 'the owner'
    # Over the library that is in use, and without the daemon.
    vpo_there restore "$BESIDE/backup.db"
    down
    vpo restore --database "$library" "$(data)/backup.db"
    is "$(stat -c %u:%g "$library")" "$(stat -c %u:%g "$library.lock")" 'the owner'
    up
    within 10 answers health 200
    is "$(sqlite3 "$library" 'SELECT count(*) FROM files')" 1 'the files it knows'
}
