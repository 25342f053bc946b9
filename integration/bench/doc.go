// Command bench is the load harness behind `make bench`. It measures what a
// login costs: the same Caddy, once bare, once with `gate` and a signed-in
// client, once with Caddy's own `basic_auth` (bcrypt of cost 10, its cache on);
// and what the store adds to the databases that it runs on.
//
// # What runs
//
// Each variant is a real process of bin/caddy with a generated Caddyfile that
// serves two sites on loopback: `proxy`, a reverse_proxy with
// keepalive_idle_conns_per_host 512 to a tiny upstream, and `respond`, which
// answers "ok" by itself. The upstream is this binary started again; the load
// comes from the process itself. Everything is started from one session,
// because the kernel's autogroups give other sessions a share of their own,
// which skews figures by 20 to 30 %. The scenarios:
//
//	proxy      64 connections, closed loop, processes free
//	pinned     the same; Caddy alone on the last core, the load and the
//	           upstream on the others, each started there, so that Go sizes
//	           itself for it (GOMAXPROCS 1 for Caddy)
//	wide       1,000 connections, closed loop, free
//	respond    64 connections on the site without an upstream
//	open210    210 requests/s, open loop
//	open2000   2,000 requests/s, open loop
//
// Then proxies that ask the verifier, 64 connections, closed loop: Caddy's
// forward_auth (forward-caddy, and forward-caddy-bare, the same figures over no
// auth) and nginx's auth_request (forward-nginx, in one process). Each proxy has a
// site that asks nobody, one that asks a server that only says 200 with an empty body
// (Go's net/http, the limit), one that asks a Caddy that does, and one that asks the
// verifier. The processor time is the proxy's; who is
// asked is among the others.
//
// The provider, where --only names one of its scenarios, on each database that --provider-on names, 64 connections, closed
// loop, of programs that prove to be a service by Basic:
//
//	refresh            each connection redeems the refresh token that it got last
//	clientcredentials  tokens of a service's own, JWTs and opaque ones
//	introspect         1,000 live tokens in turn; "new" are such as are asked about once,
//	                   made beforehand with the provider's own key
//	devices            device codes; then again while 10,000 devices wait, each on a
//	                   connection of its own, and ask 5 s after each answer
//
// Beside them, in the same turns, are the limits: ES256 signatures on all cores, commits
// of one row by 8 clients, and a Caddy that answers the same requests all alike; and
// zitadel's example provider with its storage in memory, a module of its own in
// integration/bench/zitadel, which is built first. The ratio is to the limit that is
// named for each. --profile FOLDER also takes profiles of the provider.
//
// Then each database that the store runs on is used in two ways, both on the
// same tables: `store` is the product's store, `raw` the same statements with the
// same settings on database/sql, prepared once, without anything around them.
//
//	sqlite     a new file, in the system's temporary folder
//	postgres   a server of our own, which waits for the disk at each commit
//	mariadb    likewise
//
// The load runs in this process. What is timed is a session looked up by its
// token with its user and two groups; a session created, in a transaction that
// also checks the password and writes the event; and look-ups of one client
// beside one that creates sessions without rest. --sessions N adds a comparison of
// a SQLite file of N sessions with one of 10,000.
//
// Storms are measured only when --only names them, `storm` or `flood`, on Caddys of
// their own: one client that is signed in asks 160 times a second (open loop),
// before and while a crowd signs in without pause, each with a connection, a
// loopback address and an account of its own, so that no limit for addresses or
// accounts stands before the hashing gate. In `storm` who is refused comes back
// when the answer says (Retry-After), in `flood` at once: there a thousand clients
// in a closed loop make a queue of a thousand whatever Caddy does. The crowd is
// another process, so that the client does not wait for it in the load generator.
// --way says how Caddy is to run, and may be repeated. Before each of them others
// on the machine are waited for, a quarter of a minute at most.
//
// --scoreboard DIR measures the scoreboard and nothing else: see docs/scoreboard.md,
// which it writes. --quick does so in a minute or two, to see that it works.
//
// In a closed loop every connection sends its next request when the answer to
// the last has come: it measures throughput, and its latencies only say how
// long the queue of connections was. In the open loop the times of sending are
// fixed beforehand, evenly spaced, and latency counts from the scheduled time,
// also when the request had to wait for a free connection: a stall is charged
// to every request that it delayed (no coordinated omission).
//
// # Reading the output
//
// In each round every scenario gives each variant several short slices, in
// turns and in changing order over connections that stay open, so that the
// moods of a shared machine hit all alike. Requests per second, latencies and
// CPU are medians over the rounds. A ratio compares a slice with bare's of the
// same turn, and is the median over all turns of the run; ± is its margin at
// about 95 %, from the scatter of the turns. Compare ratios, not requests per
// second of different runs, and call nothing a difference that lies within ±.
//
//	CPU µs     processor time of the Caddy process for one request, from the
//	           kernel's clock of that process (all threads, user and system),
//	           read when no request is under way
//	added      that, less bare's in the same turn
//	ratio      requests/s over bare's in a closed loop, p95 over bare's in an
//	           open one
//	caddy, rest, others   cores kept busy by Caddy, by load and upstream, and
//	           by everybody else (kernel threads and stolen time included)
//
// For databases the ratio is to raw in the same turn, and CPU µs is that of this
// process for one call, without that of a server.
//
// A target is judged by the median alone; "within the margin" says that this
// run could not tell. Take a quieter machine or more --rounds then.
//
// The exit code is 0 also when a target is missed, which is printed loudly. It
// is 1 when a request failed or anything but the expected 200 came back, and
// when a variant could not be set up: then the figures mean nothing. Before
// measuring, each site is asked once with and once without credentials, so a
// gate that lets everybody pass is an error, not a record.
//
// # Traps
//
//   - `--variants bare,control,gate,basic_auth` adds a second bare Caddy. Its
//     ratio should be 1.00: what it strays is the noise of this run, that of
//     two equal processes included, and no smaller difference is a finding.
//   - With "others" above some 0.1 cores the machine was not yours. Run again.
//     A virtual machine may lose time to neighbours that it cannot see; the
//     margin shows that.
//   - In `pinned`, Caddy's core should be full (caddy near 1.00) and the rest
//     should not; else the load was the bottleneck and the ratio flatters. The
//     report warns. In the free scenarios on two cores, load and upstream take
//     a part of the same processors, which dilutes a difference in Caddy.
//     That is why pinned is stricter and `respond` the strictest.
//   - CPU per request in an open loop at a low rate counts idle wake-ups and
//     is far above that at saturation. It is printed for comparison only.
//   - p99 of a round at 210/s rests on eight requests. Look at p95, or raise
//     --duration.
//   - The header says how fast the load generator is without Caddy. When a
//     variant comes near that, the generator is being measured.
package main
