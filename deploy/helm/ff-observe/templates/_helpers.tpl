{{- define "ff-observe.name" -}}
{{- if contains "ff-observe" .Release.Name }}{{ .Release.Name }}{{ else }}{{ printf "%s-ff-observe" .Release.Name | trunc 63 }}{{ end }}
{{- end }}

{{- define "ff-observe.selector" -}}
app.kubernetes.io/name: ff-observe
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "ff-observe.labels" -}}
{{ include "ff-observe.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "ff-observe.metadata" -}}
name: {{ include "ff-observe.name" . }}
namespace: {{ .Release.Namespace | quote }}
labels:
  {{- include "ff-observe.labels" . | nindent 2 }}
{{- end }}

{{- /* The bridge's settings besides FlowFuse's file; `settings` overrides them. */ -}}
{{- define "ff-observe.overlay" -}}
{{- $name := include "ff-observe.name" . -}}
{{- $inNamespace := printf "%s.%s" $name .Release.Namespace -}}
{{- $hosts := concat (list $name $inNamespace (printf "%s.svc" $inNamespace) (printf "%s.svc.cluster.local" $inNamespace)) .Values.allowedHosts -}}
{{- $prometheus := dict "bridge_enabled" true "host" "0.0.0.0" "port" 10464 "allow_public" true "allowed_hosts" $hosts -}}
{{- with .Values.flowfuse.url }}{{ $_ := set $prometheus "probe_url" . }}{{ end -}}
{{- $telemetry := dict "backend" (dict "prometheus" $prometheus) -}}
{{- with .Values.flowfuse.version }}{{ $_ := set $telemetry "platform" (dict "version" .) }}{{ end -}}
{{- $settings := dict "telemetry" $telemetry -}}
{{- with .Values.database.user }}{{ $_ := set $settings "db" (dict "user" .) }}{{ end -}}
{{- mergeOverwrite $settings (deepCopy .Values.settings) | toYaml }}
{{- end }}

{{- /* What every container of a pod has. */ -}}
{{- define "ff-observe.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
resources:
  {{- toYaml .Values.resources | nindent 2 }}
{{- end }}

{{- define "ff-observe.relabelings" -}}
- targetLabel: instance
  replacement: {{ .Values.instance | default (printf "%s.%s" .Values.flowfuse.release .Release.Namespace) | quote }}
{{- end }}
