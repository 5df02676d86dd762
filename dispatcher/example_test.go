package dispatcher_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/groupserver/senddigest/dispatcher"
)

type letter struct{ to string }

func (l letter) Key() string { return l.to }

func ExampleRun() {
	post := func(_ context.Context, l letter) dispatcher.Verdict {
		if l.to == "main/beta" {
			return dispatcher.Verdict{
				Outcome: dispatcher.NotOK, Status: 500, Reason: "500 Internal Server Error",
				Err: errors.New("send letter to main/beta: 500 Internal Server Error"),
			}
		}
		return dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200}
	}
	letters := []letter{{"main/alpha"}, {"main/beta"}, {"main/gamma"}}
	report := dispatcher.Run(context.Background(), letters, post, dispatcher.Options{Workers: 2})
	for _, result := range report.Results {
		fmt.Println(result.Job.Key(), result.Outcome)
	}
	for _, cause := range report.Causes(1) {
		fmt.Println(cause.Jobs, cause.Outcome, cause.Reason)
	}
	// Output:
	// main/alpha accepted
	// main/beta not_ok
	// main/gamma accepted
	// 1 not_ok 500 Internal Server Error
}

// A worker of a queue has its jobs one at a time, and gives back what may be tried again.
func ExampleTry() {
	post := func(_ context.Context, l letter) dispatcher.Verdict {
		switch l.to {
		case "main/beta":
			return dispatcher.Verdict{Outcome: dispatcher.NotOK, NotDelivered: true, Retry: true, Status: 500}
		case "main/gamma":
			panic("out of ink")
		}
		return dispatcher.Verdict{Outcome: dispatcher.Accepted, Status: 200}
	}
	for _, l := range []letter{{"main/alpha"}, {"main/beta"}, {"main/gamma"}} {
		v := dispatcher.Try(context.Background(), post, l)
		fmt.Println(l.Key(), v.Outcome, v.Repeatable())
	}
	// Output:
	// main/alpha accepted false
	// main/beta not_ok true
	// main/gamma ambiguous false
}
