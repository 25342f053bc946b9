package web

import (
	"net/http"
	"strings"

	"github.com/gatehouse-auth/gatehouse/authcore"
)

// device is what the browser remembers of sign-ins here; of a cookie that is
// forged, cut or too old, nothing.
func (h *Handler) device(r *http.Request, p Place) authcore.Device {
	b, err := h.Devices.Open(readCookie(r.Header, cookieName(deviceCookie, p.Secure)), authcore.DeviceLife)
	if err != nil {
		return nil
	}
	return authcore.ParseDevice(b)
}

// remember adds a proof to what the browser remembers.
func (h *Handler) remember(w http.ResponseWriter, r *http.Request, p Place, proof authcore.Proof) {
	setCookie(w, p, deviceCookie, h.Devices.Seal(h.device(r, p).With(proof).Bytes()), authcore.DeviceLife)
}

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
	browser := find([][2]string{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Vivaldi", "Vivaldi"}, {"SamsungBrowser", "Samsung Internet"},
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
