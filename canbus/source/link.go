package source

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// AwaitLink returns when a network interface of the machine has come, gone, or
// changed its state or addresses, when limit has passed, or when ctx ends: the
// moment to try again to open a bus. Changes that came before the call are not
// seen. It may be called by any number of goroutines.
func AwaitLink(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	changes, err := listenLinks()
	if err != nil { // no netlink, or no descriptor left: limit has to do
		<-ctx.Done()
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = changes.Close() })
	defer func() {
		stop()
		_ = changes.Close() // nothing is written to it
	}()
	var any [1]byte // what it was is found out by trying
	_, _ = changes.Read(any[:])
}

// listenLinks opens a socket of rtnetlink(7) that tells of every change.
func listenLinks() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR}); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}
