// Package state owns the state directory: the lock of an installation, one journal a run, and the history of what each
// group's send takes. The rules of the two files stand at the top of journal.go and history.go.
//
// It never sends, decides what is to be sent, or prints. A [Writer] owns one goroutine, which brings the journal to
// the disk once a second and has ended when [Writer.Close] returns; nothing else here outlives its call.
package state
