package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/groupserver/senddigest/internal/control"
)

func TestWhoMayNotSteerARunIsToldWhoMayHoweverItWasRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		code int
	}{
		"by the socket's mode": {fmt.Errorf("/var/lib/a.sock: %w", fs.ErrPermission), 77},
		"by the run":           {&control.RefusedError{Problem: "permission denied: not yours", Denied: true}, 77},
		"for what was asked":   {&control.RefusedError{Problem: "the run is ending"}, 69},
		"nobody is there":      {control.ErrNobody, 69},
		"it does not answer":   {&control.SilentError{Cause: context.DeadlineExceeded}, 69},
	} {
		e, ok := errors.AsType[*controlError](unsteered(tt.err, "groups.example.com", "/var/lib/senddigest"))
		switch {
		case !ok || e.ExitCode() != tt.code:
			t.Errorf("%s: got %+v, want exit code %d", name, e, tt.code)
		case tt.code == 77 && (!strings.HasPrefix(e.Error(), "permission denied: ") || e.Hint() == ""):
			t.Errorf("%s: it says %q, hint %q", name, e.Error(), e.Hint())
		}
	}
}
