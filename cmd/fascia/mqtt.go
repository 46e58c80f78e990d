package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/spf13/cobra"

	"github.com/fascia-edge/fascia/edgebroker/wire"
)

const (
	defaultURL    = "mqtt://127.0.0.1:1883"
	connectWithin = 10 * time.Second
	reconnectWait = time.Second
)

// mqttFlags are the flags of every command that is an MQTT client.
type mqttFlags struct {
	url                string
	caFile, cert, key  string
	user, passwordFile string
	id                 string
	keepAlive          uint16

	stderr      io.Writer
	connections int           // made so far; used by the connection's goroutine alone
	maxPacket   atomic.Uint32 // the largest packet the broker takes, 0 without a limit
}

func (f *mqttFlags) register(c *cobra.Command) {
	url := defaultURL
	if env := os.Getenv("FASCIA_URL"); env != "" {
		url = env
	}
	f.stderr = c.ErrOrStderr()
	fs := c.Flags()
	fs.StringVarP(&f.url, "url", "u", url, "broker: mqtt://, mqtts://, ws://, wss://HOST:PORT or unix:///PATH (default from $FASCIA_URL)")
	fs.StringVar(&f.caFile, "cafile", "", "PEM file of the authorities that the broker's certificate is checked by")
	fs.StringVar(&f.cert, "cert", "", "PEM file of the client certificate")
	fs.StringVar(&f.key, "key", "", "PEM file of its private key")
	fs.StringVar(&f.user, "user", "", "user name")
	fs.StringVar(&f.passwordFile, "password-file", "", "file with the password or token (default $FASCIA_PASSWORD)")
	fs.StringVarP(&f.id, "id", "i", "", "client id (default: one made up)")
	fs.Uint16Var(&f.keepAlive, "keepalive", 30, "seconds between pings")
	for _, name := range []string{"cafile", "cert", "key", "password-file"} {
		_ = c.MarkFlagFilename(name)
	}
}

// connect connects and keeps connected until ctx ends. up is called at every
// connection, the first included; it must not block. Only when the first
// connection fails, or has not come by ctx's deadline, does connect fail; the
// error says which broker and why.
func (f *mqttFlags) connect(ctx context.Context, up func(*autopaho.ConnectionManager), received func(*paho.Publish)) (*autopaho.ConnectionManager, error) {
	broker, err := url.Parse(f.url)
	if err != nil {
		return nil, usagef("--url: %v", err)
	}
	tlsConfig, err := f.tls()
	if err != nil {
		return nil, err
	}
	password, err := f.password()
	if err != nil {
		return nil, err
	}
	failed := make(chan error, 1)
	config := autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{broker},
		TlsCfg:                        tlsConfig,
		KeepAlive:                     f.keepAlive,
		CleanStartOnInitialConnection: true,
		ConnectTimeout:                connectWithin,
		ReconnectBackoff:              backoff,
		ConnectUsername:               f.user,
		ConnectPassword:               password,
		OnConnectionUp: func(cm *autopaho.ConnectionManager, answer *paho.Connack) {
			f.connected(answer)
			up(cm)
		},
		OnConnectionDown: func() bool {
			if ctx.Err() == nil {
				fmt.Fprintln(f.stderr, "the connection is lost; trying again every second")
			}
			return true
		},
		OnConnectError: func(err error) {
			select {
			case failed <- err:
			default:
			}
		},
	}
	config.OnServerDisconnect = func(d *paho.Disconnect) {
		text := "the broker closes the connection: " + reasonOf(d.ReasonCode, d.Properties.ReasonString)
		if d.ReasonCode == 0x8E {
			text += fmt.Sprintf(": another client connected with the id %q", config.ClientID)
		}
		fmt.Fprintln(f.stderr, text)
	}
	config.ClientID = f.id
	if config.ClientID == "" {
		config.ClientID = "fascia-" + rand.Text()[:12]
	}
	if received != nil {
		config.OnPublishReceived = []func(paho.PublishReceived) (bool, error){
			func(p paho.PublishReceived) (bool, error) { received(p.Packet); return true, nil },
		}
	}
	switch broker.Scheme {
	case "mqtt", "tcp":
		broker.Host = withPort(broker)
	case "mqtts", "tls", "ssl":
		broker.Host = withPort(broker)
		config.AttemptConnection = func(ctx context.Context, c autopaho.ClientConfig, u *url.URL) (net.Conn, error) {
			conn, err := dialTLS(ctx, u.Host, c.TlsCfg)
			if err != nil {
				return nil, err
			}
			// A packet goes out in several writes; pings and messages must not mix.
			return packets.NewThreadSafeConn(conn), nil
		}
	case "ws", "wss":
		if broker.Path == "" {
			broker.Path = "/mqtt"
		}
		config.WebSocketCfg = &autopaho.WebSocketConfig{Dialer: webSocketDialer}
	case "unix":
		config.AttemptConnection = func(ctx context.Context, _ autopaho.ClientConfig, u *url.URL) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", u.Path)
		}
	default:
		return nil, usagef("--url %q: want mqtt://, mqtts://, ws://, wss:// or unix://", f.url)
	}
	cm, err := autopaho.NewConnection(ctx, config)
	if err != nil {
		return nil, err
	}
	connected := make(chan error, 1)
	go func() { connected <- cm.AwaitConnection(ctx) }() // ends with ctx at the latest
	select {
	case err = <-connected:
	case err = <-failed:
	}
	switch {
	case err == nil, errors.Is(ctx.Err(), context.Canceled): // by the user
		return cm, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: no connection in the time given", broker.Redacted())
	}
	return nil, fmt.Errorf("%s: %w", broker.Redacted(), plainCause(err))
}

// connected takes over what the broker's CONNACK says, and tells of a connection
// that is not the first.
func (f *mqttFlags) connected(answer *paho.Connack) {
	if f.connections++; f.connections > 1 {
		fmt.Fprintln(f.stderr, "connected again")
	}
	f.maxPacket.Store(0)
	if p := answer.Properties; p != nil && p.MaximumPacketSize != nil {
		f.maxPacket.Store(*p.MaximumPacketSize)
	}
}

// backoff is how long to wait before an attempt to connect: the first, 0, goes
// at once.
func backoff(attempt int) time.Duration {
	if attempt == 0 {
		return 0
	}
	return reconnectWait
}

func withPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "mqtt" || u.Scheme == "tcp" {
		return net.JoinHostPort(u.Hostname(), "1883")
	}
	return net.JoinHostPort(u.Hostname(), "8883")
}

// plainCause is the part of a connection error that helps: what the broker
// answered, or what the network said.
func plainCause(err error) error {
	var refused *autopaho.ConnackError
	if errors.As(err, &refused) {
		return errors.New("the broker refused the connection: " + reasonOf(refused.ReasonCode, refused.Reason))
	}
	var network *net.OpError
	if errors.As(err, &network) {
		return network
	}
	return err
}

// reasonOf is a reason code with its name, and what the broker says of it.
func reasonOf(code byte, text string) string {
	reason := "reason " + wire.Reason(code).Name()
	if text != "" {
		reason += ": " + text
	}
	return reason
}

func (f *mqttFlags) password() ([]byte, error) {
	if f.passwordFile == "" {
		return []byte(os.Getenv("FASCIA_PASSWORD")), nil
	}
	text, err := os.ReadFile(f.passwordFile)
	if err != nil {
		return nil, err
	}
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	return text, nil
}

// disconnect says goodbye, so that the broker sends no will.
func disconnect(cm *autopaho.ConnectionManager) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = cm.Disconnect(ctx) // the process ends either way
}
