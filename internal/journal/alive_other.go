//go:build !unix

package journal

// alive cannot tell.
func alive(int) bool { return true }
