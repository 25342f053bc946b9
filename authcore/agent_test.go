package authcore_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

func TestAgentName(t *testing.T) {
	t.Parallel()
	const webkit = "AppleWebKit/537.36 (KHTML, like Gecko)"
	tests := map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                           "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + " Chrome/140.0.0.0 Safari/537.36":                                          "Chrome on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit + " Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":                            "Edge on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) " + webkit + " Chrome/140.0.0.0 Safari/537.36 OPR/120.0":                          "Opera on macOS",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":            "Safari on macOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile Safari/604.1":  "Chrome on iPhone",
		"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/140.0 Mobile Safari/605.1.15":        "Firefox on iPad",
		"Mozilla/5.0 (Linux; Android 15; Pixel 9) " + webkit + " Chrome/140.0.0.0 Mobile Safari/537.36":                                    "Chrome on Android",
		"Mozilla/5.0 (Linux; Android 15; SM-S921B) " + webkit + " SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":               "Samsung Internet on Android",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) " + webkit + " Chrome/140.0.0.0 Safari/537.36":                                           "Chrome on ChromeOS",
		"curl/8.14.1":                      "curl",
		"Go-http-client/2.0":               "A program",
		"python-requests/2.32.4":           "A program",
		"Gatehouse-command-line (Linux)":   "Command line on Linux",
		"Something (Linux)":                "A browser on Linux",
		"":                                 "Unknown device",
		"<script>alert(1)</script>":        "Unknown device",
		"Lynx/2.9.2 libwww-FM/2.14 SSL-MM": "Unknown device",
	}
	for agent, want := range tests {
		if got := authcore.AgentName(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}
