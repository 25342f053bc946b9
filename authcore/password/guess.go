package password

import (
	"slices"
	"strings"
	"unicode"
)

// guessable tells whether a folded password is made of so little that it is guessed soon,
// however long it is: few different characters, a common password over and over or with
// digits around it, or a walk along the alphabet, the digits or a row of keys.
func guessable(folded string) bool {
	runes := []rune(folded)
	different := make(map[rune]bool)
	for _, r := range runes {
		different[r] = true
	}
	if len(different) < 5 {
		return true
	}
	if base := period(runes); len(base) < len(runes) && (len(base) < 8 || guessable(string(base)) || isCommon(string(base))) {
		return true
	}
	core := strings.TrimFunc(folded, func(r rune) bool { return !unicode.IsLetter(r) })
	return core != folded && isCommon(core) || walks(runes)*10 >= (len(runes)-1)*8
}

func isCommon(folded string) bool {
	_, found := common()[folded]
	return found
}

// period is the shortest text of which another is made by repeating it.
func period(runes []rune) []rune {
	for p := 1; p <= len(runes)/2; p++ {
		same := len(runes)%p == 0
		for i := p; same && i < len(runes); i++ {
			same = runes[i] == runes[i-p]
		}
		if same {
			return runes[:p]
		}
	}
	return runes
}

// rows are what fingers walk along, both ways.
var rows = []string{"abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm"}

// walks counts the steps from one character to a neighbour of it.
func walks(runes []rune) (n int) {
	for i := 1; i < len(runes); i++ {
		pair, back := string(runes[i-1:i+1]), string([]rune{runes[i], runes[i-1]})
		for _, row := range rows {
			if strings.Contains(row, pair) || strings.Contains(row, back) {
				n++
				break
			}
		}
	}
	return n
}

// isPersonal tells whether a folded password is little more than words that are known of
// its user, whatever stands between them.
func isPersonal(folded string, words []string) bool {
	letters := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || unicode.IsDigit(r) {
				return r
			}
			return -1
		}, s)
	}
	var parts []string
	for _, word := range words {
		parts = append(parts, letters(fold(word)))
		parts = append(parts, strings.FieldsFunc(fold(word), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })...)
	}
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) })
	rest := letters(folded)
	before := len(rest)
	for _, part := range parts {
		if len([]rune(part)) >= 3 {
			rest = strings.ReplaceAll(rest, part, "")
		}
	}
	// Digits are the first that people put behind a name.
	left := strings.TrimFunc(rest, unicode.IsDigit)
	return len(rest) < before && len([]rune(left)) < 5
}
