#!/usr/bin/env bash
# Checks helm/tollbell: lint, rendering with the values of ci/, the schemas of Kubernetes, values that must be refused, and
# what the rendered objects promise. HELM names the helm binary; PYTHON a Python that has kubernetes-validate; TOLLBELL, when
# set, the tollbell binary, which then checks the rendered config and rules. Exit code 0: all holds; 1: something does not;
# 2: no helm, or no such Python.
set -euo pipefail
cd "$(dirname "$0")/.."

HELM=${HELM:-.tools/bin/helm}
PYTHON=${PYTHON:-.tools/venv/bin/python}
CHART=helm/tollbell
command -v "$HELM" >/dev/null || { echo "no helm at $HELM: set HELM" >&2; exit 2; }
"$PYTHON" -c 'import kubernetes_validate' || { echo "$PYTHON has no kubernetes-validate: set PYTHON" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() { echo "FAIL $*" >&2; failures=$((failures + 1)); }

# has FILE REGEX WHAT, lacks FILE REGEX WHAT: some line of FILE matches, no line does.
has() { grep -Eq -- "$2" "$1" || fail "$(basename "$1"): not $3"; }
lacks() { ! grep -En -- "$2" "$1" >&2 || fail "$(basename "$1"): $3"; }
# same ACTUAL EXPECTED WHAT
same() { [ "$1" = "$2" ] || fail "$3: expected '$2', got '$1'"; }

# check_pod FILE SCHEME: what holds of every pod.
check_pod() {
    local file=$1 scheme=$2 probe expected='' probes
    has "$file" '^ +runAsNonRoot: true$' 'non-root'
    lacks "$file" 'runAs(User|Group): 0$' 'runs as root'
    has "$file" '^ +readOnlyRootFilesystem: true$' 'a read-only root'
    has "$file" '^ +allowPrivilegeEscalation: false$' 'without privilege escalation'
    has "$file" '^ +drop: \[ALL\]$' 'without capabilities'
    has "$file" '^ +type: RuntimeDefault$' 'under the seccomp profile of the runtime'
    has "$file" '^ +automountServiceAccountToken: false$' 'without the service account token'
    for probe in startupProbe:path:/livez livenessProbe:path:/livez readinessProbe:path:/readyz; do
        expected+="$probe:port:private:scheme:$scheme;"
    done
    probes=$(awk '/^ +[a-z]+Probe:$/ {name = $1; path = port = ""; scheme = "HTTP"}
        name && $1 == "path:" {path = $2} name && $1 == "port:" {port = $2} name && $1 == "scheme:" {scheme = $2}
        name && /Seconds:|Threshold:/ {printf "%spath:%s:port:%s:scheme:%s;", name, path, port, scheme; name = ""}' "$file")
    same "$probes" "$expected" 'probes'
    same "$(grep -A1 -E 'name: private$' "$file" | grep -oE '[0-9]+')" 9464 'the private port'
}

# With SQLite: one pod on its volume.
check_statefulset() {
    local file=$1
    has "$file" '^kind: StatefulSet$' 'a StatefulSet'
    has "$file" '^  replicas: [01]$' 'at most one replica'
    has "$file" '^ +mountPath: /var/lib/tollbell$' 'with the data volume mounted'
    lacks "$file" 'preStop' 'waits for replicas that are not there'
}

# check_deployment FILE REPLICAS: with PostgreSQL, replicas that hold nothing.
check_deployment() {
    local file=$1
    has "$file" '^kind: Deployment$' 'a Deployment'
    same "$(grep -E '^  replicas:' "$file")" "$2" 'replicas'
    has "$file" '^      maxUnavailable: 0$' 'replaced only by replicas that are ready'
    lacks "$file" 'persistentVolumeClaim|volumeClaimTemplates|/var/lib/tollbell' 'has a volume for data'
}

# check_schemas NAME VERSION [HELM ARGUMENT...]: all objects, as rendered for that Kubernetes, fit its schemas. Those of others'
# custom resources are in no package that the tests can install.
check_schemas() {
    local name=$1 version=$2 out=$work/$1-$2.yaml
    shift 2
    "$HELM" template bell "$CHART" --kube-version "$version.0" "$@" >"$out" || fail "$name: template for $version"
    "$PYTHON" -m kubernetes_validate --strict --quiet -k "$version" "$out" >"$out.said" 2>&1 || fail "$name: $version"
    # What it says of these three is no error; of anything else it is.
    if grep -v 'find schema for kind \(HTTPRoute\|PrometheusRule\|ServiceMonitor\) ' "$out.said" >&2; then fail "$name: $version"; fi
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

# check_by_binary FILE [OPTION]: the binary must take what the chart writes. Paths inside the pod are moved to a directory here.
check_by_binary() {
    local file=$1 etc=$work/etc rule
    rm -rf "$etc" && mkdir -p "$etc/rules"
    key "$file" tollbell.yaml | sed -e "s#/etc/tollbell#$etc#; s#sqlite:/var/lib/tollbell#sqlite:$etc#; s#/run/secrets/[a-z]*#$etc/secrets#" >"$etc/tollbell.yaml"
    for rule in $(grep -oE '^  [A-Za-z0-9._-]+\.yaml: \|' "$file" | tr -d ' :|' | grep -vx tollbell.yaml); do
        key "$file" "$rule" >"$etc/rules/$rule"
    done
    if [ "${2:-}" != --no-secrets ]; then
        mkdir "$etc/secrets"
        for secret in slack-url hook-secret smtp api-key heartbeat; do echo https://sink.example.com/x >"$etc/secrets/$secret"; done
    fi
    # Public keys of RFC 8032, section 7.1, tests 1 to 3.
    TELNYX_PUBLIC_KEY=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= \
        TELNYX_PUBLIC_KEY_NEXT=PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw= \
        RESELLER_PUBLIC_KEY=/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU= \
        HOOK_TOKEN=token RESELLER_API_KEY=key HEARTBEAT_URL=https://sink.example.com/x \
        "$TOLLBELL" check "${@:2}" --config "$etc/tollbell.yaml" >"$work/check.out" 2>&1 || fail "$(basename "$file") ${*:2}: $(cat "$work/check.out")"
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

# show NAME VALUES TEMPLATE [HELM ARGUMENT...]: the objects of one template, in $work; an empty file where the values switch it off.
show() {
    local out=$work/$1-$3
    "$HELM" template bell "$CHART" -f "$CHART/ci/$2-values.yaml" -s "templates/$3" "${@:4}" >"$out" 2>"$out.err" \
        || grep -q 'could not find template' "$out.err" || fail "$1: $3: $(cat "$out.err")"
}

# kinds FILE: how many objects of each kind.
kinds() { grep -hE '^kind: ' "$1" | sort | uniq -c | awk '{print $3 "=" $1}' | paste -sd' '; }

for values in default full postgres; do
    "$HELM" lint --strict --quiet "$CHART" -f "$CHART/ci/$values-values.yaml" || fail "$values: lint"
    "$HELM" template bell "$CHART" -f "$CHART/ci/$values-values.yaml" >"$work/$values.yaml" || fail "$values: template"
    "$HELM" install --dry-run=client bell "$CHART" -f "$CHART/ci/$values-values.yaml" >"$work/$values.txt" || fail "$values: notes"
    has "$work/$values.txt" 'webhooks/telnyx' 'naming the webhook path'
    for template in statefulset deployment configmap service ingress servicemonitor poddisruptionbudget; do
        show "$values" "$values" "$template.yaml"
    done
    check_config "$work/$values-configmap.yaml"
    check_public "$work/$values-service.yaml" "$work/$values-ingress.yaml"
    # The oldest Kubernetes that Chart.yaml takes, and the newest that the package has schemas of.
    for version in 1.25 1.37; do check_schemas "$values" "$version" -f "$CHART/ci/$values-values.yaml"; done
    # As checkBeforeUpgrade does, without a secret.
    if [ -n "${TOLLBELL:-}" ]; then check_by_binary "$work/$values-configmap.yaml" --no-secrets; fi
    echo "done $values"
done
for values in default full; do
    check_pod "$work/$values-statefulset.yaml" HTTP
    check_statefulset "$work/$values-statefulset.yaml"
    [ ! -s "$work/$values-deployment.yaml" ] || fail "$values: a Deployment"
    if [ -n "${TOLLBELL:-}" ]; then check_by_binary "$work/$values-configmap.yaml"; fi
done
[ -s "$work/full-ingress.yaml" ] || fail 'full: no Ingress'
[ ! -s "$work/default-ingress.yaml" ] || fail 'default: an Ingress'
same "$(kinds "$work/full.yaml")" \
    'ConfigMap=4 HTTPRoute=1 Ingress=1 Job=1 LimitRange=1 NetworkPolicy=1 Pod=1 PodDisruptionBudget=1 PrometheusRule=1 Secret=1 Service=2 ServiceMonitor=1 StatefulSet=1' 'kinds of full'
has "$work/full.txt" 'rollout status statefulset/bell$' 'naming what to wait for'
has "$work/default.txt" 'http://bell-tollbell-private\.default\.svc:9464/metrics' 'naming where to scrape'
has "$work/full-poddisruptionbudget.yaml" 'maxUnavailable: 0$' 'keeping the only pod'
[ ! -s "$work/default-poddisruptionbudget.yaml" ] || fail 'default: a PodDisruptionBudget'
lacks "$work/full-servicemonitor.yaml" 'scheme|tlsConfig' 'speaks TLS to a listener that does not'

# Several replicas on PostgreSQL, with TLS on the private listener.
same "$(kinds "$work/postgres.yaml")" \
    'ConfigMap=3 Deployment=1 Job=1 NetworkPolicy=1 Pod=1 PodDisruptionBudget=1 Service=2 ServiceAccount=1 ServiceMonitor=1' 'kinds of postgres'
[ ! -s "$work/postgres-statefulset.yaml" ] || fail 'postgres: a StatefulSet'
check_pod "$work/postgres-deployment.yaml" HTTPS
check_deployment "$work/postgres-deployment.yaml" '  replicas: 3'
has "$work/postgres-poddisruptionbudget.yaml" 'maxUnavailable: 1$' 'letting one replica go'
has "$work/postgres-servicemonitor.yaml" '^      scheme: https$' 'scraped by HTTPS'
has "$work/postgres-servicemonitor.yaml" '^ +serverName: bell-tollbell-private\.default\.svc$' 'with the name in the certificate'
lacks "$work/postgres-servicemonitor.yaml" 'insecureSkipVerify' 'does not verify the certificate'
has "$work/postgres.txt" 'rollout status deployment/bell-tollbell$' 'naming what to wait for'
has "$work/postgres-1.37.yaml" '^ +preStop:$' 'waiting until the Services have noticed'
lacks "$work/postgres-1.25.yaml" 'preStop' 'has what this Kubernetes does not know'

for template in deployment horizontalpodautoscaler poddisruptionbudget; do
    show scaled postgres "$template.yaml" --set autoscaling.enabled=true,replicaCount=1
    show single postgres "$template.yaml" --set replicaCount=1
done
check_schemas scaled 1.37 -f "$CHART/ci/postgres-values.yaml" --set autoscaling.enabled=true
check_deployment "$work/scaled-deployment.yaml" ''
has "$work/scaled-horizontalpodautoscaler.yaml" '^  minReplicas: 2$' 'scaled from 2'
has "$work/scaled-horizontalpodautoscaler.yaml" '^  maxReplicas: 4$' 'scaled to 4'
has "$work/scaled-horizontalpodautoscaler.yaml" '^          averageUtilization: 70$' 'scaled by the CPU'
has "$work/scaled-poddisruptionbudget.yaml" 'maxUnavailable: 1$' 'letting one replica go'
check_deployment "$work/single-deployment.yaml" '  replicas: 1'
[ ! -s "$work/single-poddisruptionbudget.yaml" ] || fail 'single: a PodDisruptionBudget'
[ ! -s "$work/single-horizontalpodautoscaler.yaml" ] || fail 'single: a HorizontalPodAutoscaler'
show none postgres deployment.yaml --set replicaCount=0
check_deployment "$work/none-deployment.yaml" '  replicas: 0'
show unverified postgres servicemonitor.yaml --set serviceMonitor.caSecret=null
has "$work/unverified-servicemonitor.yaml" '^        insecureSkipVerify: true$' 'scraped without a known authority'
show variable postgres configmap.yaml --set 'config.store.url=postgresql://tollbell:${DB_PASSWORD}@db.example.com/tollbell'
has "$work/variable-configmap.yaml" 'url: postgresql://tollbell:\$\{DB_PASSWORD\}@' 'taking a variable for the password'

# Each object by itself, with the labels that all have; a claim of one's own takes the place of the made one.
"$HELM" template bell "$CHART" -f "$CHART/ci/full-values.yaml" --set persistence.existingClaim=mine -s templates/statefulset.yaml >"$work/claim.yaml"
has "$work/claim.yaml" '^ +claimName: mine$' 'using the claim'
lacks "$work/claim.yaml" 'volumeClaimTemplates' 'makes another claim'
same "$(grep -c 'example.com/owner: voice' "$work/full.yaml")" "$(($(grep -c 'helm.sh/chart: ' "$work/full.yaml") + 1))" 'common labels'
lacks "$work/full-configmap.yaml" '^  fax.yaml: ' 'has a starter file that is off'
has "$work/full-configmap.yaml" '^  fraud.yaml: ' 'with the starter rules'
# What is shipped in the chart is what is shipped elsewhere.
diff -r config/rules "$CHART/files/rules" --exclude tests >&2 || fail 'files/rules is not config/rules: cp config/rules/*.yaml helm/tollbell/files/rules/'
for file in prometheus/tollbell-alerts.yaml grafana/tollbell.json; do
    cmp -s "deploy/$file" "$CHART/files/$(basename "$file")" || fail "files/$(basename "$file") is not deploy/$file: copy it"
done

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
