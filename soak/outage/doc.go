// Package outage puts a gateway behind a cellular link that fails in every way
// such links do, and compares what was acknowledged in the vehicle with what
// arrived at the far side.
//
// The far side is Debian's mosquitto and the link between is toxiproxy, both real:
// a Network is cut, swallows, delays, narrows and resets what goes through it. A
// Publisher in the vehicle publishes at QoS 1 and knows what was acknowledged to it; a
// Recorder at the far side notes every message as it comes; both keep their books in
// one Ledger, whose Verdict says what is missing, out of order, stale, or there twice.
//
// What has to hold for each up rule of QoS 1, whatever the link did:
//
//   - What was acknowledged arrives at least once, unless its time to live passed
//     or a stated limit of the spool dropped it.
//   - First arrivals of a topic come in the order of publishing.
//   - Nothing comes that is older than its time to live.
//   - What comes twice has the same message id, where the rule gives it one.
//
// The flags of the package's own tests make the same cases long:
//
//	-outage.kills N   how many times the gateway is killed in an outage
//	-outage.cuts N    how many times the power is cut with a spool to drain
//	-outage.flaps N   how many times the link comes and goes
//	-outage.long      the long forms of the other cases
package outage
