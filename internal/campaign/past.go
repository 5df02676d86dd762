package campaign

import (
	"time"

	"github.com/groupserver/senddigest/internal/state"
)

// A Past knows what happened to a group before a run sends to it. The journals of earlier runs are its first source; what
// knows more wraps it.
type Past interface {
	Of(state.Group) Known
}

// Known is what is known of a group before a run sends to it. The zero value is nothing.
type Known struct {
	Accepted time.Time // when it last was, or may have been; zero: not known
	Open     time.Time // when the last try of unknown fate began that the server may still be at work on; zero: there is none
	// Exact: the time is known from which on the server's guard lets the group be mailed; it is Free, zero: at once. Otherwise
	// that follows from Accepted, and is not before Free.
	Exact bool
	Free  time.Time
}

// journals is the Past of the state directory.
type journals struct {
	recent *state.Recent
	doubt  time.Time // when a run ended of which no journal tells; zero: none did
}

// Of implements [Past].
func (j *journals) Of(g state.Group) (k Known) {
	if at, ok := j.recent.Accepted(g); ok {
		k.Accepted = at
	}
	if at, ok := j.recent.Open(g); ok {
		k.Open = at
	}
	if !j.doubt.IsZero() {
		k.Open = j.doubt
	}
	return k
}

// nothing is the Past where nothing is known.
type nothing struct{}

// Of implements [Past].
func (nothing) Of(state.Group) Known { return Known{} }
