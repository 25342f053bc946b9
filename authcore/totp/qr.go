package totp

import (
	"errors"
	"fmt"
	"image/color"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// quietZone is the width in modules of the white around the code that readers
// need (ISO/IEC 18004, section 6.3.8).
const quietZone = 4

// QR returns a picture of the QR code of a URI: an svg element whose unit is a
// module of the code, for a style sheet to size. It is black on white whatever
// the colour scheme, because many readers know no other; it needs neither
// scripts nor inline styles, so it fits any Content-Security-Policy.
//
// The text is made of constants and numbers only, nothing of the URI is in it:
// it may be put into a page as it is, as a template.HTML. Like the URI it shows
// the secret.
//
// It is an error when the URI is not ASCII or too long for a QR code, which has
// room for 2331 bytes; the secret can still be typed.
func QR(uri string) (svg string, err error) {
	size, dark, err := modules(uri, qr.M)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="QR code" viewBox="0 0 %[1]d %[1]d" shape-rendering="crispEdges">`+
		`<rect width="%[1]d" height="%[1]d" fill="#fff"/><path fill="#000" d="`, size+2*quietZone)
	for y := range size {
		for x := 0; x < size; x++ {
			start := x
			for dark(x, y) {
				x++
			}
			if x > start { // a row of dark modules side by side is one rectangle
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", start+quietZone, y+quietZone, x-start, x-start)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.String(), nil
}

// QRText returns the QR code of a URI for a terminal, two modules to a character. It sets
// its colours, black on white, so that it can be read on any background. Its errors are
// those of QR.
func QRText(uri string) (string, error) {
	size, dark, err := modules(uri, qr.L) // small is better here
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for y := -quietZone; y < size+quietZone; y += 2 {
		b.WriteString("\x1b[30;107m")
		for x := -quietZone; x < size+quietZone; x++ {
			switch above, below := dark(x, y), dark(x, y+1); {
			case above && below:
				b.WriteString("█")
			case above:
				b.WriteString("▀")
			case below:
				b.WriteString("▄")
			default:
				b.WriteString(" ")
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String(), nil
}

// modules gives the width of the QR code of a URI, and which of its modules are dark: none
// beyond it.
func modules(uri string, level qr.ErrorCorrectionLevel) (size int, dark func(x, y int) bool, err error) {
	for i := range len(uri) {
		if uri[i] < ' ' || uri[i] > '~' {
			return 0, nil, errors.New("the URI for the QR code is not printable ASCII: escape it")
		}
	}
	picture, err := qr.Encode(uri, level, qr.Auto)
	if err != nil {
		// Its error is not for people, and could quote the URI.
		return 0, nil, fmt.Errorf("the URI for the QR code has %d bytes, which is too many: use a shorter issuer or account name", len(uri))
	}
	size = picture.Bounds().Dx()
	return size, func(x, y int) bool {
		return x >= 0 && y >= 0 && x < size && y < size && picture.At(x, y) == color.Black
	}, nil
}
