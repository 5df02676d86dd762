// Package groupserver holds answers that GroupServer's web-hooks gave, byte for byte.
//
// Provenance: the bodies named groups-*, send-* and profile-*, and not-found-404.html, come from the unchanged hook classes
// of the last GroupServer release (16.04), run inside Zope 2.13.24 and zope.formlib 4.0.6 under Python 2.7.18; the
// few marked run-modified in index.tsv had a failure handler connected by hand, and handmade-* were written by
// hand. README.md beside this file says what was stubbed. The token that was sent was always exampleToken123.
// Nothing may reformat these files: each byte counts, white space at line ends included (see .gitattributes).
//
// The package lives under testdata so that ./... does not list it; the stand-in site imports it all the same,
// because the demo needs the bodies inside the program.
package groupserver

import "embed"

// FS holds index.tsv (file, hook, status, content type, class, provenance, mails queued, note) and the bodies.
//
//go:embed index.tsv groups-* send-* profile-* handmade-* not-found-404.html
var FS embed.FS
