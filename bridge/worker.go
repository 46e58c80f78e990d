package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/bridge/link"
	"github.com/fascia-edge/fascia/bridge/profile"
	"github.com/fascia-edge/fascia/bridge/rule"
	"github.com/fascia-edge/fascia/bridge/spool"
	"github.com/fascia-edge/fascia/config"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

// mostMessages bounds a queue beside its bytes: what the store remembers of each
// message counts too.
const mostMessages = 16 << 20

// drainFor is how long a link that is no longer configured may take to have what is
// under way acknowledged.
const drainFor = 2 * time.Second

// worker is one link: its connection, its spool and its rules.
type worker struct {
	name    string
	options *Options
	log     *slog.Logger
	limits  profile.Limits
	marks   *rule.Marks

	classes []spool.ClassConfig // those configured, and those that only hold what is left
	queues  []Queue
	dead    Queue
	sender  *spool.Sender
	link    *link.Link
	feeds   feeds
	down    down
	teller  teller
	cost    cost

	rules         atomic.Pointer[rule.Set]
	subscriptions subscriber

	mu     sync.Mutex // guards the field below
	config LinkConfig

	stopSending context.CancelFunc
	stopLink    context.CancelFunc
	running     sync.WaitGroup // ends after stopSending
	linked      sync.WaitGroup // ends after stopLink
}

func newWorker(c LinkConfig, options *Options) (*worker, error) {
	w := &worker{
		name:    c.Name,
		options: options,
		log:     options.Log.With("link", c.Name),
		marks:   rule.NewMarks(options.Clock),
		config:  c,
	}
	w.subscriptions.init(w)
	w.teller.init(w)
	w.cost.init(w)
	limits, err := profile.Of(c.Profile)
	if err != nil {
		return nil, fmt.Errorf("link %q: %w", c.Name, err)
	}
	w.limits = limits
	rules, err := w.compile(&c)
	if err != nil {
		return nil, err
	}
	w.rules.Store(rules)
	lo := linkOptions(&c, options.Vehicle, options.Log)
	lo.Handler = w
	if lo.Will, err = c.will(options.Vehicle, linkDown); err != nil {
		return nil, fmt.Errorf("link %q: will: %w", c.Name, err)
	}
	if w.link, err = link.New(c.Config, lo); err != nil {
		return nil, err
	}
	return w, nil
}

func linkOptions(c *LinkConfig, who Vehicle, log *slog.Logger) link.Options {
	o := link.Options{Name: c.Name, Vars: who.variable, Log: log}
	if limits, err := profile.Of(c.Profile); err == nil && limits.ALPN != "" {
		o.ALPN443 = []string{limits.ALPN}
	}
	return o
}

// compile makes the rules of a configuration; the error is the first problem.
func (w *worker) compile(c *LinkConfig) (*rule.Set, error) {
	set, problems := compileRules(c, w.options.Vehicle, w.options.State, w.options.Clock, w.options.Streams)
	for _, p := range problems {
		if !p.Warning {
			return nil, fmt.Errorf("link %q: rules %v: %s", c.Name, p.Path, p.Text)
		}
	}
	return set, nil
}

// queueName is the name of a queue of the link.
func (w *worker) queueName(class string) string { return queuePrefix + w.name + "/" + class }

// open opens the queues, and lets the rules take messages.
func (w *worker) open() (err error) {
	defer func() {
		if err != nil {
			w.closeQueues()
			err = fmt.Errorf("link %q: %w", w.name, err)
		}
	}()
	c := w.configuration()
	classes, _ := c.classes()
	w.classes = slices.Clone(classes)
	for i, class := range classes {
		q, err := w.options.Broker.OpenQueue(w.queueName(class.Name), limitsOf(classes, i))
		if err != nil {
			return err
		}
		w.queues = append(w.queues, q)
	}
	if err := w.openLeft(c.Spool); err != nil {
		return err
	}
	if w.dead, err = w.options.Broker.OpenQueue(w.queueName(deadQueue), Limits{Bytes: int(c.Spool.Dead), Messages: mostMessages}); err != nil {
		return err
	}
	w.sender, err = spool.New(spool.Options{
		Classes: w.classes,
		Queues:  w.queues,
		Dead:    w.dead,
		Window:  w.window(&c),
		Memory:  int(c.Spool.Memory),
		Rate:    w.rate(&c),
		Rules:   w.rules.Load(),
		State:   w.options.State,
		Pay:     w.cost.stops,
		Stream:  w.options.stream,
		Clock:   w.options.Clock,
		Log:     w.log,
	})
	if err != nil {
		return err
	}
	w.cost.use(c.Budget)
	return w.feeds.use(w, w.rules.Load())
}

// openLeft opens the queues of classes that are not configured any more, as the last
// ones: what is in them still goes.
func (w *worker) openLeft(cfg SpoolConfig) error {
	for _, name := range w.options.Broker.StoredQueues(w.queueName("")) {
		class := strings.TrimPrefix(name, w.queueName(""))
		if class == deadQueue || slices.ContainsFunc(w.classes, func(c spool.ClassConfig) bool { return c.Name == class }) {
			continue
		}
		q, err := w.options.Broker.OpenQueue(name, Limits{Bytes: int(cfg.Size), Messages: mostMessages})
		if err != nil {
			return err
		}
		if q.Len() == 0 {
			if err := q.Drop(); err != nil {
				w.log.Warn("the empty queue of a class that is not configured any more can't be removed", "class", class, "error", err)
			}
			continue
		}
		w.log.Info("messages of a class that is not configured any more go after all others", "class", class, "messages", q.Len())
		w.classes = append(w.classes, spool.ClassConfig{Name: class, Size: cfg.Size, WhenFull: spool.DropOldest})
		w.queues = append(w.queues, q)
	}
	return nil
}

func limitsOf(classes []spool.ClassConfig, i int) Limits {
	return Limits{Bytes: spool.Room(classes, i), Messages: mostMessages, Reject: classes[i].WhenFull == spool.Reject}
}

// rate is what may be sent in a second: as much as the far side takes, if the
// configuration says nothing else.
func (w *worker) rate(c *LinkConfig) spool.Rate {
	r := c.Rate
	if r.Messages == 0 {
		r.Messages = float64(w.limits.PublishesPerSecond)
	}
	if r.Bytes == 0 {
		r.Bytes = config.Size(w.limits.BytesPerSecond)
	}
	return r
}

// window is how many messages may be under way.
func (w *worker) window(c *LinkConfig) int {
	if w.limits.InFlight > 0 {
		return min(c.Window, w.limits.InFlight)
	}
	return c.Window
}

func (w *worker) start(ctx context.Context) {
	sending, stopSending := context.WithCancel(ctx)
	linked, stopLink := context.WithCancel(ctx)
	w.stopSending, w.stopLink = stopSending, stopLink
	w.down.ctx = linked
	w.teller.metered(w.configuration().Metered)
	w.running.Go(func() { w.sender.Run(sending) })
	w.running.Go(func() { w.release(sending) })
	w.running.Go(func() { w.teller.run(sending) })
	w.running.Go(func() { w.cost.run(sending) })
	w.linked.Go(func() { w.subscriptions.run(linked) })
	w.linked.Go(func() { w.link.Run(linked) })
}

// stop takes nothing more, waits until ctx ends for what is under way, and closes.
func (w *worker) stop(ctx context.Context) {
	w.feeds.close()
	if w.stopLink != nil {
		if left := w.sender.Drain(ctx); left > 0 {
			w.log.Info("stopped before all was acknowledged: it is sent again", "messages", left)
		}
		w.stopLink()
		w.linked.Wait()
		w.stopSending()
		w.running.Wait()
	}
	w.closeQueues()
}

// leave is stop for a link that is not configured any more.
func (w *worker) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	w.stop(ctx)
	w.teller.gone()
}

// close is stop before start.
func (w *worker) close() {
	w.feeds.close()
	w.closeQueues()
}

func (w *worker) closeQueues() {
	for _, q := range w.queues {
		q.Close()
	}
	if w.dead != nil {
		w.dead.Close()
	}
}

// release hands on what rules held back for a while. It goes from one set of rules to
// the next.
func (w *worker) release(ctx context.Context) {
	for ctx.Err() == nil {
		set := w.rules.Load()
		until, cancel := context.WithCancel(ctx)
		w.feeds.onChange(cancel)
		if w.rules.Load() == set {
			set.Release(until, w.put)
		}
		cancel()
	}
}

// put takes a message for a rule without its publisher waiting for it.
func (w *worker) put(up *rule.Up, p *message.Publication) {
	meta, stored := w.metaOf(up, p)
	if !stored {
		return
	}
	for i, class := range w.classes {
		if class.Name != up.Class() {
			continue
		}
		if err := w.queues[i].Append(p.Message(), meta); err != nil {
			w.log.Warn("a message that was held back is lost", "rule", up.Name(), "topic", p.Topic, "error", err)
		}
		return
	}
}

func (w *worker) configuration() LinkConfig {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.config
}
