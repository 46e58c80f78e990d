// Package soak tries to make the broker lose what it acknowledged. Clients
// publish and subscribe while the program they talk to is killed and started
// again, or the machine it runs in loses its power; a ledger knows what was
// acknowledged, and at the end compares it with what arrived.
//
// What has to hold, by the standard and by this broker's promises:
//
//   - Nothing acknowledged is lost for a persistent session or a shared group.
//   - First deliveries of a stream (one publisher, topic and QoS) to a
//     subscription that is not shared come in the order of publishing
//     [MQTT-4.6.0].
//   - What is published and subscribed at QoS 2 arrives exactly once.
//   - A retained value is the last acknowledged one or a later one.
//   - A session that was confirmed is there, with its subscriptions.
//   - The will of a connection that died is published.
//
// The clients keep their side of the session (packet ids, what was not
// acknowledged, what was received at QoS 2) while the broker is dead, and
// resume by the standard's rules [MQTT-4.4.0-1]. They speak MQTT 3.1.1 and 5
// packet by packet, since the ledger has to know exactly what was acknowledged.
//
// The package has no interface: its tests are its purpose. Their flags:
//
//	-soak.kills N     how many times the broker is killed, for each policy
//	-soak.cuts N      how many times the power is cut, for each policy
//	-soak.seed N      repeats the random choices of a run (not its timing)
//	-soak.broker CMD  another broker's start command, with -soak.address where
//	                  it listens; it keeps its state by itself, and begins
//	                  with none
package soak
