{{- define "spark-admission.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* What everything is called; 50 characters leave room for what is put behind it. */}}
{{- define "spark-admission.fullname" -}}
{{- $name := include "spark-admission.name" . }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- .Values.fullnameOverride | default $full | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* Helm itself adds app.kubernetes.io/managed-by to what it installs. */}}
{{- define "spark-admission.labels" -}}
{{ include "spark-admission.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "spark-admission.selectorLabels" -}}
app.kubernetes.io/name: {{ include "spark-admission.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "spark-admission.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "spark-admission.fullname" .) "default") }}
{{- end }}

{{- define "spark-admission.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- .repository }}@{{ .digest }}
{{- else }}
{{- .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Secret with tls.crt and tls.key, whoever makes it. */}}
{{- define "spark-admission.secretName" -}}
{{- if eq .Values.certificates.mode "provided" }}
{{- .Values.certificates.provided.secretName | required "certificates.mode is provided: certificates.provided.secretName must name a Secret with tls.crt and tls.key" }}
{{- else }}
{{- include "spark-admission.fullname" . }}-certificates
{{- end }}
{{- end }}

{{/* The namespaces that the API server does not even ask about: the policy's, but for patterns, and the webhook's own. */}}
{{- define "spark-admission.excludedNamespaces" -}}
{{- $names := list }}
{{- range dig "excludedNamespaces" (list "kube-system") .Values.policy }}
{{- if not (regexMatch "[*?]" .) }}
{{- $names = append $names . }}
{{- end }}
{{- end }}
{{- append $names .Release.Namespace | uniq | join "," }}
{{- end }}

{{- define "spark-admission.eventNamespaces" -}}
{{- dig "flaggedNodes" "eventNamespaces" (list "default") .Values.policy | join "," }}
{{- end }}

{{/* A policy that changes nothing. */}}
{{- define "spark-admission.observes" -}}
{{- if eq (dig "mode" "enforce" .Values.policy) "observe" }}yes{{ end }}
{{- end }}

{{/* What is said of pods of this chart: nothing more than the Pod Security Standard `restricted` admits. */}}
{{- define "spark-admission.podSettings" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "spark-admission.containerSettings" -}}
image: {{ include "spark-admission.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What lives only as long as a hook does. */}}
{{- define "spark-admission.hookMetadata" -}}
labels:
  {{- include "spark-admission.labels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
annotations:
  helm.sh/hook: {{ .hook }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}

{{/* What the schema cannot say: values that do not go together. */}}
{{- define "spark-admission.check" -}}
{{- if eq (int .Values.port) (int .Values.adminPort) }}
{{- fail (printf "port and adminPort are both %d: they must differ" (int .Values.port)) }}
{{- end }}
{{- $drains := add .Values.drainDelaySeconds .Values.drainTimeoutSeconds }}
{{- if le (int .Values.terminationGracePeriodSeconds) (int $drains) }}
{{- fail (printf "terminationGracePeriodSeconds is %d: it must be more than drainDelaySeconds and drainTimeoutSeconds together, %d, or reviews are cut off" (int .Values.terminationGracePeriodSeconds) $drains) }}
{{- end }}
{{- if and (eq .Values.certificates.mode "provided") (not .Values.certificates.provided.caBundle) }}
{{- fail "certificates.mode is provided: certificates.provided.caBundle must be the PEM text of the CA that signed the certificate; without it the API server does not trust the webhook" }}
{{- end }}
{{- $budget := .Values.podDisruptionBudget }}
{{- if and $budget.enabled (not (kindIs "invalid" $budget.minAvailable)) (not (kindIs "invalid" $budget.maxUnavailable)) }}
{{- fail "podDisruptionBudget has minAvailable and maxUnavailable: set one of them to null" }}
{{- end }}
{{- end }}
