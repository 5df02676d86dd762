package ledger

import (
	"context"
	"iter"
	"time"
)

// A Sent is a group that a run has sent to, as far as the judgement needs it.
type Sent struct {
	Group
	// The server worked on it at some time from From to To.
	From, To time.Time
	// Accepted: the server confirmed it.
	Accepted bool
	// Doubtful: it may have done it, and may be at work on it.
	Doubtful bool
}

// Verdicts are what the tables say of a run.
type Verdicts struct {
	Mails []Mail // of each group, in the order of the question
	Gaps  Gaps
}

// Gaps are posts that fell between the windows of two digests, so that they were in neither.
type Gaps struct {
	Groups []Group // each once, in the order of the question
	Posts  int
	// Later is how much more than a day lay between the digest of such a group and the one before, at most; 0: not known.
	Later time.Duration
}

// Judge asks the tables what became of n groups of a run, all of which have ended. They are gone through several times. It finds
// out the server's clock on the way. pending: there are digests that cannot be seen yet, so that none that is not seen is missing.
func (b *Book) Judge(ctx context.Context, n int, sent iter.Seq[Sent], pending bool) (*Verdicts, error) {
	if err := b.Refresh(ctx); err != nil {
		return nil, err
	}
	rows, err := b.newest(ctx, n, sent)
	if err != nil {
		return nil, err
	}
	b.Calibrate(func(yield func(Sample) bool) {
		i := 0
		for s := range sent {
			if row := rows[i]; s.Accepted && row > b.Digest(s.Group) && !yield(Sample{s.From, s.To, row}) {
				return
			}
			i++
		}
	}, true)
	v := &Verdicts{Mails: make([]Mail, 0, n)}
	for s := range sent {
		row := rows[len(v.Mails)]
		v.Mails = append(v.Mails, b.judge(&s, row, pending))
		v.Gaps.add(b, &s, row)
	}
	return v, nil
}

// newest asks for the newest digests of n groups that were sent to.
func (b *Book) newest(ctx context.Context, n int, sent iter.Seq[Sent]) ([]Reading, error) {
	rows, some := make([]Reading, 0, n), make([]Group, 0, min(n, chunk))
	for s := range sent {
		some = append(some, s.Group)
		if len(some) < chunk && len(rows)+len(some) < n {
			continue
		}
		newest, err := b.source.Newest(ctx, some)
		if err != nil {
			return nil, err
		}
		rows, some = append(rows, newest...), some[:0]
	}
	return rows, nil
}

func (b *Book) judge(s *Sent, row Reading, pending bool) Mail {
	newer := row > b.Digest(s.Group)
	// A try of an earlier run may have mailed what was in the tables before this one. One of this run has not, however near
	// its start that digest was.
	if s.From.Before(b.opened) {
		newer = newer || b.mailedSince(row, s.From)
	}
	m := judge(evidence{
		newer: newer, accepted: s.Accepted || s.Doubtful, pending: pending,
		due: b.due(s.Group, s.From, s.To), guarded: b.guarded(s.Group, s.From, s.To),
	})
	if s.Doubtful && (m == Swallowed || m == Missing) {
		return Unknown // the server may not have done it, or not yet
	}
	return m
}

// add looks for posts of the day before that no digest covered: later than the digest before the run, and too old for the
// server to count them now. Posts that are older still were looked at in the run of the day before. A group that never had
// a digest, or that nobody gets digests of, has lost none.
func (gaps *Gaps) add(b *Book, s *Sent, row Reading) {
	f := b.fact(s.Group)
	if f.digest == 0 || !f.subscribed || !(s.Accepted || row > f.digest) {
		return
	}
	window := row
	if row == f.digest {
		if !b.clock.Known {
			return
		}
		window, _ = b.clock.span(s.From, s.To)
	}
	window = window.add(-day)
	n := 0
	for _, p := range b.postsOf(s.Group) {
		if p > f.digest && p < window && p >= window.add(-day) {
			n++
		}
	}
	if n == 0 {
		return
	}
	gaps.Groups = append(gaps.Groups, s.Group)
	gaps.Posts += n
	if later := window.sub(f.digest); later < day {
		gaps.Later = max(gaps.Later, later)
	}
}
