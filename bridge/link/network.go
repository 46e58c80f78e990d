package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settles is how long the network must be quiet: an address, its route and that of
	// the other family come one after the other.
	settles = 100 * time.Millisecond
	// settlesWithin is when fn is called though it is not.
	settlesWithin = 5 * settles
)

// WatchNetwork calls fn when an address, a default route or an interface has come up
// on the machine, once for several that come together, until ctx ends: the moment to
// call Wake. Loopback and addresses of one wire alone don't count, nor does what is
// announced again. It blocks; an error means that the kernel tells nothing.
func WatchNetwork(ctx context.Context, fn func()) error {
	changes, err := listenNetwork()
	if err != nil {
		return fmt.Errorf("watching the network: %w", err)
	}
	defer changes.Close()
	var quiet, first time.Time // when fn is due; when the first change came. Zero: nothing new
	known := make(map[string]bool)
	buf := make([]byte, 64<<10)
	stop := context.AfterFunc(ctx, func() { _ = changes.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for ctx.Err() == nil {
		deadline := quiet
		if limit := first.Add(settlesWithin); !quiet.IsZero() && limit.Before(deadline) {
			deadline = limit
		}
		if err := changes.SetReadDeadline(deadline); err != nil {
			return fmt.Errorf("watching the network: %w", err)
		}
		if ctx.Err() != nil { // its deadline may have come before this one
			return nil
		}
		n, err := changes.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			quiet, first = time.Time{}, time.Time{}
			fn()
			continue
		case errors.Is(err, unix.ENOBUFS): // some were lost
			clear(known)
		case err != nil:
			return fmt.Errorf("watching the network: %w", err)
		case !cameUp(buf[:n], known):
			continue
		}
		quiet = time.Now().Add(settles)
		if first.IsZero() {
			first = time.Now()
		}
	}
	return nil
}

// listenNetwork opens a socket of rtnetlink(7).
func listenNetwork() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// cameUp reports whether messages of rtnetlink tell of something that came up. It
// keeps what is up among the known, for most is announced again and again.
func cameUp(b []byte, known map[string]bool) (news bool) {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return false
	}
	for i := range messages {
		m := &messages[i]
		key, up := identity(m)
		switch {
		case key == "":
		case !up:
			delete(known, key)
		default:
			// A route that goes with its interface goes without a word: so one that comes
			// is news, but for one that is put in its own place.
			again := m.Header.Type != unix.RTM_NEWROUTE || m.Header.Flags&unix.NLM_F_REPLACE != 0
			news = news || !known[key] || !again
			known[key] = true
		}
	}
	return news
}

// identity tells apart what a message is about, "" for what is of no concern here,
// and whether it can be used now.
func identity(m *syscall.NetlinkMessage) (key string, up bool) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		// struct ifinfomsg: family, padding, type (2), index (4), flags (4), …
		if len(m.Data) < unix.SizeofIfInfomsg {
			return "", false
		}
		flags := binary.NativeEndian.Uint32(m.Data[8:])
		if flags&unix.IFF_LOOPBACK != 0 {
			return "", false
		}
		return "interface " + string(m.Data[4:8]), m.Header.Type == unix.RTM_NEWLINK && flags&unix.IFF_RUNNING != 0
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		// struct ifaddrmsg: family, prefix length, flags, scope, index (4)
		if len(m.Data) < unix.SizeofIfAddrmsg || m.Data[3] >= unix.RT_SCOPE_LINK {
			return "", false
		}
		// An IPv6 address is tentative while it may turn out to be somebody else's.
		up = m.Header.Type == unix.RTM_NEWADDR && m.Data[2]&unix.IFA_F_TENTATIVE == 0
		return "address " + string(m.Data[4:8]) + values(m, unix.IFA_LOCAL, unix.IFA_ADDRESS), up
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		// struct rtmsg: family, length of the destination, …, table, protocol, scope, type
		if len(m.Data) < unix.SizeofRtMsg || m.Data[1] != 0 || m.Data[4] != unix.RT_TABLE_MAIN || m.Data[7] != unix.RTN_UNICAST {
			return "", false
		}
		return "route " + string(m.Data[:1]) + values(m, unix.RTA_OIF, unix.RTA_GATEWAY, unix.RTA_PRIORITY), m.Header.Type == unix.RTM_NEWROUTE
	}
	return "", false
}

// values are those of some attributes, one behind the other.
func values(m *syscall.NetlinkMessage, types ...uint16) (text string) {
	attributes, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return ""
	}
	for _, a := range attributes {
		if slices.Contains(types, a.Attr.Type) {
			text += string(a.Value)
		}
	}
	return text
}
