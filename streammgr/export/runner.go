package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/streammgr/log"
	"github.com/fascia-edge/fascia/vehicle"
)

// lookEvery is how often a runner looks whether what holds it back is over.
const lookEvery = time.Second

// forever is longer than any wait.
const forever = time.Duration(math.MaxInt64)

// Options of a runner. Config, Stream and Target must be there.
type Options struct {
	Config Config
	Stream *log.Stream
	Target Target
	Uplink *Uplink        // nil for a target that uses no link of the vehicle, such as a file
	State  *vehicle.State // for Config.When
	Keeper Keeper         // nil forgets at a restart whether it is paused
	Clock  *clock.Clock   // judges whether the time of day is known; one that trusts the kernel
	Log    *slog.Logger   // slog.Default()
}

// Keeper keeps small values over a restart, by key.
type Keeper interface {
	Get(key string) []byte // nil if there is none
	Put(key string, value []byte) error
}

// Runner is one exporter of a stream. Its methods are safe for concurrent use.
type Runner struct {
	config     Config
	stream     *log.Stream
	target     Target
	holder     Holder // target if it is one, else nil
	keeper     Keeper
	clock      *clock.Clock
	log        *slog.Logger
	checkpoint *log.Checkpoint

	// The runner's goroutine alone uses these.
	hours   *hours              // nil for always
	when    *vehicle.Expression // nil without a condition
	claim   *claim
	limiter limiter
	backOff backOff
	until   clock.Time // nothing is sent before, after a failure
	due     clock.Time // when what waits is sent though the batch is not full; 0 if nothing waits
	again   int        // messages of the batch that is to be sent again, 0 for a new one
	tend    bool       // the next batch is empty: the target has something open and may want to finish it
	average int        // bytes of a message in the last batch
	batch   []log.Message

	poke     chan struct{} // has one that is held back look again
	retryNow atomic.Bool

	mu       sync.Mutex // guards the fields below
	next     uint64     // first message that was not handed over; changed by the goroutine alone
	status   Status     // what is counted, and State and Held
	paused   bool
	failing  bool       // the last try failed
	refused  bool       // and for good
	told     bool       // and the log has it
	toldAt   clock.Time // when it had such a line last
	oldest   oldest
	missedAt clock.Time // when missed messages were logged last

	looping  context.Context // ends when nothing more is to be begun
	stopLoop context.CancelFunc
	sending  context.Context // ends when what was begun is to be given up
	stopSend context.CancelFunc
	running  sync.WaitGroup
}

// New makes a runner that goes on behind its checkpoint, or begins with the oldest
// message. From then on the stream keeps what it has not exported, as its policy
// allows. The error says what of the configuration can't be used.
func New(o Options) (*Runner, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.New(clock.TrustKernel)
	}
	c := o.Config
	c.complete()
	r := &Runner{
		config:  c,
		stream:  o.Stream,
		target:  o.Target,
		keeper:  o.Keeper,
		clock:   o.Clock,
		log:     o.Log.With("stream", o.Stream.Name(), "exporter", c.Name),
		claim:   o.Uplink.claim(c.priority()),
		limiter: limiter{rate: int64(c.Rate)},
		backOff: backOff{config: c.BackOff},
		poke:    make(chan struct{}, 1),
	}
	r.holder, _ = o.Target.(Holder)
	if !isName(c.Name) {
		return nil, r.errorf("want a name of up to %d letters, digits, hyphens and underscores", maxName)
	}
	if c.Schedule != nil {
		var err error
		if r.hours, err = c.Schedule.compile(); err != nil {
			return nil, r.errorf("%w", err)
		}
	}
	if c.When != "" {
		if o.State == nil {
			return nil, r.errorf("when: there is no state of a vehicle")
		}
		var err error
		if r.when, err = o.State.CompileCondition(c.When); err != nil {
			return nil, r.errorf("when: %w", err)
		}
	}
	if o.Keeper != nil {
		r.paused = string(o.Keeper.Get(r.key())) == isPaused
	}
	r.checkpoint = o.Stream.Checkpoint(c.Name)
	r.next = r.checkpoint.Get()
	if r.holder != nil {
		if _, next := r.holder.Held(); next > r.next && next <= o.Stream.Info().Next {
			r.next = next
		}
	}
	r.looping, r.stopLoop = context.WithCancel(context.Background())
	r.sending, r.stopSend = context.WithCancel(context.Background())
	return r, nil
}

func (r *Runner) errorf(format string, args ...any) error {
	return fmt.Errorf("stream %q: exporter %q: %w", r.stream.Name(), r.config.Name, fmt.Errorf(format, args...))
}

// Name is the exporter's name.
func (r *Runner) Name() string { return r.config.Name }

// Config is the configuration with what it left out.
func (r *Runner) Config() Config { return r.config }

// Start begins to export, once. The runner ends by Stop, or when its stream is
// deleted.
func (r *Runner) Start() { r.running.Go(r.run) }

// Stop begins nothing more, waits until ctx ends for what is being sent, and closes
// the target. The error is the target's. Stop without Start closes it only.
func (r *Runner) Stop(ctx context.Context) error {
	r.stopLoop()
	giveUp := context.AfterFunc(ctx, r.stopSend)
	r.running.Wait()
	giveUp()
	r.stopSend()
	r.setState(Stopped, "")
	if err := r.target.Close(ctx); err != nil {
		return r.errorf("%w", err)
	}
	return nil
}

// run sends one batch after the other.
func (r *Runner) run() {
	defer r.claim.leave()
	for {
		err := r.await()
		if err == nil {
			err = r.deliver()
		}
		switch {
		case err == nil:
		case r.looping.Err() != nil || errors.Is(err, log.ErrClosed):
			return
		case errors.Is(err, log.ErrDeleted):
			r.log.Info("the stream was deleted: its exporter ends")
			r.setState(Deleted, "")
			return
		default: // the stream can't be read
			r.fail(err)
		}
	}
}

// await returns when a batch is to be sent and nothing speaks against it.
func (r *Runner) await() error {
	for {
		if err := r.fill(); err != nil {
			return err
		}
		state, why, wait := r.held(clock.Now())
		if wait == 0 {
			return nil
		}
		r.claim.leave()
		r.setState(state, why)
		if err := r.sleep(min(wait, lookEvery)); err != nil {
			return err
		}
	}
}

// fill returns when what waits fills a batch, or has waited long enough; or now and
// then while the target has something open, with tend set.
func (r *Runner) fill() error {
	r.tend = false
	if r.again > 0 || r.waiting() >= r.fullAt() {
		return nil
	}
	r.claim.leave()
	if r.due == 0 {
		r.setState(Idle, "")
		if err := r.waitFor(r.position(), forever); err != nil || r.tend {
			return err
		}
		r.due = clock.Now() + clock.Time(r.config.BatchInterval)
	}
	left := time.Duration(r.due - clock.Now())
	if left <= 0 {
		return nil
	}
	r.setState(Filling, "")
	return r.waitFor(r.position()+r.fullAt()-1, left)
}

// waitFor waits for a message, and not longer than so long. While the target has
// something open it returns in time to tend it.
func (r *Runner) waitFor(seq uint64, most time.Duration) error {
	holding := r.holding()
	if holding && most > lookEvery {
		most = lookEvery
	} else {
		holding = false
	}
	ctx, cancel := context.WithTimeout(r.looping, most)
	defer cancel()
	err := r.stream.WaitSynced(ctx, seq)
	if errors.Is(err, context.DeadlineExceeded) {
		r.tend = holding
		return nil
	}
	return err
}

// holding reports whether the target keeps something open.
func (r *Runner) holding() bool {
	if r.holder == nil {
		return false
	}
	_, next := r.holder.Held()
	return next > 0
}

// position is the first message that was not handed over.
func (r *Runner) position() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next
}

// waiting is how many messages may be sent.
func (r *Runner) waiting() uint64 {
	next, synced := r.position(), r.stream.Info().Synced
	return max(synced, next) - next
}

// fullAt is how many messages fill a batch, as long as those of the last one.
func (r *Runner) fullAt() uint64 {
	n := r.config.BatchSize
	if r.average > 0 {
		n = min(n, int(r.config.BatchBytes)/r.average)
	}
	return uint64(max(1, n))
}

// held says what keeps the runner from sending, why, and when that may be over; 0 if
// nothing does.
func (r *Runner) held(now clock.Time) (State, string, time.Duration) {
	if r.retryNow.Swap(false) {
		r.until = 0
	}
	switch {
	case r.config.Disabled:
		return Disabled, "by the configuration", lookEvery
	case r.isPaused():
		return Paused, "", lookEvery
	case r.hours != nil && !r.clock.Synchronised():
		return Held, "the time of day is not known", lookEvery
	case r.hours != nil && !r.hours.open(time.Now()):
		return Held, "its schedule", lookEvery
	case r.when != nil && !r.when.True(int64(now)):
		return Held, "its condition, " + r.config.When, lookEvery
	case r.until > now:
		return r.failure(), "", time.Duration(r.until - now)
	case r.limiter.wait(now) > 0:
		return Held, "its rate", r.limiter.wait(now)
	}
	return "", "", 0
}

// sleep waits, or until somebody pokes.
func (r *Runner) sleep(wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.poke:
	case <-r.looping.Done():
		return r.looping.Err()
	}
	return nil
}
