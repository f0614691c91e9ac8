{{- define "flowmm.labels" -}}
app.kubernetes.io/name: flowmm
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "flowmm.selector" -}}
app.kubernetes.io/name: flowmm
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "flowmm.cluster" -}}
- name: FlowMM__Redis
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.secretName }}
      key: {{ .Values.redis.secretKey }}
- name: FlowMM__ClusterId
  value: {{ .Values.clusterId | quote }}
{{- end }}
