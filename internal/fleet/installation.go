package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// An UnknownError is an installation that the database does not have. Nearly always the token is a mistyped one: it alone tells
// installations apart. Neither the token nor the name that is made of it is in here.
type UnknownError struct {
	Database string   // without user and password
	Others   []string // the URLs of the installations that it has; they have other tokens
}

// mostOthers is how many URLs an [*UnknownError] names.
const mostOthers = 3

func (e *UnknownError) Error() string {
	text := fmt.Sprintf("the queue's database %s has no installation with this configuration's token", e.Database)
	if len(e.Others) == 0 {
		return text
	}
	named := strings.Join(e.Others[:min(len(e.Others), mostOthers)], ", ")
	if more := len(e.Others) - mostOthers; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return text + "; one with another token is there, of " + named
}

// Hint says what to do.
func (e *UnknownError) Hint() string {
	const enter = "senddigest-fleet run or work enters an installation, with the URL as cron writes it"
	if len(e.Others) == 0 {
		return enter + "; if one did, compare this configuration's token and queue-dsn with its own"
	}
	return "compare the token in the configuration file with that of the machines that send; if it is right, " + enter
}

// ExitCode is that of a configuration that is wrong.
func (*UnknownError) ExitCode() int { return 78 }

// Lookup returns the number of an installation, which it does not enter. Its errors are [*Error] and [*UnknownError].
func (db *DB) Lookup(ctx context.Context, name string) (id int64, err error) {
	err = db.one(ctx, "look for the installation", "SELECT coalesce((SELECT id FROM senddigest.installation WHERE name = $1), 0)", []any{name}, &id)
	if err != nil || id != 0 {
		return id, err
	}
	// One without a URL was entered by somebody who set a limit, and nobody has sent for it.
	others, err := list(ctx, db, "look for the installation", "SELECT DISTINCT url FROM senddigest.installation WHERE url <> '' ORDER BY url",
		nil, pgx.RowTo[string])
	if err != nil {
		return 0, err
	}
	return 0, &UnknownError{db.name, others}
}

// LookupOrFirst is [DB.Lookup], but enters an installation that would be the first: limits are set before a first night, too.
func (db *DB) LookupOrFirst(ctx context.Context, name string) (id int64, err error) {
	id, err = db.Lookup(ctx, name)
	if unknown, ok := errors.AsType[*UnknownError](err); ok && len(unknown.Others) == 0 {
		return db.Installation(ctx, Site{Name: name})
	}
	return id, err
}

// Double returns the URL of an installation that never had a list and for which nothing was sent yet, where another one, with
// another token, has the same URL; otherwise nothing. Either the token was replaced, or one of the two was mistyped.
func (db *DB) Double(ctx context.Context, installation int64) (url string, err error) {
	err = db.one(ctx, "look for other installations", `
		SELECT coalesce((SELECT i.url FROM senddigest.installation i WHERE i.id = $1 AND i.url <> ''
			AND NOT EXISTS (SELECT FROM senddigest.attempt a WHERE a.installation = i.id)
			AND NOT EXISTS (SELECT FROM senddigest.night n JOIN senddigest.task t ON t.night = n.id WHERE n.installation = i.id)
			AND EXISTS (SELECT FROM senddigest.installation o WHERE o.id <> i.id AND o.url = i.url)), '')`, []any{installation}, &url)
	return url, err
}
