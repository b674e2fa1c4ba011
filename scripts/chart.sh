#!/usr/bin/env bash
# Checks helm/tollbell: lint, rendering with the values of ci/, values that must be refused, and what the rendered
# objects promise. HELM names the helm binary; TOLLBELL, when set, the tollbell binary, which then checks the rendered
# config and rules. Exit code 0: all holds; 1: something does not; 2: no helm.
set -euo pipefail
cd "$(dirname "$0")/.."

HELM=${HELM:-.tools/bin/helm}
CHART=helm/tollbell
command -v "$HELM" >/dev/null || { echo "no helm at $HELM: set HELM" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() { echo "FAIL $*" >&2; failures=$((failures + 1)); }

# has FILE REGEX WHAT, lacks FILE REGEX WHAT: some line of FILE matches, no line does.
has() { grep -Eq -- "$2" "$1" || fail "$(basename "$1"): not $3"; }
lacks() { ! grep -En -- "$2" "$1" >&2 || fail "$(basename "$1"): $3"; }
# same ACTUAL EXPECTED WHAT
same() { [ "$1" = "$2" ] || fail "$3: expected '$2', got '$1'"; }

check_pod() {
    local file=$1
    has "$file" '^  replicas: [01]$' 'at most one replica'
    has "$file" '^ +runAsNonRoot: true$' 'non-root'
    lacks "$file" 'runAs(User|Group): 0$' 'runs as root'
    has "$file" '^ +readOnlyRootFilesystem: true$' 'a read-only root'
    has "$file" '^ +allowPrivilegeEscalation: false$' 'without privilege escalation'
    has "$file" '^ +drop: \[ALL\]$' 'without capabilities'
    has "$file" '^ +type: RuntimeDefault$' 'under the seccomp profile of the runtime'
    has "$file" '^ +automountServiceAccountToken: false$' 'without the service account token'
    has "$file" '^ +mountPath: /var/lib/tollbell$' 'with the data volume mounted'
    local probes
    probes=$(grep -A3 -E '^ +(startup|liveness|readiness)Probe:$' "$file" | grep -E 'Probe:|path:|port:' | tr -d ' \n' || true)
    same "$probes" 'startupProbe:path:/livezport:privatelivenessProbe:path:/livezport:privatereadinessProbe:path:/readyzport:private' 'probes'
    same "$(grep -A1 -E 'name: private$' "$file" | grep -oE '[0-9]+')" 9464 'the private port'
}

check_config() {
    local file=$1
    has "$file" '^ +private_listen:.*:9464' 'listening on the private port'
    # A secret is a file's path (*_file) or ${ENV}. An account's api_url is none.
    local secrets='^ *(- )?(api_url|password|secret|authorization|[a-z_-]*token|[a-z_-]*api[_-]?key): '
    if grep -Ei "$secrets" "$file" | grep -vF -e "\${" -e 'api_url: https://telnyx.example.com/v2' >&2; then fail 'a secret in a ConfigMap'; fi
}

# key FILE KEY: the text under a key of a rendered ConfigMap.
key() { awk -v key="  $2: |" 'on && !/^    / && NF {exit} on {print substr($0, 5)} $0 == key {on = 1}' "$1"; }

# The binary must take what the chart writes. Paths inside the pod are moved to a directory here.
check_by_binary() {
    local file=$1 etc=$work/etc rule
    rm -rf "$etc" && mkdir -p "$etc/rules"
    key "$file" tollbell.yaml | sed -e "s#/etc/tollbell#$etc#; s#sqlite:/var/lib/tollbell#sqlite:$etc#; s#/run/secrets/[a-z]*#$etc#" >"$etc/tollbell.yaml"
    for rule in $(grep -oE '^  [A-Za-z0-9._-]+\.yaml: \|' "$file" | tr -d ' :|' | grep -vx tollbell.yaml); do
        key "$file" "$rule" >"$etc/rules/$rule"
    done
    for secret in slack-url hook-secret smtp api-key heartbeat; do echo https://sink.example.com/x >"$etc/$secret"; done
    # Public keys of RFC 8032, section 7.1, tests 1 to 3.
    TELNYX_PUBLIC_KEY=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= \
        TELNYX_PUBLIC_KEY_NEXT=PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw= \
        RESELLER_PUBLIC_KEY=/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU= \
        HOOK_TOKEN=token RESELLER_API_KEY=key HEARTBEAT_URL=https://sink.example.com/x \
        "$TOLLBELL" check --config "$etc/tollbell.yaml" >"$work/check.out" 2>&1 || fail "$(basename "$file"): $(cat "$work/check.out")"
}

check_public() {
    local service=$1 ingress=$2
    same "$(grep -cE '^ +- name: ' "$service")" 1 'ports of the public Service'
    has "$service" '^ +targetPort: public$' 'to the public port'
    lacks "$service" 'private|9464' 'reaches the private port'
    if [ -s "$ingress" ]; then
        same "$(grep -oE 'path: .*' "$ingress" | sort -u)" 'path: /webhooks/telnyx' 'paths of the Ingress'
        same "$(grep -cE 'host: ' "$ingress")" "$(grep -cE 'path: ' "$ingress")" 'one path for each host'
        lacks "$ingress" 'private|9464|defaultBackend' 'reaches the private port'
    fi
}

# show NAME TEMPLATE: the objects of one template, in $work; an empty file where the values switch it off.
show() {
    local out=$work/$1-$2
    "$HELM" template bell "$CHART" -f "$CHART/ci/$1-values.yaml" -s "templates/$2" >"$out" 2>"$out.err" \
        || grep -q 'could not find template' "$out.err" || fail "$1: $2: $(cat "$out.err")"
}

for values in default full; do
    "$HELM" lint --strict --quiet "$CHART" -f "$CHART/ci/$values-values.yaml" || fail "$values: lint"
    "$HELM" template bell "$CHART" -f "$CHART/ci/$values-values.yaml" >"$work/$values.yaml" || fail "$values: template"
    "$HELM" install --dry-run=client bell "$CHART" -f "$CHART/ci/$values-values.yaml" >"$work/$values.txt" || fail "$values: notes"
    has "$work/$values.txt" 'webhooks/telnyx' 'naming the webhook path'
    for template in statefulset configmap service ingress; do show "$values" "$template.yaml"; done
    check_pod "$work/$values-statefulset.yaml"
    check_config "$work/$values-configmap.yaml"
    check_public "$work/$values-service.yaml" "$work/$values-ingress.yaml"
    if [ -n "${TOLLBELL:-}" ]; then check_by_binary "$work/$values-configmap.yaml"; fi
    echo "done $values"
done
[ -s "$work/full-ingress.yaml" ] || fail 'full: no Ingress'
[ ! -s "$work/default-ingress.yaml" ] || fail 'default: an Ingress'
same "$(grep -hE '^kind: ' "$work/full.yaml" | sort | uniq -c | awk '{print $3 "=" $1}' | paste -sd' ')" \
    'ConfigMap=2 Ingress=1 NetworkPolicy=1 PodDisruptionBudget=1 Service=2 ServiceMonitor=1 StatefulSet=1' 'kinds of full'

for values in "$CHART"/ci/refused/*.yaml; do
    expected=$(sed -n '1s/^# expect: //p' "$values")
    if "$HELM" template bell "$CHART" -f "$values" >/dev/null 2>"$work/refused.err"; then
        fail "$values was taken"
    elif [ -z "$expected" ] || ! grep -Eq -- "$expected" "$work/refused.err"; then
        fail "$values was refused for another reason: $(cat "$work/refused.err")"
    elif grep -q PLANTED "$work/refused.err"; then
        fail "$values: the error shows the secret"
    else
        echo "ok   refused: $(basename "$values" .yaml)"
    fi
done

[ "$failures" -eq 0 ] || { echo "$failures failed" >&2; exit 1; }
