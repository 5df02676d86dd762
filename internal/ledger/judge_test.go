package ledger

import "testing"

func TestEachRowOfTheTableIsJudgedSo(t *testing.T) {
	for _, tt := range []struct {
		name string
		e    evidence
		want Mail
	}{
		{"a digest that was not there before", evidence{newer: true, accepted: true, due: yes, guarded: no}, Mailed},
		{"the same, whatever else seems to be known", evidence{newer: true, due: no, guarded: yes, pending: true}, Mailed},
		{"skipped in silence", evidence{accepted: true, due: yes, guarded: yes}, Swallowed},
		{"nothing to mail", evidence{accepted: true, due: no, guarded: no}, Nothing},
		{"nothing to mail, guarded or not", evidence{accepted: true, due: no, guarded: maybe, pending: true}, Nothing},
		{"something to mail, and no digest", evidence{accepted: true, due: yes, guarded: no}, Missing},
		{"a digest that may not be visible yet", evidence{accepted: true, due: yes, guarded: no, pending: true}, Unknown},
		{"a post at the edge of the window", evidence{accepted: true, due: maybe, guarded: no}, Unknown},
		{"a guard at its edge", evidence{accepted: true, due: yes, guarded: maybe}, Unknown},
		{"both at their edges", evidence{accepted: true, due: maybe, guarded: yes}, Unknown},
		{"a send that failed", evidence{due: yes, guarded: no}, NotAsked},
	} {
		if got := judge(tt.e); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestAnswersComeBackFromTheirLetters(t *testing.T) {
	all := append([]Mail{NotAsked}, Mails()...)
	text := Letters(all)
	for i, m := range all {
		if got := MailOf(text[i]); got != m {
			t.Errorf("%v is written %c and read %v", m, text[i], got)
		}
	}
	if got := MailOf('?'); got != Unknown {
		t.Errorf("a letter of no answer is read %v", got)
	}
	if len(Mails())+1 != len(letters) || len(Counts{}) != len(letters) {
		t.Error("an answer has no letter, or is not listed")
	}
}
