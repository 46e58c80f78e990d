package rule

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fascia-edge/fascia/clock"
	"github.com/fascia-edge/fascia/edgebroker/message"
)

func TestRequestOfTheFarSideIsAnsweredThere(t *testing.T) {
	e := env()
	e.Classes = []string{"urgent", "bulk"}
	s := compile(t, e, `{direction: down, remote: "cmd/+", local: "cmd/${1}"}`)
	request, err := s.Downs()[0].Accept(message.Message{Topic: "cmd/x", ResponseTopic: "apps/7/answers", CorrelationData: []byte("17"), QoS: 1}, time.Now())
	if err != nil || !strings.HasPrefix(request.ResponseTopic, "response/cloud/") || string(request.CorrelationData) != "17" {
		t.Fatalf("request in the vehicle: %+v, %v", request, err)
	}
	up := s.Ups()[len(s.Ups())-1]
	if up.Filter() != "response/cloud/+" || up.Class() != "urgent" || up.QoS() != 1 {
		t.Errorf("answers are taken from %q in class %q at QoS %d", up.Filter(), up.Class(), up.QoS())
	}
	answer := message.Message{Topic: request.ResponseTopic, Payload: []byte("done"), CorrelationData: request.CorrelationData, QoS: 1, Retain: true}
	far, err := convert(t, up, answer)
	if err != nil || far.Topic != "apps/7/answers" || string(far.CorrelationData) != "17" || string(far.Payload) != "done" || far.Retain {
		t.Errorf("answer at the far side: %+v, %v", far, err)
	}
	again, _ := s.Downs()[0].Accept(message.Message{Topic: "cmd/y", ResponseTopic: "apps/7/answers"}, time.Now())
	if again.ResponseTopic != request.ResponseTopic {
		t.Error("one response topic has two topics in the vehicle")
	}
	forged := (&message.Message{Topic: "response/cloud/ABCDEFGHIJKLMNOP"}).Publication()
	if up.Take(forged, clock.Now()) || up.NotTaken()["no_request"] != 1 {
		t.Error("a client reaches the far side by a token that nobody gave")
	}
}

// The topic of an answer that waits is stored with it: it arrives though the table is
// gone after a restart.
func TestAnswerThatWaitsOutlivesARestart(t *testing.T) {
	rule := `{direction: down, remote: "cmd/+", local: "cmd/${1}"}`
	s := compile(t, env(), rule)
	request, _ := s.Downs()[0].Accept(message.Message{Topic: "cmd/x", ResponseTopic: "apps/7/answers"}, time.Now())
	p := (&message.Message{Topic: request.ResponseTopic, QoS: 1}).Publication()
	up := s.Ups()[0]
	if !up.Take(p, clock.Now()) {
		t.Fatal("not taken")
	}
	m := up.Meta(p, up.env.Clock.Mark(clock.Now()))
	stored, err := ReadMeta(m.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	after := compile(t, env(), rule)
	far, err := after.Up(stored).Convert(p.Message(), stored)
	if err != nil || far.Topic != "apps/7/answers" {
		t.Errorf("after a restart: %q, %v", far.Topic, err)
	}
	if after.Ups()[0].Take(p, clock.Now()) {
		t.Error("an answer to a request from before the restart is taken, and leads nowhere")
	}
}

func TestRequestOfTheVehicleIsAnsweredHere(t *testing.T) {
	s := compile(t, env(),
		`{direction: up, local: "ivi/search", remote: "dt/search", responses: "dt/${vin}/answers"}`,
		`{direction: up, local: "ivi/other", remote: "dt/other", responses: "dt/${vin}/answers/"}`)
	if len(s.Downs()) != 1 || s.Downs()[0].Filter() != "dt/"+testVIN+"/answers/+" {
		t.Fatalf("awaits answers by %d rules on %q, want one for both", len(s.Downs()), s.Downs()[0].Filter())
	}
	request, err := convert(t, s.Ups()[0], message.Message{Topic: "ivi/search", ResponseTopic: "ivi/app/answers", CorrelationData: []byte("1")})
	if err != nil || !strings.HasPrefix(request.ResponseTopic, "dt/"+testVIN+"/answers/") || string(request.CorrelationData) != "1" {
		t.Fatalf("request at the far side: %+v, %v", request, err)
	}
	d := s.Downs()[0]
	if !d.Matches(request.ResponseTopic) {
		t.Fatal("answers are not subscribed to")
	}
	answer, err := d.Accept(message.Message{Topic: request.ResponseTopic, Payload: []byte("here"), QoS: 1, CorrelationData: []byte("1")}, time.Now())
	if err != nil || answer.Topic != "ivi/app/answers" || string(answer.CorrelationData) != "1" || answer.QoS != 1 {
		t.Errorf("answer in the vehicle: %+v, %v", answer, err)
	}
	// Another who names the same topic is told apart: the answer says who asked.
	other, err := convert(t, s.Ups()[0], message.Message{Topic: "ivi/search", ResponseTopic: "ivi/app/answers", Origin: message.Origin{Role: "passenger"}})
	if err != nil || other.ResponseTopic == request.ResponseTopic {
		t.Errorf("request of another: %+v, %v", other, err)
	}
	if answer, err = d.Accept(message.Message{Topic: other.ResponseTopic}, time.Now()); err != nil || answer.Origin.Role != "passenger" || answer.Topic != "ivi/app/answers" {
		t.Errorf("answer to another: %+v, %v", answer, err)
	}
	_, err = d.Accept(message.Message{Topic: "dt/" + testVIN + "/answers/nobody"}, time.Now())
	if !errors.Is(err, ErrNoRequest) || d.Refused()["no_request"] != 1 {
		t.Errorf("an answer to nothing: %v", err)
	}
}

func TestResponseTopicsAreBoundedAndExpire(t *testing.T) {
	r := newResponses()
	now := clock.Second
	first := r.token(asked{topic: "topic/0"}, now)
	for i := 1; i < maxResponses; i++ {
		r.token(asked{topic: fmt.Sprint("topic/", i)}, now)
	}
	r.token(asked{topic: "topic/0"}, now) // used again: no longer the oldest
	r.token(asked{topic: "one/more"}, now)
	if _, known := r.asked(first, now); !known || r.forgotten.Load() != 1 || len(r.byAsked) != maxResponses || len(r.byToken) != maxResponses {
		t.Errorf("%d topics, %d tokens, %d forgotten, the first known %v", len(r.byAsked), len(r.byToken), r.forgotten.Load(), known)
	}
	if _, known := r.asked(first, now+responsesFor); known || len(r.byAsked) != 0 || r.order.Len() != 0 || r.bytes != 0 {
		t.Errorf("%d left after their time, %d bytes", r.order.Len(), r.bytes)
	}

	long := strings.Repeat("x", longestAsked-10)
	for i := range maxResponses {
		r.token(asked{topic: long + fmt.Sprint(i)}, now+responsesFor)
	}
	if r.bytes > maxAsked || r.order.Len() > maxAsked/len(long) {
		t.Errorf("%d long topics remembered, %d bytes", r.order.Len(), r.bytes)
	}
}
