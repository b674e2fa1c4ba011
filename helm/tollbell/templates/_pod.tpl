{{/* The pod, whichever kind of object makes it: metadata and spec. */}}
{{- define "tollbell.pod" -}}
{{- $postgres := include "tollbell.postgres" . -}}
{{- $scheme := ternary "HTTPS" "" (not (empty .Values.config.server.private_tls_config)) -}}
metadata:
  annotations:
    # Rules are loaded by the running pod; those of a file that is new or gone need another mount.
    checksum/config: {{ list .Values.config (keys (include "tollbell.rules" . | fromYaml) | sortAlpha) | toJson | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- with .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- include "tollbell.selectorLabels" . | nindent 4 }}
spec:
  serviceAccountName: {{ include "tollbell.serviceAccountName" . }}
  automountServiceAccountToken: false
  # A Service named tollbell would otherwise fill the environment with TOLLBELL_… variables.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
    {{- with .Values.podSecurityContext }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: tollbell
      image: {{ include "tollbell.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - serve
        - --config
        - /etc/tollbell/tollbell.yaml
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      env:
        # For commands in the pod: kubectl exec … -- tollbell alerts
        - name: TOLLBELL_CONFIG
          value: /etc/tollbell/tollbell.yaml
        {{- range $variable, $key := .Values.secrets.env }}
        - name: {{ $variable }}
          valueFrom:
            secretKeyRef:
              name: {{ $.Values.secrets.existingSecret }}
              key: {{ $key | quote }}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - name: public
          containerPort: 8080
        - name: private
          containerPort: 9464
      startupProbe:
        httpGet:
          path: /livez
          port: private
          {{- with $scheme }}
          scheme: {{ . }}
          {{- end }}
        {{- toYaml .Values.startupProbe | nindent 8 }}
      livenessProbe:
        httpGet:
          path: /livez
          port: private
          {{- with $scheme }}
          scheme: {{ . }}
          {{- end }}
        {{- toYaml .Values.livenessProbe | nindent 8 }}
      readinessProbe:
        httpGet:
          path: /readyz
          port: private
          {{- with $scheme }}
          scheme: {{ . }}
          {{- end }}
        {{- toYaml .Values.readinessProbe | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        capabilities:
          drop: [ALL]
        privileged: false
        readOnlyRootFilesystem: true
      {{- if and $postgres (semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version) }}
      lifecycle:
        preStop:
          # Until the Services have ceased to send requests here: the other replicas get them.
          sleep:
            seconds: {{ include "tollbell.preStopSeconds" . }}
      {{- end }}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- if not $postgres }}
        - name: data
          mountPath: /var/lib/tollbell
        - name: tmp
          mountPath: /tmp
        {{- end }}
        - name: config
          mountPath: /etc/tollbell
          readOnly: true
        - name: secrets
          mountPath: {{ .Values.secrets.mountPath }}
          readOnly: true
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- if not $postgres }}
    {{- with .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ . }}
    {{- end }}
    # SQLite's temporary files.
    - name: tmp
      emptyDir:
        sizeLimit: 256Mi
    {{- end }}
    # One volume: a second one could not be mounted inside a read-only ConfigMap.
    - name: config
      projected:
        defaultMode: 0444
        sources:
          - configMap:
              name: {{ include "tollbell.fullname" . }}-config
          {{- with include "tollbell.rules" . | fromYaml }}
          - configMap:
              name: {{ include "tollbell.fullname" $ }}-rules
              items:
                {{- range $name, $_ := . }}
                - key: {{ $name }}
                  path: rules/{{ $name }}
                {{- end }}
          {{- end }}
    - name: secrets
      secret:
        secretName: {{ .Values.secrets.existingSecret }}
        # The pod's fsGroup may read them, nobody else.
        defaultMode: 0440
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
