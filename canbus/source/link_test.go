package source

import (
	"context"
	"testing"
	"time"
)

func TestWaitingForALinkEndsByItself(t *testing.T) {
	AwaitLink(t.Context(), time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	AwaitLink(ctx, time.Hour)
}
