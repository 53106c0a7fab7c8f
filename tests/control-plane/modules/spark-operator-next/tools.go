//go:build tools

// Package tools names the programs that scripts/control-plane builds, so that go.mod and go.sum hold what they need.
package tools

import (
	_ "github.com/kubeflow/spark-operator/v2/cmd/operator"
)
