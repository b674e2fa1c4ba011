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

{{/* "true" where the store is PostgreSQL, which several replicas share; nothing where it is SQLite. */}}
{{- define "tollbell.postgres" -}}
{{- if regexMatch "^postgres(ql)?://" .Values.config.store.url -}}true{{- end -}}
{{- end -}}

{{/* The kind of object that makes the pods, as kubectl takes it. */}}
{{- define "tollbell.workload" -}}
{{- include "tollbell.postgres" . | empty | ternary "statefulset" "deployment" -}}
{{- end -}}

{{/* "true" where there may be more than one replica. */}}
{{- define "tollbell.several" -}}
{{- if gt (ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled | int) 1 -}}true{{- end -}}
{{- end -}}

{{/* How long a replica that is to end still takes requests, where others can take over. */}}
{{- define "tollbell.preStopSeconds" -}}5{{- end -}}

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
