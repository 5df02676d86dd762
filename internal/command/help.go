package command

// The help texts. The options come from the flags, so that they cannot differ from what is read.
const (
	optionsHelp = `OPTIONS{{range .VisibleFlagCategories}}{{if .Name}}
  {{.Name}}{{end}}{{range .Flags}}
    {{.}}{{end}}
{{end}}`

	appHelp = `{{.HelpName}} - {{.Usage}}

USAGE
  senddigest [options] URL         send the digests of one GroupServer site
  senddigest check [options] URL   can it work? TLS, token and list, read-only; sends nothing
  senddigest demo [options]        a whole run against a stand-in GroupServer started in this process
  senddigest report [options] [RUN]
                                   show a past run, the newest unless RUN names another, as text, JSON or HTML

  URL is http[s]://host[:port][/prefix]. Options may stand before and after it.

` + optionsHelp + `
` + sourcesHelp + `
EXIT CODES
` + codesHelp

	sourcesHelp = `  Each option can also come from the environment (--max-failures as SENDDIGEST_MAX_FAILURES) and from the
  configuration file: "senddigest = NAME" in its set names the section [senddigest-NAME], with lines such as
  "max-failures = 10%%". The command line comes before the environment, the environment before the file. The
  token comes from the file alone.
`

	// One code a line: the man page takes these apart.
	codesHelp = `    0  every group was accepted, or left out on purpose, or there was none
    1  the run finished, and at least one group failed
   64  a bad option or URL, or nothing to --resume or --retry-failed; nothing was sent
   69  the site stopped answering, or asked for too long a pause, and the run gave up
   70  a fault of the program itself, or of the machine, that is none of the others
   73  a report, the metrics, the journal or standard output could not be written; the digests went out all the same
   75  another run holds the lock, --require-fit, or the deadline, --max-duration or --max-failures left groups; run again
   76  the list of groups could not be had, or made no sense
   77  the site refused the token
   78  the configuration file, set, section or token is missing or wrong
  129  SIGHUP, with groups left
  130  SIGINT, with groups left
  143  SIGTERM, with groups left
`

	commandHelp = `{{.HelpName}} - {{.Usage}}

USAGE
  {{.UsageText}}

` + optionsHelp
)
