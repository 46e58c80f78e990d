package file

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/fascia-edge/fascia/streammgr/log"
)

// Folder is where an exporter's files go below the folder of all: names of streams may
// hold what paths mind, such as ../ and spaces.
func Folder(stream, exporter string) string {
	name := url.PathEscape(stream)
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	return filepath.Join(name, exporter)
}

// part is what the name of a file ends in that is being written.
const part = ".part"

// timeForm is the ISO 8601 basic format: it has no signs that file systems mind, and
// sorts.
const timeForm = "20060102T150405Z"

// names makes the names of files, and knows them again.
type names struct {
	template string // with ${time}, ${epoch} and ${first}
	ext      string
	form     *regexp.Regexp
	epoch    int // the submatches of form
	first    int
}

func newNames(template, ext string, vars map[string]string) (*names, error) {
	var pairs []string
	for name, value := range vars {
		pairs = append(pairs, "${"+name+"}", url.PathEscape(value))
	}
	n := &names{template: strings.NewReplacer(pairs...).Replace(template), ext: ext}
	form := regexp.QuoteMeta(n.template)
	for name, digits := range map[string]string{
		"time":  `\d{8}T\d{6}Z`,
		"epoch": `(?P<epoch>\d{1,10})`,
		"first": `(?P<first>\d{20})`,
	} {
		form = strings.ReplaceAll(form, regexp.QuoteMeta("${"+name+"}"), digits)
	}
	var err error
	if n.form, err = regexp.Compile("^" + form + regexp.QuoteMeta(ext) + "(?:" + regexp.QuoteMeta(part) + ")?$"); err != nil {
		return nil, fmt.Errorf("name %q: %w", template, err)
	}
	n.epoch, n.first = n.form.SubexpIndex("epoch"), n.form.SubexpIndex("first")
	if n.epoch < 0 || n.first < 0 || strings.Contains(form, regexp.QuoteMeta("${")) {
		return nil, fmt.Errorf("name %q: want ${epoch} and ${first}, and of others only ${stream}, ${vin}, ${thing} and ${time}", template)
	}
	return n, nil
}

// of is the name of the file that begins with a message.
func (n *names) of(m *log.Message) string {
	return strings.NewReplacer(
		"${time}", m.Time.UTC().Format(timeForm),
		"${epoch}", strconv.FormatUint(uint64(m.Epoch), 10),
		"${first}", fmt.Sprintf("%020d", m.Seq),
	).Replace(n.template) + n.ext
}

// at is where a file begins; false for a name that is not one of ours.
func (n *names) at(name string) (epoch, first uint64, ok bool) {
	found := n.form.FindStringSubmatch(name)
	if found == nil {
		return 0, 0, false
	}
	epoch, errEpoch := strconv.ParseUint(found[n.epoch], 10, 32)
	first, errFirst := strconv.ParseUint(found[n.first], 10, 64)
	return epoch, first, errEpoch == nil && errFirst == nil
}
