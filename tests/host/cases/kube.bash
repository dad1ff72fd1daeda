# systemd/kube.yaml, run by `podman kube play`.
# shellcheck disable=SC2034  # variables of one file are read in another
# shellcheck source=container.bash
. /root/cases/container.bash
NAME=vpo-vpo VOLUME=vpo LIMIT=
CASES=("${SHARED[@]}" every_line_of_the_log_is_json a_wedged_daemon_is_restarted_by_the_liveness_probe
    what_is_documented_works)

wipe() { clear_engine; }

up() {
    if podman pod exists vpo; then podman pod start vpo; return; fi
    local edit=() variable name
    for variable in "${ENV[@]}"; do
        name=${variable%%=*}
        edit+=(-e "/^      env: &env/a\\        - {name: $name, value: \"${variable#*=}\"}")
    done
    edit+=(-e "s|args: \[serve\]|args: [$(IFS=,; echo "${ARGS[*]}")]|" -e "s|periodSeconds: 30|periodSeconds: $PROBE_EVERY|")
    edit+=(-e "s|failureThreshold: 3$|failureThreshold: 1|")
    [ -z "${STOP_LIMIT:-}" ] || edit+=(-e "s|terminationGracePeriodSeconds: 40|terminationGracePeriodSeconds: $STOP_LIMIT|")
    if [ -n "$DATA" ]; then edit+=(-e "s|persistentVolumeClaim:|hostPath: {path: $DATA}|" -e '/claimName: vpo/d'); fi
    if [ -n "$CONFIG" ]; then
        edit+=(-e 's|^      volumeMounts:|&\n        - {name: config, mountPath: /etc/vpo, readOnly: true}|')
        edit+=(-e "s|^  volumes:|&\n    - {name: config, hostPath: {path: $CONFIG}}|")
    fi
    sed "${edit[@]}" "$FILES/systemd/kube.yaml" > "$FILES/case.yaml"
    podman kube play "$FILES/case.yaml"
}

# The container first: `podman pod stop` ends the pod's infra container at the same time, and with it the network under
# the answers that VPO is still giving.
down() { podman stop "$NAME" && podman pod stop vpo; }
healthy() { [ "$(health_status)" = healthy ] && podman exec "$NAME" /vpo healthcheck --route readyz; }
unhealthy() { ! podman exec "$NAME" /vpo healthcheck --route readyz; }    # Podman runs no readiness probe

a_wrong_configuration_does_not_loop() {
    wipe
    ENV=(VPO_SERVER_PORT=banana)
    mark
    if up; then echo 'the pod started' >&2; return 1; fi
    since -o cat CONTAINER_NAME=vpo-check | grep VPO_SERVER_PORT
    [ "$(podman inspect --format '{{.State.Status}} {{.RestartCount}}' "$NAME")" = 'created 0' ]
}

a_wedged_daemon_is_restarted_by_the_liveness_probe() {
    wipe
    PROBE_EVERY=1
    STOP_LIMIT=2       # Podman asks first, and kills what does not stop in time
    up
    within 15 healthy
    local pid
    pid=$(main_pid)
    kill -STOP "$pid"
    within 30 another_pid "$pid"
    within 15 answers health 200
}

what_is_documented_works() {
    wipe
    runs 'podman kube play'
    within 10 answers health 200
    runs 'podman kube play' Stop
    refuses livez
    runs 'podman kube play' Upgrade
    within 10 answers health 200
    runs 'podman kube play' Uninstall
    refuses livez
    podman volume exists vpo
}
