package authcore

// ActorKind tells what sort of actor it is.
type ActorKind string

// The kinds of actor.
const (
	ActorAnonymous ActorKind = "anonymous" // nobody has signed in yet
	ActorUser      ActorKind = "user"      // a user in a session
	ActorToken     ActorKind = "token"     // an access token of a user
	ActorService   ActorKind = "service"   // an API key of an organization's service
	ActorCommand   ActorKind = "command"   // the command line
	ActorSystem    ActorKind = "system"    // Gatehouse itself
)

// Actor is who does something. Every call that changes state takes it
// explicitly, after ctx.
type Actor struct {
	Kind    ActorKind
	User    UserID    // for ActorUser and ActorToken
	Session SessionID // for ActorUser; for ActorToken and ActorService the token or key
	Client  Client
	// Ordinary says that a platform owner acts as any other user: in a session without the
	// second factor that administration asks for, or by a token without the scope.
	Ordinary bool
	// Act is the platform owner who acts as User; empty where that is nobody.
	Act UserID
}

// Anonymous is somebody who has not signed in.
func Anonymous(c Client) Actor { return Actor{Kind: ActorAnonymous, Client: c} }

// CommandLine is the operator at the command line.
func CommandLine() Actor { return Actor{Kind: ActorCommand} }

// Client is the other end of a request, as far as it can be trusted: the
// address is the peer's, or what a trusted proxy said.
type Client struct {
	Address   string // IP address without port; empty where there is none
	Agent     string // User-Agent, cut to 256 bytes
	RequestID string
}

// The most bytes that are kept.
const (
	maxAgent = 256
	maxShort = 64
)

// NewClient cuts what is too long and drops control characters.
func NewClient(address, agent, requestID string) Client {
	return Client{Address: clean(address, maxShort), Agent: clean(agent, maxAgent), RequestID: clean(requestID, maxShort)}
}
