{{/* What the schema cannot say: each refusal is a sentence that names the value and what to do. */}}
{{- define "tollbell.checks" -}}
{{- include "tollbell.checkReplicas" . -}}
{{- include "tollbell.checkGrace" . -}}
{{- include "tollbell.checkSecrets" . -}}
{{- end -}}

{{- define "tollbell.checkReplicas" -}}
{{- $scaling := .Values.autoscaling -}}
{{- if not (include "tollbell.postgres" .) -}}
{{- $instead := "for several replicas set config.store.url to a PostgreSQL database (postgres://user@host/database)" -}}
{{- if $scaling.enabled -}}
{{- fail (printf "autoscaling.enabled: SQLite has one writer, so there is one pod at most; %s" $instead) -}}
{{- else if gt (int .Values.replicaCount) 1 -}}
{{- fail (printf "replicaCount (%d): SQLite has one writer, so there is one pod at most; %s" (int .Values.replicaCount) $instead) -}}
{{- end -}}
{{- else if $scaling.enabled -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas (%d) is above autoscaling.maxReplicas (%d)" (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
{{- else if not (dig "requests" "cpu" "" (.Values.resources | default dict)) -}}
{{- fail "autoscaling.enabled: targetCPUUtilizationPercentage is a share of resources.requests.cpu, which is not set" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A duration such as 25s, 500ms or 1m30s, in milliseconds. */}}
{{- define "tollbell.milliseconds" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "w" 604800000 -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(ms|[smhdw])" . -1 -}}
{{- $sum = add $sum (mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[a-z]+$" .))) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{- define "tollbell.checkGrace" -}}
{{- $timeout := .Values.config.server.shutdown_timeout -}}
{{- $grace := int64 .Values.terminationGracePeriodSeconds -}}
{{- $before := include "tollbell.postgres" . | empty | ternary "0" (include "tollbell.preStopSeconds" .) -}}
{{- if le (mul (sub $grace (int64 $before)) 1000) (include "tollbell.milliseconds" $timeout | int64) -}}
{{- $sum := $before | eq "0" | ternary "" (printf " and the %s s before it" $before) -}}
{{- fail (printf "terminationGracePeriodSeconds (%d) must be above config.server.shutdown_timeout (%s)%s" $grace $timeout $sum) -}}
{{- end -}}
{{- end -}}

{{- define "tollbell.checkSecrets" -}}
{{- $token := "([a-z_-]*[_-])?(token|api[_-]?key)" -}}
{{- $receiver := printf "api_url|password|secret|routing_key|authorization|%s" $token -}}
{{- with .Values.config -}}
{{- include "tollbell.refuseSecrets" (dict "path" "config.receivers" "value" .receivers "keys" $receiver) -}}
{{- include "tollbell.refuseSecrets" (dict "path" "config.accounts" "value" .accounts "keys" $token) -}}
{{- include "tollbell.refuseSecrets" (dict "path" "config.heartbeats" "value" .heartbeats "keys" "url") -}}
{{- include "tollbell.refuseSecrets" (dict "path" "config.server" "value" .server "keys" $token) -}}
{{- include "tollbell.refuseSecrets" (dict "path" "config.store" "value" .store "keys" "password") -}}
{{- /* As the binary reads a URL: up to the first @ stand the user and, after a colon, the password. */ -}}
{{- if regexMatch "^postgres(ql)?://[^@]*:[^@]+@|[?&]password=[^&]" (regexReplaceAll "\\$\\{[^}]*\\}" .store.url "") -}}
{{- fail "config.store.url holds a password in plain sight: leave it out and use config.store.password_file, or write ${ENV}" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Refuses secrets written into .value, which would end up in a ConfigMap. Takes path, value and keys, a pattern of the
keys that hold a secret there; names the path, never shows the value.
*/}}
{{- define "tollbell.refuseSecrets" -}}
{{- $path := .path -}}
{{- $keys := .keys -}}
{{- if kindIs "map" .value -}}
{{- range $key, $value := .value -}}
{{- $secret := regexMatch (printf "(?i)^(%s)$" $keys) $key -}}
{{- if and $secret (kindIs "string" $value) (not (contains "${" $value)) -}}
{{- fail (printf "%s.%s holds a secret in plain sight: write ${ENV}, or use its *_file twin" $path $key) -}}
{{- end -}}
{{- include "tollbell.refuseSecrets" (dict "path" (printf "%s.%s" $path $key) "value" $value "keys" $keys) -}}
{{- end -}}
{{- else if kindIs "slice" .value -}}
{{- range $index, $value := .value -}}
{{- include "tollbell.refuseSecrets" (dict "path" (printf "%s[%d]" $path $index) "value" $value "keys" $keys) -}}
{{- end -}}
{{- end -}}
{{- end -}}
