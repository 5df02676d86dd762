package observe

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/groupserver/senddigest/dispatcher"
	"github.com/groupserver/senddigest/internal/campaign"
)

// NewLog is the structured log of a run, from a level on: debug, info, warn or error.
func NewLog(w io.Writer, from string, asJSON bool) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(from)) // checked when it was read
	options := &slog.HandlerOptions{Level: level}
	if asJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// A StrayLog takes what libraries write to package log, a line at a time, into the log of a run. net/http writes there
// what a server sent unasked, with a lock of the connection in its hand. So a write must not wait, and the token may be
// in it.
type StrayLog struct {
	Log   *slog.Logger // on a writer that never waits
	Scrub func(string) string
}

// maxStray is how much of a line is kept, in bytes. net/http quotes what came in one read, 4 KiB, which may end in the
// midst of the token.
const maxStray = 200

// Write logs for debugging: nobody can do anything about what is said here, and it is seldom about a send.
func (w *StrayLog) Write(line []byte) (int, error) {
	text := w.Scrub(strings.TrimSpace(string(line)))
	if len(text) > maxStray {
		text = strings.ToValidUTF8(text[:maxStray], "") + "…"
	}
	w.Log.Debug("library", slog.String("said", text))
	return len(line), nil
}

// A Logger writes what becomes of each send into the log.
type Logger struct {
	Log     *slog.Logger
	Scrub   func(string) string
	Private bool // names are personal data: they are logged for debugging alone
}

// Observe logs the end of a try: a panic as an error, a failure for information, all else for debugging. The
// summary tells of failures anyway.
func (l *Logger) Observe(event campaign.Event) {
	if e, ok := event.(campaign.Steered); ok {
		l.Log.Info("steered", slog.String("what", e.What), slog.String("from", e.From), slog.String("to", e.To), slog.Int("limit", e.Sends))
	}
	e, ok := event.(campaign.Send)
	if !ok || e.Kind == dispatcher.Started {
		return
	}
	r := e.Result
	level := slog.LevelDebug
	if r.Failed() {
		level = slog.LevelInfo
	}
	var attrs []slog.Attr
	if !l.Private || l.Log.Enabled(context.Background(), slog.LevelDebug) {
		attrs = append(attrs, slog.String("group", r.Job.Key()))
	}
	attrs = append(attrs, slog.String("outcome", r.Outcome.String()), slog.Int("status", r.Status),
		slog.Float64("seconds", r.Took.Seconds()), slog.Int("worker", r.Worker),
		slog.Int("attempts", r.Attempts), slog.Bool("again", e.Kind != dispatcher.Finished))
	if r.Err != nil {
		attrs = append(attrs, slog.String("error", r.Err.Error()))
	}
	if p, ok := errors.AsType[*dispatcher.PanicError](r.Err); ok {
		level = slog.LevelError
		attrs = append(attrs, slog.String("stack", l.Scrub(string(p.Stack))))
	}
	l.Log.LogAttrs(context.Background(), level, "send", attrs...)
}
