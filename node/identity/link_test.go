package identity

import (
	"errors"
	"strings"
	"testing"
)

func testLink() Link {
	var l Link
	for i := range l.Account {
		l.Account[i] = byte(i * 7)
	}
	for i := range l.Secret {
		l.Secret[i] = byte(200 + i)
	}
	return l
}

func TestLinkRoundTrip(t *testing.T) {
	l := testLink()
	text := l.String()
	for _, variant := range []string{text, strings.ToUpper(text), "  " + text + "\n"} {
		if got, err := ParseLink(variant); err != nil || got != l {
			t.Errorf("%q: %v, %v", variant, got, err)
		}
	}
}

func TestLinkFindsEveryTypo(t *testing.T) {
	text := testLink().String()
	for i := len(linkPrefix); i < len(text); i++ {
		for _, r := range "a7q" {
			if typo := text[:i] + string(r) + text[i+1:]; typo != text {
				if _, err := ParseLink(typo); !errors.Is(err, ErrBadLink) {
					t.Fatalf("character %d as %q: %v", i, r, err)
				}
			}
		}
		if _, err := ParseLink(text[:i]); !errors.Is(err, ErrBadLink) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
}

func TestLinkRefuses(t *testing.T) {
	text := testLink().String()
	newer := append([]byte{linkVersion + 1}, "whatever a later version holds"...)
	for name, c := range map[string]struct {
		text, says string
		is         error
	}{
		"empty":             {"", "does not begin", ErrBadLink},
		"no prefix":         {text[6:], "does not begin", ErrBadLink},
		"a digit not used":  {text[:20] + "1" + text[21:], "never used", ErrBadLink},
		"not ASCII":         {text[:20] + "é" + text[21:], "never used", ErrBadLink},
		"two characters":    {text[:20] + text[21:22] + text[20:21] + text[22:], "checksum", ErrBadLink},
		"endless":           {linkPrefix + strings.Repeat("a", 1<<20), "longer than", ErrBadLink},
		"a later version":   {linkPrefix + base32Text.EncodeToString(append(newer, checksum(newer)...)), "update peerd", ErrNewerVersion},
		"too long, checked": {longLink(), "should hold", ErrBadLink},
	} {
		_, err := ParseLink(c.text)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want one that says %q", name, err, c.says)
		}
	}
}

func longLink() string {
	raw := append([]byte{linkVersion}, make([]byte, linkSize)...)
	return linkPrefix + base32Text.EncodeToString(append(raw, checksum(raw)...))
}

func TestAccountIDText(t *testing.T) {
	a := testLink().Account
	if got, err := ParseAccountID(a.String()); err != nil || got != a {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", a.String()[1:], strings.ToUpper(a.String()), a.String()[:51] + "b"} {
		if _, err := ParseAccountID(bad); !errors.Is(err, ErrBadKey) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParseLink(f *testing.F) {
	text := testLink().String()
	for _, seed := range []string{text, strings.ToUpper(text), text[:40], "", linkPrefix, linkPrefix + "aaaa", longLink()} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLink(text)
		if err != nil {
			if !errors.Is(err, ErrBadLink) && !errors.Is(err, ErrNewerVersion) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		if again, err := ParseLink(l.String()); err != nil || again != l {
			t.Fatalf("%q became %v, %v", text, again, err)
		}
	})
}
