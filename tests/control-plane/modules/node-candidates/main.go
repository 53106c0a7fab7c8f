// node-candidates says which nodes the scheduler would consider for a pod, by the scheduler's own library.
//
// Reads {"spec": a pod's spec, "nodes": [nodes]} from standard input, a line each, and answers each with the names of the candidates, a
// JSON list on a line. Ends with its input.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	scheduling "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

type question struct {
	Spec  corev1.PodSpec `json:"spec"`
	Nodes []corev1.Node  `json:"nodes"`
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked question
		if err := json.Unmarshal(line, &asked); err != nil {
			fmt.Fprintf(os.Stderr, "node-candidates: %v\n", err)
			os.Exit(1)
		}
		if err := answers.Encode(candidates(&asked)); err != nil {
			return
		}
	}
}

func candidates(asked *question) []string {
	pod := &corev1.Pod{Spec: asked.Spec}
	required := nodeaffinity.GetRequiredNodeAffinity(pod)
	names := []string{}
	for i := range asked.Nodes {
		node := &asked.Nodes[i]
		if fits(pod, required, node) {
			names = append(names, node.Name)
		}
	}
	return names
}

// As the filters of the scheduler's plugins NodeName, NodeAffinity, TaintToleration, NodeUnschedulable and NodeResourcesFit, the last as far
// as a node lacks a resource altogether.
func fits(pod *corev1.Pod, required nodeaffinity.RequiredNodeAffinity, node *corev1.Node) bool {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName == node.Name
	}
	if match, _ := required.Match(node); !match {
		return false
	}
	logger := logr.Discard()
	keepsOff := func(taint *corev1.Taint) bool {
		return taint.Effect == corev1.TaintEffectNoSchedule || taint.Effect == corev1.TaintEffectNoExecute
	}
	if _, untolerated := scheduling.FindMatchingUntoleratedTaint(logger, node.Spec.Taints, pod.Spec.Tolerations, keepsOff, true); untolerated {
		return false
	}
	cordon := &corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if node.Spec.Unschedulable && !scheduling.TolerationsTolerateTaint(logger, pod.Spec.Tolerations, cordon, true) {
		return false
	}
	for name, asked := range resource.PodRequests(pod, resource.PodResourcesOptions{}) {
		there := node.Status.Allocatable[name]
		if strings.Contains(string(name), "/") && asked.Sign() > 0 && there.Sign() == 0 {
			return false
		}
	}
	return true
}
