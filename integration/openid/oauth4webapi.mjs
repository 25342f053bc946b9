// npm's oauth4webapi as a client of the issuer, step by step, and as an API that takes its
// tokens.
import { strict as assert } from 'node:assert';
import { webcrypto } from 'node:crypto';
import * as oauth from 'oauth4webapi';
import { approve, browse, comesBack, did, done, refuses, service, settings } from './party.mjs';

const issuer = new URL(settings.issuer);
const redirect = 'https://shop.example.com/back';
const bye = 'https://shop.example.com/bye';

// What there is to know of the issuer, by each of the two standards.
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oidc' }));
assert.deepEqual(await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2' })), as);
did('discovery: OpenID Connect Discovery and RFC 8414');

async function register(more, how = (made) => oauth.ClientSecretBasic(made.secret)) {
	const made = await service({ redirect_uris: [redirect], logout_uris: [bye], ...more });
	return { client: { client_id: made.client_id, id_token_signed_response_alg: made.algorithm }, auth: how(made), made };
}

// authorize gives the parameters of the answer, and the verifier.
async function authorize({ client, auth }, parameters, { pushed = false, DPoP } = {}) {
	const verifier = oauth.generateRandomCodeVerifier();
	const state = oauth.generateRandomState();
	const all = { client_id: client.client_id, redirect_uri: redirect, response_type: 'code', scope: 'openid profile email', state, code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...parameters };
	let query = new URLSearchParams(all);
	if (pushed) {
		const kept = await oauth.processPushedAuthorizationResponse(as, client, await oauth.pushedAuthorizationRequest(as, client, auth, query, { DPoP }));
		query = new URLSearchParams({ client_id: client.client_id, request_uri: kept.request_uri });
	}
	const back = await comesBack(`${as.authorization_endpoint}?${query}`);
	return { answer: oauth.validateAuthResponse(as, client, back, state), verifier };
}

// redeem redeems the code of an answer.
async function redeem({ client, auth }, { answer, verifier }, { nonce, maxAge, ...options } = {}) {
	const response = await oauth.authorizationCodeGrantRequest(as, client, auth, answer, redirect, verifier, options);
	const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: nonce ?? oauth.expectNoNonce, maxAge, requireIdToken: true });
	await oauth.validateApplicationLevelSignature(as, response);
	return tokens;
}

const userinfo = async ({ client }, tokens, sub, options) => oauth.processUserInfoResponse(as, client, sub, await oauth.userInfoRequest(as, client, tokens.access_token, options));

// refresh checks the ID token too, where there is one.
async function refresh({ client, auth }, token, options) {
	const response = await oauth.refreshTokenGrantRequest(as, client, auth, token, options);
	const tokens = await oauth.processRefreshTokenResponse(as, client, response);
	if (tokens.id_token) await oauth.validateApplicationLevelSignature(as, response);
	return tokens;
}

// A nonce, an age of the proof, a class; claims; a refresh with less.
const shop = await register({});
const nonce = oauth.generateRandomNonce();
const tokens = await redeem(shop, await authorize(shop, { nonce, max_age: '600', acr_values: 'mfa single-factor', scope: 'openid profile email offline_access' }), { nonce, maxAge: 600 }).catch((err) => err);
const claims = tokens instanceof Error ? assert.fail(tokens) : oauth.getValidatedIdTokenClaims(tokens);
assert.equal(claims.preferred_username, 'ann');
assert.equal((await userinfo(shop, tokens, claims.sub)).email, 'ann@example.com');
await assert.rejects(userinfo(shop, tokens, 'somebody else'));
const less = await refresh(shop, tokens.refresh_token, { additionalParameters: { scope: 'openid' } });
assert.equal(less.scope, 'openid');
const lessInfo = await userinfo(shop, less, claims.sub);
assert.deepEqual(Object.keys(lessInfo), ['sub']);
const again = await refresh(shop, less.refresh_token);
assert.equal(again.scope, 'openid profile email offline_access');
did('client_secret_basic: signed in with nonce and max_age, claims, userinfo, refreshed with less');

// The code is good once, and for who asked.
const once = await authorize(shop, {});
await refuses('invalid_grant', () => redeem(shop, { ...once, verifier: oauth.generateRandomCodeVerifier() }));
const another = await register({ name: 'Another' });
await refuses('invalid_grant', () => redeem(another, once));
const first = await redeem(shop, once);
await refuses('invalid_grant', () => redeem(shop, once));
await refuses('invalid_grant', () => refresh(shop, first.refresh_token));
await assert.rejects(userinfo(shop, first, oauth.skipSubjectCheck));
did('a code that is used twice ends what it gave');

// A service that cannot do PKCE; one by its key, ahead.
const old = await register({ no_pkce: true }, (made) => oauth.ClientSecretPost(made.secret));
const back = await comesBack(`${as.authorization_endpoint}?${new URLSearchParams({ client_id: old.client.client_id, redirect_uri: redirect, response_type: 'code', scope: 'openid', state: 's' })}`);
await redeem(old, { answer: oauth.validateAuthResponse(as, old.client, back, 's'), verifier: oauth.nopkce });
did('client_secret_post: signed in without PKCE, which the service may');
const pair = await oauth.generateKeyPair('ES256', { extractable: true });
const jwk = await webcrypto.subtle.exportKey('jwk', pair.publicKey);
const keyed = await register({ keys: { keys: [{ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y, kid: 'one' }] }, pushed_only: true }, () => oauth.PrivateKeyJwt({ key: pair.privateKey, kid: 'one' }));
const byKey = await redeem(keyed, await authorize(keyed, {}, { pushed: true }));
assert.equal(oauth.getValidatedIdTokenClaims(byKey).preferred_username, 'ann');
const notPushed = oauth.validateAuthResponse.bind(null, as, keyed.client);
const refused = await comesBack(`${as.authorization_endpoint}?${new URLSearchParams({ client_id: keyed.client.client_id, redirect_uri: redirect, response_type: 'code', scope: 'openid', state: 's', code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256' })}`);
assert.throws(() => notPushed(refused, 's'), (err) => err.error === 'invalid_request');
did('private_key_jwt and PAR: signed in; a request that was not pushed is refused');

// An API takes what is for it (RFC 9068), bound to a key or not.
const api = (token, more = {}) => new Request('https://orders.example.com/', { headers: { authorization: `Bearer ${token}`, ...more } });
const forIssuer = await oauth.validateJwtAccessToken(as, api(tokens.access_token), settings.issuer);
assert.equal(forIssuer.client_id, shop.client.client_id);
assert.equal(forIssuer.sub, claims.sub);
await assert.rejects(oauth.validateJwtAccessToken(as, api(tokens.access_token), settings.resource));
const forSite = await redeem(shop, await authorize(shop, { resource: settings.resource }));
assert.equal((await oauth.validateJwtAccessToken(as, api(forSite.access_token), settings.resource)).sub, claims.sub);
const RS256 = await register({ algorithm: 'RS256' });
const byRSA = await redeem(RS256, await authorize(RS256, {}));
assert.equal((await oauth.validateJwtAccessToken(as, api(byRSA.access_token), settings.issuer, { signingAlgorithms: ['RS256'] })).sub, claims.sub);
did('access tokens that an API verifies: RFC 9068, with a resource (RFC 8707), RS256');

const bound = await register({ dpop: true });
const DPoP = oauth.DPoP(bound.client, await oauth.generateKeyPair('PS256'));
const sealed = await redeem(bound, await authorize(bound, {}, { pushed: true, DPoP }), { DPoP });
const request = await new Promise((done) => {
	oauth.protectedResourceRequest(sealed.access_token, 'GET', new URL('https://orders.example.com/'), undefined, undefined, { DPoP, [oauth.customFetch]: (to, options) => (done(new Request(to, options)), new Response()) }).catch(() => {});
});
assert.ok((await oauth.validateJwtAccessToken(as, request, settings.issuer, { requireDPoP: true })).cnf.jkt);
assert.equal((await userinfo(bound, sealed, claims.sub, { DPoP })).sub, claims.sub);
assert.equal((await refresh(bound, sealed.refresh_token, { DPoP })).token_type, 'dpop');
const stolen = oauth.DPoP(bound.client, await oauth.generateKeyPair('ES256'));
await refuses('invalid_dpop_proof', async () => redeem(bound, await authorize(bound, {}, { pushed: true, DPoP }), { DPoP: stolen })); // the request named the key
did('DPoP: PAR names the key of the code, tokens that an API verifies with their proof, userinfo, refreshed');

// By a device, asked for as the standard has it.
const tv = await register({ type: 'desktop', device: true }, () => oauth.None());
const asked = await oauth.processDeviceAuthorizationResponse(as, tv.client, await oauth.deviceAuthorizationRequest(as, tv.client, tv.auth, { scope: 'openid email' }));
const poll = async () => oauth.processDeviceCodeResponse(as, tv.client, await oauth.deviceCodeGrantRequest(as, tv.client, tv.auth, asked.device_code));
await refuses('authorization_pending', poll);
await refuses('slow_down', poll);
await approve(asked.user_code);
let letIn;
for (let wait = asked.interval + 5; !letIn;) { // five seconds longer after each slow_down
	await new Promise((done) => setTimeout(done, 1000 * wait));
	letIn = await poll().catch((err) => (err.error === 'slow_down' ? (wait += 5, undefined) : assert.fail(err)));
}
assert.equal(oauth.getValidatedIdTokenClaims(letIn).email, 'ann@example.com');
did('device: pending, too soon, signed in');

// For itself; what there is to know of a token, and its end.
const robot = await register({ type: 'api', scopes: ['orders:read'], token_format: 'opaque' });
const ownResponse = await oauth.clientCredentialsGrantRequest(as, robot.client, robot.auth, { scope: 'orders:read' });
const own = await oauth.processClientCredentialsResponse(as, robot.client, ownResponse);
const look = async (token) => oauth.processIntrospectionResponse(as, robot.client, await oauth.introspectionRequest(as, robot.client, robot.auth, token));
assert.equal((await look(own.access_token)).sub, robot.client.client_id);
assert.equal((await look(sealed.access_token)).token_type, 'DPoP');
assert.ok((await look(sealed.access_token)).cnf.jkt);
await oauth.processRevocationResponse(await oauth.revocationRequest(as, robot.client, robot.auth, own.access_token));
assert.equal((await look(own.access_token)).active, false);
await oauth.processRevocationResponse(await oauth.revocationRequest(as, robot.client, robot.auth, again.access_token)); // of another client: nothing happens
assert.equal((await look(again.access_token)).active, true);
did('client credentials, opaque: introspected, revoked; another\'s token stays');

const left = await browse(`${as.end_session_endpoint}?${new URLSearchParams({ id_token_hint: again.id_token, post_logout_redirect_uri: bye, state: 'out' })}`);
assert.equal(left.at, `${bye}?state=out`);
assert.equal((await refresh(shop, again.refresh_token)).token_type, 'bearer'); // it has offline_access
await assert.rejects(userinfo(keyed, byKey, oauth.skipSubjectCheck));
await refuses('invalid_grant', () => refresh(keyed, byKey.refresh_token)); // it has not
did('signed out: what was not for offline ends');
done();
