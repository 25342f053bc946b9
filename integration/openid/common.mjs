// What both providers share: the state that they begin with, the people they know,
// a server that counts requests and fails where it is told to, and the admin side by
// which a test tells it so.
import { createServer } from 'node:http';
import { generateKeyPair, randomUUID } from 'node:crypto';
import { promisify } from 'node:util';

// readState reads the JSON of standard input: the settings and all that a provider
// gave on request to go on from (see serve). The settings:
//
//	port             where it listens, on 127.0.0.1
//	issuer           http://127.0.0.1:PORT unless said otherwise; it may have a path
//	alg              of ID tokens, RS256 unless said otherwise
//	pkce             whether it refuses who sends no code challenge
//	userinfoOnly     whether ID tokens hold no claims about the person
//	accessTokenLife  seconds, an hour unless said otherwise
//	rotate           whether a refresh token is good for one use
//	login            whom a provider without a sign-in page takes everybody for
//	clients          their registered metadata, by client_id
//	people           claims by login
//	gone             logins of accounts that are disabled
//	keys             private JWKs, the one that signs first; made where there is none
//	store            what the provider itself keeps
export async function readState() {
	let text = '';
	for await (const part of process.stdin) text += part;
	const state = { alg: 'RS256', accessTokenLife: 3600, login: 'alice', clients: {}, people: {}, gone: [], keys: [], store: {}, ...JSON.parse(text) };
	state.issuer ??= `http://127.0.0.1:${state.port}`;
	if (state.keys.length === 0) state.keys.push(await newKey(state.alg));
	return state;
}

const keyTypes = {
	RS: ['rsa', { modulusLength: 2048 }],
	PS: ['rsa', { modulusLength: 2048 }],
	HS: ['rsa', { modulusLength: 2048 }], // signed with the client's secret, but there has to be a key
	Ed: ['ed25519', {}],
	ES256: ['ec', { namedCurve: 'P-256' }],
	ES384: ['ec', { namedCurve: 'P-384' }],
	ES512: ['ec', { namedCurve: 'P-521' }],
};

// newKey makes a private JWK for an algorithm.
export async function newKey(alg) {
	const [type, options] = keyTypes[alg] ?? keyTypes[alg.slice(0, 2)];
	const { privateKey } = await promisify(generateKeyPair)(type, options);
	return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: alg.replace('HS', 'RS'), use: 'sig' };
}

// claimsOf gives the claims of a login, or nothing where the account is gone. What a
// test does not say is made up; with null a claim is left out.
export function claimsOf(state, login) {
	if (state.gone.includes(login)) return undefined;
	const name = login.charAt(0).toUpperCase() + login.slice(1);
	const claims = { sub: login, email: `${login}@example.com`, email_verified: true, name, preferred_username: login, ...state.people[login] };
	return Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== null));
}

// subOf gives the subject of a login, and loginOf the login of a subject. They are the
// same unless a test has given the account another subject.
export const subOf = (state, login) => state.people[login]?.sub ?? login;

export function loginOf(state, sub) {
	return Object.keys(state.people).find((login) => subOf(state, login) === sub) ?? sub;
}

// Endpoints counts the requests to each endpoint, and spoils them in a mode:
//
//	hang        keeps them waiting, and answers as usual when the mode ends
//	drop        closes the connection
//	garbage     answers 200 with what is no JSON
//	a number    answers with this status
//	any word    answers 400 with this as OAuth error
class Endpoints {
	counts = {};

	#modes = {};

	spoil(name, mode) {
		this.#modes[name]?.end();
		delete this.#modes[name];
		if (!mode) return;
		let end;
		const ended = new Promise((done) => { end = done; });
		this.#modes[name] = { mode, end, ended };
	}

	// pass counts a request and spoils it; or says that it is to be answered.
	async pass(name, res) {
		this.counts[name] = (this.counts[name] ?? 0) + 1;
		const spoilt = this.#modes[name];
		if (spoilt?.mode === 'hang') {
			await spoilt.ended;
			return !res.destroyed;
		}
		if (spoilt) spoil(spoilt.mode, res);
		return !spoilt;
	}
}

function spoil(mode, res) {
	const status = Number(mode);
	if (mode === 'drop') res.socket?.destroy();
	else if (mode === 'garbage') answer(res, 200, '<html>Please try again later</html>', 'text/html');
	else if (status) answer(res, status, 'Please try again later', 'text/plain'); // as from a proxy before the provider
	else answer(res, 400, JSON.stringify({ error: mode }));
}

function answer(res, status, body, type = 'application/json') {
	res.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(body);
}

// serve listens for a provider.
//
// provider.handle answers a request, at a path below the issuer's; provider.endpoints
// names endpoints by their paths; provider.reload takes changed settings or keys up.
// provider.admin has requests of its own beyond those that are here, by name: each
// takes and gives what becomes JSON. When it listens it says so on standard output,
// with the port of the admin side, where they are POST /NAME.
export async function serve(state, provider) {
	const endpoints = new Endpoints();
	const admin = { ...commonAdmin(state, provider, endpoints), ...provider.admin };
	await listen(state.port, (req, res) => pass(state, provider, endpoints, req, res));
	const back = await listen(0, (req, res) => administer(admin, req, res));
	console.log(`ready ${back.address().port}`);
}

function listen(port, handle) {
	const server = createServer((req, res) => {
		Promise.resolve(handle(req, res)).catch((err) => {
			console.error(err);
			if (res.headersSent) res.destroy();
			else answer(res, 500, JSON.stringify({ error: 'server_error', error_description: String(err) }));
		});
	});
	server.keepAliveTimeout = 0; // a connection that closes by itself looks like a failure now and then
	return new Promise((done, failed) => {
		server.once('error', failed).listen(port, '127.0.0.1', () => done(server));
	});
}

async function pass(state, provider, endpoints, req, res) {
	const mount = new URL(state.issuer).pathname.replace(/\/$/, '');
	const [path] = req.url.split('?');
	res.on('close', () => console.log(`${req.method} ${path} ${res.statusCode}`)); // without the query, which has secrets
	if (path === '/favicon.ico') return answer(res, 204); // browsers ask on their own
	if (path !== mount && !path.startsWith(`${mount}/`)) return answer(res, 404, '{}');
	req.originalUrl = req.url;
	req.url = req.url.slice(mount.length) || '/';
	const [name] = Object.entries(provider.endpoints).find(([, at]) => mount + at === path) ?? ['other'];
	if (await endpoints.pass(name, res)) await provider.handle(req, res);
}

async function administer(admin, req, res) {
	const ask = admin[req.url.slice(1)];
	if (!ask) return answer(res, 404, JSON.stringify({ error: `there is no ${req.url}` }));
	let text = '';
	for await (const part of req) text += part;
	answer(res, 200, JSON.stringify(await ask(JSON.parse(text)) ?? {}));
}

function commonAdmin(state, provider, endpoints) {
	return {
		// settings changes settings.
		settings: async (changed) => {
			Object.assign(state, changed);
			await provider.reload();
		},
		// client registers a client, or changes it.
		client: (metadata) => { state.clients[metadata.client_id] = metadata; },
		// person changes the claims that are named, of an account that is not gone then.
		person: async ({ login, claims }) => {
			state.people[login] = { ...state.people[login], ...claims };
			state.gone = state.gone.filter((other) => other !== login);
			await provider.reload();
		},
		// remove disables an account.
		remove: ({ login }) => {
			state.gone.push(login);
			provider.forget(login);
		},
		// rotate signs with a new key from now on, and keeps publishing the old ones
		// unless it is told not to.
		rotate: async ({ alone }) => {
			state.keys.unshift(await newKey(state.alg));
			if (alone) state.keys.length = 1;
			await provider.reload();
			return { kid: state.keys[0].kid };
		},
		fail: ({ endpoint, mode }) => endpoints.spoil(endpoint, mode),
		counts: () => endpoints.counts,
		// state is what another process can go on from.
		state: () => state,
	};
}
