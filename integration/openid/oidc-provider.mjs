// The provider of the npm package oidc-provider, with its pages for development: at
// sign-in they take any login and any password.
import Provider from 'oidc-provider';
import {
	claimsOf, loginOf, readState, serve, subOf,
} from './common.mjs';

// Who is told of a sign-out here has certificates of its own.
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

const state = await readState();
const now = () => Math.floor(Date.now() / 1000);

// Shelf is where the library keeps one kind of its things. They are all in the state,
// so that a provider survives a restart.
class Shelf {
	constructor(kind) {
		this.kind = kind;
		state.store[kind] ??= {};
	}

	get things() { return state.store[this.kind]; }

	async upsert(id, payload, expiresIn) {
		this.things[id] = { payload, expires: expiresIn ? now() + expiresIn : undefined };
	}

	async find(id) {
		const thing = this.things[id];
		return thing && (thing.expires ?? Infinity) > now() ? thing.payload : undefined;
	}

	async findBy(field, value) {
		const found = Object.entries(this.things).find(([, { payload }]) => payload[field] === value);
		return found && this.find(found[0]);
	}

	async findByUid(uid) { return this.findBy('uid', uid); }

	async findByUserCode(code) { return this.findBy('userCode', code); }

	async consume(id) { this.things[id].payload.consumed = now(); }

	async destroy(id) { delete this.things[id]; }

	async revokeByGrantId(grantId) { this.drop('grantId', grantId); }

	// drop removes the things with a value in a field, and gives them.
	drop(field, value) {
		const found = Object.entries(this.things).filter(([, { payload }]) => payload[field] === value);
		for (const [id] of found) delete this.things[id];
		return found.map(([, { payload }]) => payload);
	}
}

const clients = { find: async (id) => state.clients[id] };

// findAccount finds a person by the subject, which is what the library knows people by.
function findAccount(_ctx, sub) {
	const claims = claimsOf(state, loginOf(state, sub));
	return claims && { accountId: sub, claims: async () => claims };
}

const standardClaims = {
	openid: ['sub'],
	email: ['email', 'email_verified'],
	groups: ['groups'],
};

// claimsByScope puts every claim that somebody has and that no other scope gives into
// the scope profile.
function claimsByScope() {
	const all = ['name', 'preferred_username', 'given_name', 'family_name', 'picture', 'locale', 'zoneinfo', 'updated_at', 'groups',
		...Object.values(state.people).flatMap((claims) => Object.keys(claims ?? {}))];
	const elsewhere = [...standardClaims.openid, ...standardClaims.email];
	return { ...standardClaims, profile: [...new Set(all)].filter((claim) => !elsewhere.includes(claim)) };
}

// here finds every host on this machine, as the browsers of the tests do.
function here(_host, { all }, done) {
	if (all) done(null, [{ address: '127.0.0.1', family: 4 }]);
	else done(null, '127.0.0.1', 4);
}

// configuration is read anew at every reload. Cookies are named for the port, since
// browsers keep those of 127.0.0.1 for all ports, and are lax, since they refuse
// others over plain HTTP.
const configuration = () => ({
	adapter: (kind) => (kind === 'Client' ? clients : new Shelf(kind)),
	claims: claimsByScope(),
	clientDefaults: { grant_types: ['authorization_code', 'refresh_token'], id_token_signed_response_alg: state.alg },
	conformIdTokenClaims: Boolean(state.userinfoOnly),
	cookies: {
		keys: [state.issuer],
		long: { httpOnly: true, sameSite: 'lax' },
		names: { session: `_session_${state.port}`, interaction: `_interaction_${state.port}`, resume: `_resume_${state.port}` },
	},
	enabledJWA: { idTokenSigningAlgValues: [...new Set(['RS256', 'PS256', 'ES256', 'EdDSA', state.alg])] },
	features: {
		backchannelLogout: { enabled: true },
		introspection: { enabled: true },
		revocation: { enabled: true },
	},
	findAccount,
	httpOptions: () => ({ dnsLookup: here, signal: AbortSignal.timeout(30_000) }), // a client may be slow while many tests run
	issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
	jwks: { keys: state.keys },
	pkce: { methods: ['S256'], required: () => Boolean(state.pkce) },
	rotateRefreshToken: () => Boolean(state.rotate),
	scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
	ttl: {
		AccessToken: () => state.accessTokenLife, AuthorizationCode: 60, Grant: 86400, IdToken: 3600, Interaction: 3600, RefreshToken: 86400, Session: 86400,
	},
});

const told = []; // what clients said to the news that somebody has signed out
let library;
let answer; // the library's handler of requests

function reload() {
	library = new Provider(state.issuer, configuration());
	library.proxy = true; // for an issuer with HTTPS, which a proxy before this one speaks
	library.use(withoutFonts);
	for (const event of ['server_error', 'grant.error', 'authorization.error', 'userinfo.error']) {
		library.on(event, (_ctx, err) => console.error(`${event}: ${err.message} ${err.error_description ?? ''} ${err.error_detail ?? ''}`));
	}
	library.on('backchannel.success', (_ctx, client, sub) => told.push({ client: client.clientId, sub }));
	library.on('backchannel.error', (_ctx, err, client, sub) => told.push({ client: client.clientId, sub, error: err.message }));
	answer = library.callback();
}

// withoutFonts keeps the library's pages from loading a font from elsewhere.
async function withoutFonts(ctx, next) {
	await next();
	if (typeof ctx.body === 'string') ctx.body = ctx.body.replace(/@import url\(https:[^)]*\);/g, '');
}

// signIn reads the sign-in form of a person, whom the library knows by the subject.
async function signIn(req, res) {
	let text = '';
	for await (const part of req) text += part;
	const form = Object.fromEntries(new URLSearchParams(text));
	if (form.prompt === 'login') {
		const claims = claimsOf(state, form.login);
		if (!claims) return res.writeHead(403, { 'content-type': 'text/plain' }).end('This account is disabled');
		form.login = claims.sub;
	}
	req.body = form;
	return answer(req, res);
}

function handle(req, res) {
	const interacts = req.method === 'POST' && req.url.startsWith('/interaction/');
	return interacts ? signIn(req, res) : answer(req, res);
}

// signOut ends the sessions of a person here, and tells the clients of it.
async function signOut(sub) {
	const sessions = new Shelf('Session').drop('accountId', sub);
	const calls = sessions.flatMap((session) => Object.entries(session.authorizations ?? {}).map(async ([id, { sid }]) => {
		const client = await library.Client.find(id);
		if (!client?.backchannelLogoutUri) return undefined;
		return client.backchannelLogout(sub, sid).then(() => ({ client: id, sub }), (err) => ({ client: id, sub, error: err.message }));
	}));
	const results = (await Promise.all(calls)).filter(Boolean);
	told.push(...results);
	return results;
}

reload();
await serve(state, {
	handle,
	reload,
	endpoints: {
		discovery: '/.well-known/openid-configuration',
		authorization: '/auth',
		token: '/token',
		userinfo: '/me',
		jwks: '/jwks',
		logout: '/session/end',
		revocation: '/token/revocation',
		introspection: '/token/introspection',
	},
	forget: (login) => { new Shelf('Session').drop('accountId', subOf(state, login)); },
	admin: {
		// grants tells of the refresh tokens that are good.
		grants: async () => {
			const tokens = await Promise.all(Object.keys(new Shelf('RefreshToken').things).map((id) => library.RefreshToken.find(id)));
			return tokens.filter((token) => token && !token.consumed).map(({ accountId, clientId, scope }) => ({ login: loginOf(state, accountId), client: clientId, scope }));
		},
		// revoke takes back what a person has granted.
		revoke: ({ login }) => {
			for (const kind of ['Grant', 'RefreshToken', 'AccessToken']) new Shelf(kind).drop('accountId', subOf(state, login));
		},
		signout: ({ login }) => signOut(subOf(state, login)),
		told: () => told,
	},
});
