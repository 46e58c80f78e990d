package auth

// Local is the role of anonymous clients on loopback and Unix sockets whose
// listener names no other.
const Local = "local"

// builtinRoles are the roles that exist without being configured. Only local
// may do anything: what an ECU or a passenger may touch depends on the vehicle
// and is for its configuration to say.
var builtinRoles = map[string]RoleConfig{
	Local: {
		Publish:   []string{"#"},
		Subscribe: []string{"#"},
		DenyPublish: []string{
			"vss/#", "can/#", "health/#", "act/#", "cmd/#", "dt/#",
			"cabin/all/#", "cabin/+/lock/#", "cabin/+/+/state", "cabin/+/+/+/state", "cabin/ride/#",
			"link/#", "stream/#", "cloud/#", "$SYS/#", "$aws/events/#",
		},
	},
	"ecu":             {},
	"ivi":             {},
	"driver":          {},
	"owner":           {},
	"front_passenger": {},
	"rear_passenger":  {},
	"cloud":           {},
}

// linkPrefix begins the roles of what comes by a link; the link's name follows.
const linkPrefix = "link:"

// linkRole is the role of a link that the configuration does not name: a far side may
// ask for what it is answered on cmd/, speak to the head unit's applications, and
// write what is its own apart from what is the vehicle's.
func linkRole(link string) RoleConfig {
	return RoleConfig{Publish: []string{"cmd/#", "ivi/#", "cloud/" + link + "/#"}}
}

func builtin(role string) bool {
	_, ok := builtinRoles[role]
	return ok
}
