{{- define "tollbell.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters: a StatefulSet's pods carry its name and more in a label of at most 63. */}}
{{- define "tollbell.fullname" -}}
{{- $name := include "tollbell.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tollbell.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tollbell.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tollbell.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "tollbell.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* All rule files by name: those of the starter pack that are switched on, then yours, which replace those of the same name. */}}
{{- define "tollbell.rules" -}}
{{- $texts := dict -}}
{{- range $name, $on := .Values.starterRules -}}
{{- if $on -}}
{{- $text := $.Files.Get (printf "files/rules/%s.yaml" $name) | default ($.Files.Get (printf "files/rules/%s/rules.yaml" $name)) -}}
{{- if not $text -}}{{- fail (printf "starterRules.%s: the starter pack has no such file" $name) -}}{{- end -}}
{{- $_ := set $texts (printf "%s.yaml" $name) $text -}}
{{- end -}}
{{- end -}}
{{- range $name, $rules := .Values.rules -}}
{{- if kindIs "invalid" $rules -}}
{{- $_ := unset $texts $name -}}
{{- else -}}
{{- $_ := set $texts $name (kindIs "string" $rules | ternary $rules (printf "%s\n" (toYaml $rules))) -}}
{{- end -}}
{{- end -}}
{{- toYaml $texts -}}
{{- end -}}

{{- define "tollbell.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tollbell.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tollbell.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) -}}
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
{{- if le (mul $grace 1000) (include "tollbell.milliseconds" $timeout | int64) -}}
{{- fail (printf "terminationGracePeriodSeconds (%d) must be above config.server.shutdown_timeout (%s)" $grace $timeout) -}}
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
