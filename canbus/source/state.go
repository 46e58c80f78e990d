package source

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fascia-edge/fascia/canbus/can"
)

// Attributes of a CAN interface in rtnetlink(7): its own stand in those of its
// kind of link (IFLA_CAN_STATE of linux/can/netlink.h).
var (
	linkKind  = []uint16{unix.IFLA_LINKINFO, unix.IFLA_INFO_KIND}
	linkState = []uint16{unix.IFLA_LINKINFO, unix.IFLA_INFO_DATA, 4}
)

// controllerState asks the kernel for the state of the controller behind the
// interface of that index. It is untold where there is none, as with vcan.
func controllerState(index int) can.State {
	dump, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
	if err != nil {
		return can.StateUntold
	}
	links, err := syscall.ParseNetlinkMessage(dump)
	if err != nil {
		return can.StateUntold
	}
	for _, link := range links {
		if link.Header.Type != unix.RTM_NEWLINK || len(link.Data) < unix.SizeofIfInfomsg {
			continue
		}
		if info := (*unix.IfInfomsg)(unsafe.Pointer(&link.Data[0])); int(info.Index) == index {
			return stateIn(link.Data[unix.SizeofIfInfomsg:])
		}
	}
	return can.StateUntold
}

// stateIn reads the state out of a link's attributes.
func stateIn(attributes []byte) can.State {
	state := attribute(attributes, linkState)
	if string(attribute(attributes, linkKind)) != "can\x00" || len(state) < 4 {
		return can.StateUntold
	}
	switch binary.NativeEndian.Uint32(state) { // enum can_state
	case 0:
		return can.StateActive
	case 1:
		return can.StateWarning
	case 2:
		return can.StatePassive
	case 3:
		return can.StateBusOff
	}
	return can.StateUntold // stopped or asleep
}

// attribute finds the attribute that path leads to, one inside the other; nil if
// it is not there.
func attribute(b []byte, path []uint16) []byte {
	for len(b) >= unix.SizeofRtAttr {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED
		switch {
		case size < unix.SizeofRtAttr || size > len(b):
			return nil
		case kind != path[0]:
		case len(path) == 1:
			return b[unix.SizeofRtAttr:size]
		default:
			return attribute(b[unix.SizeofRtAttr:size], path[1:])
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return nil
}
