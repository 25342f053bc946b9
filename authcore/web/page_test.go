package web

import (
	"bytes"
	"testing"
)

// What those get who are refused in a storm: the page that costs the most.
func BenchmarkBusyPage(b *testing.B) {
	b.ReportAllocs()
	v := View{Lang: "en", Brand: "Gatehouse", Host: "app.example.com", Error: &ErrorView{Code: "login_busy", Message: "busy"},
		Data: loginData{Username: "alice", Busy: true, RetryAfter: 1}}
	var page bytes.Buffer
	for b.Loop() {
		page.Reset()
		if err := pages["login"].ExecuteTemplate(&page, "page", v); err != nil {
			b.Fatal(err)
		}
	}
}
