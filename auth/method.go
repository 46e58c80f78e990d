package auth

// Method is a way to authenticate in several steps, such as a challenge that
// the client signs (MQTT 5.0 §4.12). Safe for concurrent use.
type Method interface {
	// Name is the Authentication Method that clients ask for, a constant.
	Name() string
	// Start begins an exchange with a client: at its CONNECT, or again in its
	// session. client is its id as it said it, empty where it leaves that to
	// the broker; cred is what its connection proves already.
	Start(client string, cred Credentials) Exchange
}

// Exchange is one authentication under way. One goroutine uses it; an exchange
// that is given up is just forgotten.
type Exchange interface {
	// Continue takes the client's Authentication Data, which is good until it
	// returns. As long as id is nil, reply asks the client for more; with id
	// the exchange is over, and reply goes with the broker's last word. Client
	// and Listener of id are the caller's to fill. reply has at most 65,535
	// bytes.
	//
	// An error ends the exchange. The log has its text, so it names no secret;
	// the client is only told that it failed. It runs on the client's own
	// goroutine and must not wait for anybody.
	Continue(data []byte) (reply []byte, id *Identity, err error)
}
