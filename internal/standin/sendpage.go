package standin

import (
	"fmt"
	"strings"
)

// The send hook's page shows its form again whenever something is wrong, with the values that were sent: the right
// token too, if another field is bad or the action is missing (docs/groupserver.md section 3). On success, and for an
// unknown site or group, the fields are emptied and the recorded page is sent as it is. The pieces below are the
// release's templates; that they give the recorded bytes is tested with every recorded page.

// Fields of the form, in the order of the page.
const (
	siteField = iota
	groupField
	tokenField
)

var formFields = [3]struct{ name, label string }{
	{"form.siteId", "Site Identifier"},
	{"form.groupId", "Group Identifier"},
	{"form.token", "Token"},
}

// formField is one field as it was sent, and what is wrong with it ("": nothing), as HTML.
type formField struct {
	value string
	sent  bool
	fault string
}

// What the hook says is wrong.
const (
	requiredInput = "Required input is missing."
	invalidText   = "Invalid textual data"
)

func tokenMismatch(token string) string {
	return `The authentication token "` + escape(token) + `" does not match the one in the database.`
}

func formOf(q *request) (form [3]formField) {
	for i, f := range formFields {
		form[i].value, form[i].sent = q.fields.get(f.name)
	}
	return form
}

const (
	noMessage  = "        <!--gs-content-form-base-message-->\n"
	inputStart = `    <input class="textType" id="%[1]s" name="%[1]s" size="20" type="text" value=`
	inputEnd   = "  />\n"

	errorsStart = `        <div id="gs-content-form-base-message" role="region"
     class="alert-block alert-error">
  <button aria-hidden="true" type="button" class="close" data-dismiss="alert">&#215;</button>
  <div class="gs-content-form-base-message-status">There were errors</div><!--gs-content-form-base-message-->
` + "  \n" + `  <dl class="dl-horizontal">
`
	// One for each field of the form, with or without an error.
	errorStart = "    \n      \n"
	errorItem  = `        <dt>%s</dt>
        <dd class="error"><span class="error">%s</span></dd>
` + "      \n"
	errorEnd  = "    \n"
	errorsEnd = `  </dl>
</div><!--gs-content-form-base-message-->
`

	noWidgetError = "    \n"
	widgetError   = `    <p class="form-widget-message ui-widget ui-state-error ui-corner-all">
      <span class="ui-icon ui-icon-alert">&#160;</span>
      <span class="msg"><span class="error">%s</span></span>
    </p>
`
)

// splitForm cuts a page with an empty form at the message and at the three inputs.
func splitForm(page string) (parts [5]string) {
	cut := func(at string) string {
		before, after, ok := strings.Cut(page, at)
		if !ok {
			panic("standin: the blank form has no " + at)
		}
		page = after
		return before
	}
	parts[0] = cut(noMessage)
	for i, f := range formFields {
		parts[i+1] = cut(noWidgetError + fmt.Sprintf(inputStart, f.name) + `""` + inputEnd)
	}
	parts[4] = page
	return parts
}

// form is the send page with the form as it was sent, with or without the list of errors above it.
func (p *pages) form(form [3]formField, errors bool) *reply {
	var b strings.Builder
	b.WriteString(p.formParts[0])
	if errors {
		b.WriteString(errorsStart)
		for i, f := range form {
			b.WriteString(errorStart)
			if f.fault != "" {
				fmt.Fprintf(&b, errorItem, formFields[i].label, f.fault)
			}
			b.WriteString(errorEnd)
		}
		b.WriteString(errorsEnd)
	} else {
		b.WriteString(noMessage)
	}
	for i, f := range form {
		b.WriteString(p.formParts[i+1])
		if f.fault != "" {
			fmt.Fprintf(&b, widgetError, f.fault)
		} else {
			b.WriteString(noWidgetError)
		}
		fmt.Fprintf(&b, inputStart, formFields[i].name)
		b.WriteString(quoteAttr(f.value) + inputEnd)
	}
	b.WriteString(p.formParts[4])

	a := *p.blank
	a.body = []byte(b.String())
	return &a
}

// escape is Python's cgi.escape: quotes stay.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace

var escapeSpace = strings.NewReplacer("\n", "&#10;", "\r", "&#13;", "\t", "&#9;").Replace

// quoteAttr is Python's xml.sax.saxutils.quoteattr, the widgets' way to write a value: in double quotes, unless it
// has one.
func quoteAttr(s string) string {
	s = escapeSpace(escape(s))
	if !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	if !strings.Contains(s, "'") {
		return "'" + s + "'"
	}
	return `"` + strings.ReplaceAll(s, `"`, "&quot;") + `"`
}
