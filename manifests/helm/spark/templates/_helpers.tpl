{{/* The labels of everything that this chart makes. */}}
{{- define "spark.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The namespaces that the operator watches by name, as a list in JSON: {"names": [...]}. */}}
{{- define "spark.jobNamespaces" -}}
{{- $names := without (index .Values "spark-operator" "spark" "jobNamespaces" | default list) "" -}}
{{- dict "names" (uniq $names) | toJson -}}
{{- end }}

{{/* Whether the operator watches every namespace: "true", or nothing. */}}
{{- define "spark.watchesAll" -}}
{{- $watched := index .Values "spark-operator" "spark" "jobNamespaces" | default list -}}
{{- if or (has "" $watched) (empty $watched) }}true{{ end -}}
{{- end }}

{{/* The namespaces that get the account, as a list in JSON: {"names": [...]}. */}}
{{- define "spark.userNamespaces" -}}
{{- $watched := (include "spark.jobNamespaces" . | fromJson).names -}}
{{- if and .Values.userNamespaces (not (include "spark.watchesAll" .)) -}}
{{- range .Values.userNamespaces -}}
{{- if not (has . $watched) -}}
{{- fail (printf "userNamespaces names %s, which the operator does not watch: add it to spark-operator.spark.jobNamespaces" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- dict "names" (.Values.userNamespaces | default $watched | uniq) | toJson -}}
{{- end }}

{{/* Whether an object, as `there`, is this release's to make: there is none yet, or it has made it. "true", or nothing. */}}
{{- define "spark.isOurs" -}}
{{- $owner := dig "metadata" "annotations" dict .there -}}
{{- $release := .root.Release -}}
{{- $isMade := and (eq (get $owner "meta.helm.sh/release-name") $release.Name) (eq (get $owner "meta.helm.sh/release-namespace") $release.Namespace) -}}
{{- if or (not .there) $isMade }}true{{ end -}}
{{- end }}

{{/* What the schema cannot say: values that do not go together. */}}
{{- define "spark.check" -}}
{{- $controller := index .Values "spark-operator" "controller" -}}
{{- $volumes := list -}}
{{- range $controller.volumes -}}
{{- $volumes = append $volumes .name -}}
{{- end -}}
{{- range $sidecar := $controller.sidecars -}}
{{- range .volumeMounts -}}
{{- if not (has .name $volumes) -}}
{{- fail (printf "spark-operator.controller.sidecars: %s mounts the volume %s, which spark-operator.controller.volumes does not have: a list that you set replaces the chart's, so add it there" $sidecar.name .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
