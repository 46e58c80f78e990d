package http

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/fascia-edge/fascia/streammgr/export"
)

// errTooLarge is the answer 413.
var errTooLarge = errors.New("413 Content Too Large")

// judge is the error of an answer that is not 2xx. broken is why its text could not be
// read to the end, if so.
func judge(answer *http.Response, text []byte, broken error) error {
	said := answer.Status
	if quoted := quote(text); quoted != "" && broken == nil {
		said += ": " + quoted
	}
	switch code := answer.StatusCode; {
	case code == http.StatusRequestEntityTooLarge:
		return errTooLarge
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		return export.After(retryAfter(answer.Header), fmt.Errorf("%w: %s", export.ErrThrottled, said))
	case code == http.StatusRequestTimeout, code >= 500:
		return errors.New(said)
	case code/100 == 3:
		return fmt.Errorf("%w: %s: want the address that it redirects to in url", export.ErrRefused, said)
	}
	return fmt.Errorf("%w: %s", export.ErrRefused, said)
}

// retryAfter is how long the endpoint wants to be left alone (RFC 9110 §10.2.3), 0 if
// it does not say. A date counts from the endpoint's own: the vehicle's clock may be
// wrong.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return max(0, until.Sub(now))
}

// quote is the beginning of an answer's text, on one line.
func quote(text []byte) string {
	s := strings.ToValidUTF8(string(text[:min(len(text), maxQuote)]), "")
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// withoutURL is an error of the client without the address, which may have secrets in
// its query.
func withoutURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
