package password

import (
	"errors"
	"testing"
)

// Length alone does not make a password.
func TestGuessable(t *testing.T) {
	t.Parallel()
	context := []string{"zoew", "zoe.winterbottom@example.com", "example.com", "Zoe Winterbottom", "gatehouse"}
	for pw, want := range map[string]string{
		"passwordpassword": CodeCommon, "password12345678": CodeCommon, "aaaaaaaaaaaaaaaaaaaa": CodeCommon, "123456789012345": CodeCommon,
		"qwertyuiopasdfghjkl": CodeCommon, "letmeinletmeinletmein": CodeCommon, "iloveyouiloveyou": CodeCommon, "               ": CodeCommon,
		"abcdefghijklmnopq": CodeCommon, "2026 password 2026": CodeCommon,
		"zoewzoewzoewzoew": CodePersonal, "winterbottom2026": CodePersonal, "Zoe Winterbottom Zoe": CodePersonal, "gatehousegatehouse": CodePersonal,
		"zoe.winterbottom@example.com": CodePersonal, "zoe winterbottom 26!": CodePersonal,
		"correct horse battery": "", "winterbottom likes tea": "", "kqv7-wz2p-rm4x-9t": "", "four quiet grey geese": "", "πάντα ῥεῖ καὶ οὐδὲν": "",
	} {
		err := DefaultRules.Check(pw, context...)
		var weak *WeakError
		if errors.As(err, &weak); want == "" && err != nil || want != "" && (weak == nil || weak.Code != want) {
			t.Errorf("%q: %v, want %q", pw, err, want)
		}
	}
}
