# The files that ship, held against the programs that read them.
# shellcheck disable=SC2034  # variables of one file are read in another
CASES=(systemd_analyze_verify_is_silent systemd_analyze_security_is_at_most_1_5 quadlet_takes_the_units
    quadlet_takes_the_rootless_units compose_files_are_valid kubernetes_manifest_has_its_probes)

wipe() { :; }

systemd_analyze_verify_is_silent() {
    systemd-sysusers "$FILES/systemd/vpo.sysusers"
    cp "$FILES"/systemd/vpo.service "$FILES"/systemd/vpo.socket "$TMP"
    is "$(systemd-analyze verify "$TMP/vpo.service" "$TMP/vpo.socket" 2>&1)" ''
}

systemd_analyze_security_is_at_most_1_5() {
    systemd-analyze security --offline=true --no-pager --threshold=15 "$FILES/systemd/vpo.service" | tail -1
}

quadlet() { # quadlet DIR [--user]: the units it generates; what it says goes to a file
    QUADLET_UNIT_DIRS=$1 /usr/lib/systemd/system-generators/podman-system-generator "${@:2}" --dryrun 2> "$TMP/said"
    ! grep -v 'Loading source unit file' "$TMP/said"
}

quadlet_takes_the_units() {
    mkdir "$TMP/units"
    cp "$FILES"/systemd/vpo.container "$FILES"/systemd/vpo.volume "$TMP/units"
    quadlet "$TMP/units" > "$TMP/generated"
    grep -q 'sdnotify=container' "$TMP/generated"
    grep -q 'health-on-failure kill' "$TMP/generated"
    grep -q 'volume create --ignore vpo' "$TMP/generated"
}

quadlet_takes_the_rootless_units() {
    mkdir "$TMP/units"
    cp "$FILES"/systemd/user/vpo.container "$FILES"/systemd/vpo.volume "$TMP/units"
    quadlet "$TMP/units" --user > "$TMP/generated"
    grep -q 'userns keep-id:uid=65532,gid=65532' "$TMP/generated"
}

compose_files_are_valid() {
    docker-compose -f "$FILES/compose.yaml" config --format json > "$TMP/compose"
    jq -e '.services.vpo | .read_only and .cap_drop == ["ALL"] and .security_opt == ["no-new-privileges:true"]
        and .stop_grace_period == "40s" and .ports[0].host_ip == "127.0.0.1"
        and .healthcheck.test == ["CMD", "/vpo", "healthcheck"]
        and (.volumes | map({(.target): .read_only}) | add | ."/videos")' "$TMP/compose"
    docker-compose -f "$FILES/compose.yaml" --profile scan config --format json |
        jq -e '.services.scan.depends_on.vpo.condition == "service_healthy"'
    podman-compose -f "$FILES/compose.yaml" config > /dev/null
}

kubernetes_manifest_has_its_probes() {
    python3 - "$FILES/systemd/kube.yaml" <<'PY'
import sys, yaml
claim, pod = yaml.safe_load_all(open(sys.argv[1]))
[vpo] = pod["spec"]["containers"]
for probe in "startupProbe", "livenessProbe", "readinessProbe":
    assert vpo[probe]["exec"]["command"][:2] == ["/vpo", "healthcheck"], probe
assert pod["spec"]["terminationGracePeriodSeconds"] > 30
PY
}
