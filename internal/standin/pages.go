package standin

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/groupserver/senddigest/testdata/groupserver"
)

// from tells whose signature an answer's head carries.
type from uint8

const (
	fromZope  from = iota // ZServer itself
	fromProxy             // nginx before it: no sign of Zope
	fromPlain             // Zope's plain publisher, a site's own error page: X-Powered-By only
)

// Shared header values: net/http only reads them.
var (
	zopeServer  = []string{"Zope/(2.13.24, python 2.7.18, linux2) ZServer/1.1"}
	proxyServer = []string{"nginx"}
	plainZope   = []string{"Zope (www.zope.org), Python (www.python.org)"}
)

// A reply is an answer as the server would send it: the status line, the head, the whole body.
type reply struct {
	status int
	ctype  string
	body   []byte
	from   from
	bobo   *bobo
	extra  [2]string // one more header: name, value
}

// bobo is the exception in the head of Zope's built-in error pages. A site with an error page of its own does not
// send it. That there are four such headers is established; what they say is modelled on the page's last stack line.
type bobo struct{ typ, file, line string }

func (a *reply) writeHead(w http.ResponseWriter) {
	h := w.Header()
	switch a.from {
	case fromZope:
		h["Server"] = zopeServer
	case fromProxy:
		h["Server"] = proxyServer
	case fromPlain:
		h["X-Powered-By"] = plainZope
	}
	if b := a.bobo; b != nil {
		h["Bobo-Exception-Type"] = []string{b.typ}
		h["Bobo-Exception-Value"] = []string{"See the server error log for details"}
		h["Bobo-Exception-File"] = []string{b.file}
		h["Bobo-Exception-Line"] = []string{b.line}
	}
	if a.extra[0] != "" {
		h.Set(a.extra[0], a.extra[1])
	}
	h["Content-Type"] = []string{a.ctype}
	h["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	w.WriteHeader(a.status)
}

// pages are the recorded answers, ready to send, and those that have to be put together.
type pages struct {
	about, groupsMissingToken, groupsEmptyToken, groupsError *reply
	sendOK, blank, missingSite, missingGroup                 *reply
	errDatabase, errDigest, errCommit, errConflict           *reply
	ownError, ownError503, noPrepared                        *reply
	databaseLost, databaseAway, groupsDatabaseAway           *reply
	siteError, login, proxy502, proxy503, proxy504           *reply
	front, aboutPeople, aboutProfile                         *reply

	wrongToken, notFound halves
	profileRefused       halves         // the errors go between
	profile              map[int]halves // what the send hook for profiles says, by status, around the id
	formParts            [5]string      // the send page between message, site, group and token
}

// halves is a recorded answer around the one place where the server puts what was sent.
type halves struct {
	*reply
	before, after string
}

func (h halves) with(echo string) *reply {
	a := *h.reply
	a.body = []byte(h.before + echo + h.after)
	return &a
}

// recorded loads the bodies once. A body that is not as expected is a broken build, hence the panics.
var recorded = sync.OnceValue(func() *pages {
	index := readIndex()
	load := func(file string) *reply {
		a := index[file]
		if a == nil {
			panic("standin: no answer " + file)
		}
		return a
	}
	p := &pages{
		about:              load("groups-missing-action.json"),
		groupsMissingToken: load("groups-missing-token.json"),
		groupsEmptyToken:   load("groups-empty-token.json"),
		groupsError:        load("groups-500.html"),
		sendOK:             load("send-ok.html"),
		blank:              load("send-unknown-group.html"),
		missingSite:        load("send-503-missing-siteid.html"),
		missingGroup:       load("send-503-missing-groupid.html"),
		errDatabase:        load("send-500-database-error.html"),
		errDigest:          load("send-500-digest-error.html"),
		errCommit:          load("send-500-commit-error.html"),
		errConflict:        load("send-500-conflict.html"),
		ownError:           load("send-500-own-error-page.html"),
		ownError503:        load("send-503-own-error-page.html"),
		noPrepared:         load("send-500-no-prepared-transactions.html"),
		databaseLost:       load("send-500-database-lost.html"),
		databaseAway:       load("send-500-database-refused.html"),
		groupsDatabaseAway: load("groups-500-database-refused.html"),
		siteError:          load("handmade-site-error-500.html"),
		login:              load("handmade-login-page.html"),
		proxy502:           load("handmade-proxy-502.html"),
		proxy503:           load("handmade-proxy-503.html"),
		proxy504:           load("handmade-proxy-504.html"),
		front: &reply{status: 200, ctype: "text/html; charset=utf-8", body: []byte(`<!DOCTYPE html>
<html lang="en"><head><title>Example Site</title></head><body><h1>Example Site</h1></body></html>
`)},
		aboutPeople:  load("profile-members-missing-action.json"),
		aboutProfile: load("profile-send-missing-action.json"),

		profileRefused: split(load("profile-send-missing-token.json"), "Token: "+requiredInput),
		profile: map[int]halves{
			0:             split(load("profile-send-ok.json"), "u1"),
			unknownPerson: split(load("profile-send-no-user.json"), "nobody"),
			noGroups:      split(load("profile-send-no-groups.json"), "nogroups"),
			noAddress:     split(load("profile-send-no-email.json"), "noemail"),
			noActivity:    split(load("profile-send-no-activity.json"), "idle"),
			optedOut:      split(load("profile-send-skip.json"), "skipper"),
		},
		wrongToken: split(load("groups-wrong-token.json"), DefaultToken),
		notFound:   split(load("not-found-404.html"), "http://groups.example.com/gs-no-such-page.html"),
	}
	p.formParts = splitForm(string(p.blank.body))
	return p
})

// blankOf is what a hook answers to a request that has lost its form.
func (p *pages) blankOf(hook Hook) *reply {
	switch hook {
	case Groups:
		return p.about
	case People:
		return p.aboutPeople
	case Profile:
		return p.aboutProfile
	}
	return p.blank
}

// readIndex reads index.tsv and the bodies it names.
func readIndex() map[string]*reply {
	table, err := groupserver.FS.ReadFile("index.tsv")
	if err != nil {
		panic(err)
	}
	rows := csv.NewReader(bytes.NewReader(table))
	rows.Comma, rows.LazyQuotes = '\t', true
	all, err := rows.ReadAll()
	if err != nil {
		panic(err)
	}
	index := make(map[string]*reply)
	for _, row := range all[1:] {
		file, hook, status, ctype, class, provenance := row[0], row[1], row[2], row[3], row[4], row[5]
		body, err := groupserver.FS.ReadFile(file)
		if err != nil {
			panic(err)
		}
		code, _, _ := strings.Cut(status, " ")
		a := &reply{ctype: ctype, body: body}
		if a.status, err = strconv.Atoi(code); err != nil {
			panic(err)
		}
		switch {
		case file == "handmade-site-error-500.html":
			a.from = fromPlain
		case hook == "any" && class != "server-error":
			a.from = fromProxy
		case a.status != http.StatusOK && provenance != "run-2": // GroupServer's own error page has no Bobo headers
			a.bobo = boboOf(body)
		}
		index[file] = a
	}
	return index
}

var (
	errorType = regexp.MustCompile(`<strong>(<(?:type|class) '[\w.]+'>)</strong>`)
	stackLine = regexp.MustCompile(`<li>  Module (?:[\w.]+\.)?(\w+), line (\d+)`)
)

// boboOf reads the exception off a built-in error page.
func boboOf(body []byte) *bobo {
	// The 404 page names neither. Its exception comes from the publisher; the line is of no importance.
	b := &bobo{"<class 'zExceptions.NotFound'>", "HTTPResponse.py", "1"}
	if m := errorType.FindSubmatch(body); m != nil {
		b.typ = string(m[1])
	}
	if m := stackLine.FindAllSubmatch(body, -1); m != nil {
		b.file, b.line = string(m[len(m)-1][1])+".py", string(m[len(m)-1][2])
	}
	return b
}

func split(a *reply, echo string) halves {
	before, after, ok := strings.Cut(string(a.body), echo)
	if !ok {
		panic(fmt.Sprintf("standin: %q not in the recorded body", echo))
	}
	return halves{a, before, after}
}

// groupsWrongToken echoes the token. Only the double quote is escaped, so that a backslash or a line end makes the
// answer invalid JSON (docs/groupserver.md section 3).
func (p *pages) groupsWrongToken(token string) *reply {
	return p.wrongToken.with(strings.ReplaceAll(token, `"`, `\"`))
}

func (p *pages) notFoundAt(url string) *reply { return p.notFound.with(escape(url)) }
