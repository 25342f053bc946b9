package authcore

import "strings"

// CommandLineAgent is how the User-Agent of the command line begins.
const CommandLineAgent = "Gatehouse-command-line"

// AgentName names a browser and system from a User-Agent, well enough for somebody
// to recognise their own. The order matters: most browsers also name others.
func AgentName(agent string) string {
	find := func(known [][2]string) string {
		for _, k := range known {
			if strings.Contains(agent, k[0]) {
				return k[1]
			}
		}
		return ""
	}
	browser := find([][2]string{{CommandLineAgent, "Command line"}, {"Edg", "Edge"}, {"OPR/", "Opera"}, {"Vivaldi", "Vivaldi"}, {"SamsungBrowser", "Samsung Internet"},
		{"Firefox/", "Firefox"}, {"FxiOS", "Firefox"}, {"CriOS", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
		{"curl/", "curl"}, {"Go-http-client", "A program"}, {"python", "A program"}})
	system := find([][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"},
		{"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}})
	switch {
	case browser == "" && system == "":
		return "Unknown device"
	case browser == "":
		return "A browser on " + system
	case system == "":
		return browser
	}
	return browser + " on " + system
}
