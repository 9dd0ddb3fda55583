{{- define "ritorno.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "ritorno.labels" -}}
app.kubernetes.io/name: ritorno
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What a worker is told, and `topics create` as well. */}}
{{- define "ritorno.environment" -}}
{{- include "ritorno.settings" . }}
{{- range .Values.secrets }}
- name: RITORNO_{{ upper . }}_FILE
  value: /run/secrets/ritorno/{{ . }}
{{- end }}
{{- end }}

{{- define "ritorno.settings" -}}
{{- range $name, $value := .Values.settings }}
- name: RITORNO_{{ upper $name }}
  {{- /* A number of YAML is a float here, and 10000000 would be 1e+07. */}}
  value: {{ if kindIs "float64" $value }}{{ if eq $value (floor $value) }}{{ printf "%.0f" $value | quote }}{{ else }}{{ $value | toString | quote }}{{ end }}{{ else }}{{ $value | toString | quote }}{{ end }}
{{- end }}
{{- end }}

{{/* Of a worker or alone. */}}
{{- define "ritorno.ingestPort" -}}
- name: RITORNO_INGEST_BIND
  value: 0.0.0.0:8090
- name: RITORNO_INGEST_KEYS
  value: /run/secrets/ritorno-ingest/ingest-keys.yaml
{{- end }}

{{- define "ritorno.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
# Else each mount makes all that is kept writable for the group.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "ritorno.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: ["ALL"]
{{- end }}

{{- define "ritorno.secretVolume" -}}
name: secrets
secret:
  secretName: {{ .Values.secret }}
  defaultMode: 0440
{{- end }}

{{- define "ritorno.ingestKeysVolume" -}}
name: ingest-keys
secret:
  secretName: {{ .Values.ingest.keysSecret }}
  defaultMode: 0440
{{- end }}
