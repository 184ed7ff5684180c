package cluster

// State is what the cluster thinks of a node.
type State uint8

const (
	// StateUnknown is a node that nobody has heard of yet: it is dialled when
	// no healthy node is there.
	StateUnknown State = iota
	// StateHealthy is a node that answers.
	StateHealthy
	// StateSuspect is a node on which something failed just now; its monitor
	// is asking it. It is used only when no healthy node is there.
	StateSuspect
	// StateDown is a node that does not answer. Only its monitor dials it.
	StateDown
	// StateDraining is a node that finishes what it has and takes nothing new.
	StateDraining
)

// String returns the name: unknown, healthy, suspect, down, draining.
func (s State) String() string {
	switch s {
	case StateHealthy:
		return "healthy"
	case StateSuspect:
		return "suspect"
	case StateDown:
		return "down"
	case StateDraining:
		return "draining"
	default:
		return "unknown"
	}
}

// usable says whether callers may get sessions on a node in this state.
func (s State) usable() bool { return s != StateDown && s != StateDraining }

// signal is something that was learnt about a node.
type signal uint8

const (
	// sigAnswer: the monitor got an answer, and the node is in service.
	sigAnswer signal = iota
	// sigDraining: the node said that it drains.
	sigDraining
	// sigDialed: a session was opened for the pool.
	sigDialed
	// sigError: a session of the current generation failed, or the monitor's.
	sigError
	// sigDialFailed: a dial for the pool failed.
	sigDialFailed
	// sigDialRefused: a dial for the pool failed for good: the node answers,
	// but refuses these credentials, this protocol or its certificate.
	sigDialRefused
	// sigProbeFailed: the monitor could not connect.
	sigProbeFailed
	// sigProbeRefused: the monitor was refused for good.
	sigProbeRefused
	// sigTimeout: the monitor got no answer within the health timeout.
	sigTimeout

	numSignals
)

// effect is what has to be done when a signal was taken in.
type effect uint8

const (
	// doProbe asks the monitor for a check now.
	doProbe effect = 1 << iota
	// doRetire starts a new generation: idle sessions are closed, leased
	// ones when they come back.
	doRetire
	// doAbort also makes what is under way on leased sessions fail now.
	doAbort
	// doEase lets the node's share of the load grow from little to all.
	doEase
	// doCloseIdle closes idle sessions.
	doCloseIdle
)

// next is the whole of the health rules: what a node's state becomes when a
// signal arrives, and what has to be done. It is a pure function.
//
// A caller's bad luck never takes a node down, it only makes it suspect; the
// monitor's word decides. A draining node that can no longer be reached gets
// no abort: its sessions still have their grace, and if its process has ended
// they notice by themselves. A node that refuses to let anyone in is alive, so
// what runs on it may finish as well. Silence is another matter.
func next(s State, sig signal) (State, effect) {
	switch sig {
	case sigAnswer:
		if s == StateDown || s == StateDraining {
			return StateHealthy, doEase
		}
		return StateHealthy, 0
	case sigDraining:
		return StateDraining, doCloseIdle
	case sigDialed:
		if s.usable() {
			return StateHealthy, 0
		}
		return s, 0
	case sigError, sigDialFailed:
		if s.usable() {
			return StateSuspect, doProbe
		}
		if s == StateDraining {
			return s, doProbe
		}
		return s, 0
	case sigDialRefused:
		if s == StateUnknown || s == StateSuspect {
			return StateSuspect, doProbe
		}
		return s, 0
	case sigProbeFailed:
		switch s {
		case StateDown:
			return s, 0
		case StateDraining:
			return StateDown, doRetire
		default:
			return StateDown, doRetire | doAbort
		}
	case sigProbeRefused:
		if s == StateDown {
			return s, 0
		}
		return StateDown, doRetire
	case sigTimeout:
		return StateDown, doRetire | doAbort
	}
	return s, 0
}
