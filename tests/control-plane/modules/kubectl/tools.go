//go:build tools

// Package tools names the program that scripts/control-plane builds, so that go.mod and go.sum hold what it needs.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kubectl"
)
