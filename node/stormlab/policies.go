package stormlab

import "fmt"

// Policies are the names of the policies, baselines first.
var Policies = []string{"stock", "stock-jitter", "ours"}

func policyNamed(name string) (policy, error) {
	switch name {
	case "stock":
		return stock{}, nil
	case "stock-jitter":
		return stock{jitter: true}, nil
	case "ours":
		return ours{}, nil
	}
	return nil, fmt.Errorf("no policy %q", name)
}
