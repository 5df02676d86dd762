//go:build packaging

package contrib_test

import (
	"fmt"
	"os"
	"strings"
)

// A unit is a systemd unit file: the values of each setting, in their order.
type unit map[string][]string

// readUnit reads a unit file as systemd does, as far as ours go: no line is continued, and instance is what %i means.
func readUnit(path, instance string) (unit, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	u, section := unit{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, value, isSetting := strings.Cut(line, "=")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
		case !isSetting || strings.HasSuffix(line, `\`):
			return nil, fmt.Errorf("%s: %q is nothing that this reader knows", path, line)
		default:
			name = section + "." + name
			u[name] = append(u[name], strings.ReplaceAll(value, "%i", instance))
		}
	}
	return u, nil
}

// one is the value of a setting that stands there once.
func (u unit) one(name string) string {
	if len(u[name]) != 1 {
		panic(fmt.Sprintf("%s stands there %d times", name, len(u[name])))
	}
	return u[name][0]
}

// readEnvironment reads a file of an EnvironmentFile= into environ.
func readEnvironment(path string, environ map[string]string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, value, ok := strings.Cut(line, "="); ok && line[0] != '#' {
			environ[name] = strings.Trim(value, `"`)
		}
	}
	return nil
}

// expand makes the words of an ExecStart=: ${NAME} is a part of a word, $NAME as a word of its own may be several or none.
func expand(command string, environ map[string]string) (words []string) {
	for word := range strings.FieldsSeq(command) {
		if name, alone := strings.CutPrefix(word, "$"); alone && !strings.HasPrefix(name, "{") {
			words = append(words, strings.Fields(environ[name])...)
			continue
		}
		for name, value := range environ {
			word = strings.ReplaceAll(word, "${"+name+"}", value)
		}
		words = append(words, word)
	}
	return words
}
