package cluster

import "testing"

var allStates = []State{StateUnknown, StateHealthy, StateSuspect, StateDown, StateDraining}

func TestStatesFollowTheTable(t *testing.T) {
	type result struct {
		state State
		eff   effect
	}
	const (
		unknown, healthy, suspect, down, draining = StateUnknown, StateHealthy, StateSuspect, StateDown, StateDraining
		lost                                      = doRetire | doAbort
	)
	// One row per signal, one column per state in the order of allStates.
	table := [numSignals][5]result{
		sigAnswer:       {{healthy, 0}, {healthy, 0}, {healthy, 0}, {healthy, doEase}, {healthy, doEase}},
		sigDraining:     {{draining, doCloseIdle}, {draining, doCloseIdle}, {draining, doCloseIdle}, {draining, doCloseIdle}, {draining, doCloseIdle}},
		sigDialed:       {{healthy, 0}, {healthy, 0}, {healthy, 0}, {down, 0}, {draining, 0}},
		sigError:        {{suspect, doProbe}, {suspect, doProbe}, {suspect, doProbe}, {down, 0}, {draining, doProbe}},
		sigDialFailed:   {{suspect, doProbe}, {suspect, doProbe}, {suspect, doProbe}, {down, 0}, {draining, doProbe}},
		sigDialRefused:  {{suspect, doProbe}, {healthy, 0}, {suspect, doProbe}, {down, 0}, {draining, 0}},
		sigProbeFailed:  {{down, lost}, {down, lost}, {down, lost}, {down, 0}, {down, doRetire}},
		sigProbeRefused: {{down, doRetire}, {down, doRetire}, {down, doRetire}, {down, 0}, {down, doRetire}},
		sigTimeout:      {{down, lost}, {down, lost}, {down, lost}, {down, lost}, {down, lost}},
	}
	for sig := range numSignals {
		for i, s := range allStates {
			state, eff := next(s, sig)
			if want := table[sig][i]; state != want.state || eff != want.eff {
				t.Errorf("next(%v, %d) = %v, %b; want %v, %b", s, sig, state, eff, want.state, want.eff)
			}
		}
	}
}

func TestOnlyTheMonitorTakesANodeDownOrBringsItBack(t *testing.T) {
	for _, sig := range []signal{sigDialed, sigError, sigDialFailed, sigDialRefused} {
		for _, s := range allStates {
			after, _ := next(s, sig)
			if (after == StateDown) != (s == StateDown) {
				t.Errorf("a caller's signal %d made %v %v", sig, s, after)
			}
		}
	}
}

func TestNamesAreThoseOfTheDocumentation(t *testing.T) {
	for got, want := range map[string]string{
		StateUnknown.String(): "unknown", StateHealthy.String(): "healthy", StateSuspect.String(): "suspect",
		StateDown.String(): "down", StateDraining.String(): "draining",
		RolePrimary.String(): "primary", RoleReplica.String(): "replica",
		TargetAny.String(): "any", TargetPreferReplica.String(): "prefer_replica",
		StatusUp.String(): "up", HolderConn.String(): "idle in the caller", HolderRows.String(): "rows",
		NeverSent.String(): "never sent", SafeOnce.String(): "safe once", Refused.String(): "refused", Final.String(): "final",
		RoleChanged.String(): "role changed", NodeLeft.String(): "node left",
		LeastLoaded().Name(): "least_loaded", RoundRobin().Name(): "round_robin",
		Random().Name(): "random", InOrder().Name(): "in_order",
		NodeRef{ID: "n1", Address: "a:1"}.String(): "n1 (a:1)", NodeRef{Address: "a:1"}.String(): "a:1",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
