// Package console makes the pages on which organizations and the installation are run: what
// is on them, and what their forms do. It decides nothing: every page and every form goes
// through a service of authcore, which does. Package web finds out who asks, and draws what
// is made here.
package console
