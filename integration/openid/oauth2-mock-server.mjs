// The provider of the npm package oauth2-mock-server. It has no sign-in page: it takes
// everybody for the account that the setting login names, or that the request hints at.
import { OAuth2Server } from 'oauth2-mock-server';
import { claimsOf, readState, serve } from './common.mjs';

const state = await readState();
const { service, issuer } = new OAuth2Server();
issuer.url = state.issuer;

// Whom codes, access tokens and refresh tokens were given to.
for (const kind of ['codes', 'access', 'refresh']) state.store[kind] ??= {};
const { codes, access, refresh } = state.store;

// The library uses its keys in turn; here the newest signs.
const { keys } = issuer;
const get = keys.get.bind(keys);
keys.get = (kid) => get(kid ?? state.keys[0].kid);

let published = [];

// reload hands the keys to the library, which has no way to take one back; so those
// that are gone are left out of what it publishes.
async function reload() {
	published = state.keys.map(({ kid }) => kid);
	for (const key of state.keys) await keys.add(key);
}

const toJSON = keys.toJSON.bind(keys);
keys.toJSON = (whole) => toJSON(whole).filter(({ kid }) => published.includes(kid));

// bearer is whom a request of the token endpoint is about.
const bearer = ({ body }) => (body.grant_type === 'refresh_token' ? refresh[body.refresh_token] : codes[body.code]);

service.on('beforeAuthorizeRedirect', ({ url }, req) => {
	const login = req.query.login_hint || state.login;
	if (claimsOf(state, login)) {
		codes[url.searchParams.get('code')] = { login, client: req.query.client_id };
		return;
	}
	url.searchParams.delete('code');
	url.searchParams.set('error', 'access_denied');
});

service.on('beforeTokenSigning', ({ payload }, req) => {
	const claims = claimsOf(state, bearer(req)?.login ?? '') ?? {};
	payload.sub = claims.sub;
	if ('aud' in payload && !state.userinfoOnly) Object.assign(payload, claims); // only an ID token has an audience
	if (!('aud' in payload)) payload.exp = payload.iat + state.accessTokenLife;
});

service.on('beforeResponse', (response, req) => {
	const who = bearer(req);
	delete codes[req.body.code];
	if (!who || !claimsOf(state, who.login)) {
		Object.assign(response, { statusCode: 400, body: { error: 'invalid_grant' } });
		return;
	}
	const { body } = response;
	body.expires_in = state.accessTokenLife;
	access[body.access_token] = who;
	if (req.body.refresh_token && !state.rotate) body.refresh_token = req.body.refresh_token;
	else delete refresh[req.body.refresh_token];
	refresh[body.refresh_token] = who;
});

service.on('beforeUserinfo', (response, req) => {
	const who = access[(req.headers.authorization ?? '').replace(/^Bearer /, '')];
	const claims = who && claimsOf(state, who.login);
	Object.assign(response, claims ? { body: claims } : { statusCode: 401, body: { error: 'invalid_token' } });
});

await reload();
await serve(state, {
	handle: service.requestHandler,
	reload,
	endpoints: {
		discovery: '/.well-known/openid-configuration',
		authorization: '/authorize',
		token: '/token',
		userinfo: '/userinfo',
		jwks: '/jwks',
		logout: '/endsession',
		revocation: '/revoke',
		introspection: '/introspect',
	},
	forget: () => {},
	admin: {
		grants: () => Object.values(refresh).filter(({ login }) => claimsOf(state, login)),
		revoke: ({ login }) => {
			for (const given of [refresh, access]) {
				for (const [token, who] of Object.entries(given)) if (who.login === login) delete given[token];
			}
		},
	},
});
