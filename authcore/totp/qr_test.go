package totp

import (
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"regexp"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// picture is all that an SVG of ours has.
type picture struct {
	XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
	Role    string   `xml:"role,attr"`
	Label   string   `xml:"aria-label,attr"`
	ViewBox string   `xml:"viewBox,attr"`
	Rect    []struct {
		Width  int    `xml:"width,attr"`
		Height int    `xml:"height,attr"`
		Fill   string `xml:"fill,attr"`
	} `xml:"rect"`
	Path []struct {
		Fill string `xml:"fill,attr"`
		D    string `xml:"d,attr"`
	} `xml:"path"`
}

var (
	// shape is the whole form of an SVG of ours, in which only numbers vary.
	shape = regexp.MustCompile(`^<svg xmlns="http://www\.w3\.org/2000/svg" role="img" aria-label="QR code" viewBox="0 0 \d+ \d+" shape-rendering="crispEdges">` +
		`<rect width="\d+" height="\d+" fill="#fff"/><path fill="#000" d="(?:M\d+ \d+h\d+v1h-\d+z)+"/></svg>$`)
	run = regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`)
)

// paint draws an SVG of ours as a browser would, scale pixels for a module.
func paint(t *testing.T, svg string, scale int) *image.Gray {
	t.Helper()
	var p picture
	if err := xml.Unmarshal([]byte(svg), &p); err != nil {
		t.Fatal(err)
	}
	var size int
	if _, err := fmt.Sscanf(p.ViewBox, "0 0 %d", &size); err != nil || p.ViewBox != fmt.Sprintf("0 0 %d %d", size, size) {
		t.Fatalf("the view is %q", p.ViewBox)
	}
	if p.Role != "img" || p.Label == "" || len(p.Path) != 1 || p.Path[0].Fill != "#000" ||
		len(p.Rect) != 1 || p.Rect[0].Width != size || p.Rect[0].Height != size || p.Rect[0].Fill != "#fff" {
		t.Fatalf("the picture is %+v", p)
	}
	img := image.NewGray(image.Rect(0, 0, size*scale, size*scale))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	inner := image.Rect(4, 4, size-4, size-4) // without the quiet zone
	for _, m := range run.FindAllString(p.Path[0].D, -1) {
		var x, y, width, back int
		if _, err := fmt.Sscanf(m, "M%d %dh%dv1h-%dz", &x, &y, &width, &back); err != nil || width != back {
			t.Fatalf("%s: %v", m, err)
		}
		dark := image.Rect(x, y, x+width, y+1)
		if !dark.In(inner) {
			t.Fatalf("%s is in the quiet zone", m)
		}
		draw.Draw(img, image.Rect(x*scale, y*scale, (x+width)*scale, (y+1)*scale), image.NewUniform(color.Black), image.Point{}, draw.Src)
	}
	return img
}

// read decodes a QR code with a decoder that shares nothing with the encoder.
func read(img image.Image, hints map[gozxing.DecodeHintType]any) (string, error) {
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", err
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, hints)
	if err != nil {
		return "", err
	}
	return result.GetText(), nil
}

func TestQRReadsBack(t *testing.T) {
	t.Parallel()
	uris := []string{"a", "12345", "HTTPS://EXAMPLE.COM/", strings.Repeat("~ ", 50)}
	for i, name := range oddNames {
		uris = append(uris, URI(name, oddNames[len(oddNames)-1-i], known))
	}
	for _, n := range []int{10, 50, 125} { // 9 bytes each; the issuer is there twice
		uris = append(uris, URI(strings.Repeat("花", n/2), strings.Repeat("月", n), known))
	}
	for _, uri := range uris {
		svg, err := QR(uri)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if !shape.MatchString(svg) {
			t.Errorf("more than numbers vary in %s", svg)
		}
		if got, err := read(paint(t, svg, 4), nil); err != nil || got != uri {
			t.Errorf("%d bytes: %v\n got %s\nwant %s", len(uri), err, got, uri)
		}
	}
}

// paintText draws lines of text as a terminal would, scale pixels for a module.
func paintText(t *testing.T, text string, scale int) *image.Gray {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var img *image.Gray
	for i, line := range lines {
		inner, begins := strings.CutPrefix(line, "\x1b[30;107m")
		inner, ends := strings.CutSuffix(inner, "\x1b[0m")
		if !begins || !ends {
			t.Fatalf("line %d is %q", i, line)
		}
		for x, r := range []rune(inner) {
			if img == nil {
				img = image.NewGray(image.Rect(0, 0, len([]rune(inner))*scale, 2*len(lines)*scale))
				draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
			}
			top, bottom := 2*i, 2*i+2
			switch r {
			case ' ':
				bottom = top
			case '▀':
				bottom--
			case '▄':
				top++
			case '█':
			default:
				t.Fatalf("line %d has %q", i, r)
			}
			draw.Draw(img, image.Rect(x*scale, top*scale, (x+1)*scale, bottom*scale), image.NewUniform(color.Black), image.Point{}, draw.Src)
		}
	}
	return img
}

func TestQRTextReadsBack(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"a", "https://auth.example.com/.gate/device?user_code=BCDF-GHJK", strings.Repeat("~ ", 50)} {
		text, err := QRText(uri)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if got, err := read(paintText(t, text, 4), nil); err != nil || got != uri {
			t.Errorf("%v\n got %s\nwant %s\n%s", err, got, uri, text)
		}
	}
	if _, err := QRText("ü"); err == nil {
		t.Error("what is not ASCII")
	}
}

// As many bytes as there is room for, and one more.
func TestQRLimit(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("otpauth://totp/", 156)[:2331]
	svg, err := QR(longest)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := read(paint(t, svg, 4), map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true}); err != nil || got != longest {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := QR(longest + "x"); err == nil || !strings.Contains(err.Error(), "2332 bytes") || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("one more: %v", err)
	}
}

func TestQRRefuses(t *testing.T) {
	t.Parallel()
	for _, uri := range []string{"otpauth://totp/ü", "a\nb", "\x00", "\xff", "\x7f"} {
		if svg, err := QR(uri); err == nil || svg != "" || !strings.Contains(err.Error(), "ASCII") {
			t.Errorf("%q: %q, %v", uri, svg, err)
		}
	}
}

func BenchmarkQR(b *testing.B) {
	uri := URI("auth.example.com", "alice@example.com", known)
	b.ReportAllocs()
	for b.Loop() {
		svg, err := QR(uri)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(svg)), "bytes")
	}
}
