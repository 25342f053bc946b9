// npm's openid-client as a client of the issuer: each way in which a service can prove who
// it is, and each grant.
import { strict as assert } from 'node:assert';
import * as client from 'openid-client';
import { createRemoteJWKSet, exportJWK, jwtVerify } from 'jose';
import { approve, browse, comesBack, did, done, forget, receiver, refuses, service, settings } from './party.mjs';

const issuer = new URL(settings.issuer);
const redirect = 'https://shop.example.com/back';
const bye = 'https://shop.example.com/bye';
const scope = 'openid profile email offline_access';
const keys = createRemoteJWKSet(new URL(`${settings.issuer}/.gate/oauth/jwks`));

// register makes a service, and the client of it.
async function register(more, how = (made) => client.ClientSecretBasic(made.secret)) {
	const made = await service({ redirect_uris: [redirect], logout_uris: [bye], ...more });
	const config = await client.discovery(issuer, made.client_id, {}, how(made));
	client.enableNonRepudiationChecks(config); // the signatures of ID tokens too
	return { made, config };
}

// signIn begins and ends an authorization.
async function signIn(config, { parameters = {}, pushed = false, options = {}, back = (url) => url } = {}) {
	const verifier = client.randomPKCECodeVerifier();
	const state = client.randomState();
	const nonce = client.randomNonce();
	const all = { redirect_uri: redirect, scope, state, nonce, code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...parameters };
	const to = pushed ? await client.buildAuthorizationUrlWithPAR(config, all, options) : client.buildAuthorizationUrl(config, all);
	const answer = back(await comesBack(to));
	return client.authorizationCodeGrant(config, answer, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true, ...options.checks }, undefined, options);
}

// live signs in, reads the claims, refreshes and revokes.
async function live(name, { config }, how = {}) {
	const tokens = await signIn(config, how);
	const claims = tokens.claims();
	assert.equal(claims.preferred_username, 'ann');
	assert.equal(claims.email, 'ann@example.com');
	const info = await client.fetchUserInfo(config, tokens.access_token, claims.sub, how.options);
	assert.equal(info.name, 'Ann');
	assert.equal(info.email, 'ann@example.com');
	const fresh = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, how.options);
	assert.notEqual(fresh.refresh_token, tokens.refresh_token);
	assert.equal(fresh.claims().sub, claims.sub);
	assert.equal(fresh.claims().sid, claims.sid);
	await client.fetchUserInfo(config, fresh.access_token, claims.sub, how.options);
	await client.tokenRevocation(config, fresh.refresh_token);
	await refuses('invalid_grant', () => client.refreshTokenGrant(config, fresh.refresh_token, undefined, how.options));
	await assert.rejects(client.fetchUserInfo(config, fresh.access_token, claims.sub, how.options));
	did(`${name}: signed in, claims, userinfo, refreshed, revoked`);
	return claims;
}

// Every way in which a client proves who it is.
const shop = await register({});
await live('client_secret_basic', shop);
await live('client_secret_post', { config: await client.discovery(issuer, shop.made.client_id, {}, client.ClientSecretPost(shop.made.secret)) });
await live('RS256 and opaque', await register({ algorithm: 'RS256', token_format: 'opaque' }));
for (const alg of ['ES256', 'ES384', 'RS256', 'PS256']) {
	const pair = await client.randomDPoPKeyPair(alg, { extractable: true });
	const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'one', use: 'sig', alg };
	await live(`private_key_jwt, ${alg}`, await register({ keys: { keys: [jwk] } }, () => client.PrivateKeyJwt({ key: pair.privateKey, kid: 'one' })));
}
await live('a public client', await register({ type: 'desktop' }, () => client.None()));
for (const [error, how] of [['OAUTH_WWW_AUTHENTICATE_CHALLENGE', client.ClientSecretBasic], ['invalid_client', client.ClientSecretPost]]) {
	const wrong = await client.discovery(issuer, shop.made.client_id, {}, how('wrong'));
	await refuses(error, () => client.clientCredentialsGrant(wrong));
}
did('a wrong secret is refused');

// Requests that are sent ahead, and tokens that are bound to a key.
await live('PAR', await register({ pushed_only: true }), { pushed: true });
const dpop = await register({ dpop: true });
const options = { DPoP: client.getDPoPHandle(dpop.config, await client.randomDPoPKeyPair('ES256')) };
await live('DPoP', dpop, { options });
await live('DPoP with PAR', dpop, { options, pushed: true });
const bound = await signIn(dpop.config, { options });
assert.equal(bound.token_type, 'dpop');
await assert.rejects(client.fetchUserInfo(dpop.config, bound.access_token, client.skipSubjectCheck), 'a bound token without its proof');
const other = { DPoP: client.getDPoPHandle(dpop.config, await client.randomDPoPKeyPair('ES256')) };
await assert.rejects(client.fetchUserInfo(dpop.config, bound.access_token, client.skipSubjectCheck, other), 'a bound token with another key');
await refuses('invalid_dpop_proof', () => client.refreshTokenGrant(dpop.config, bound.refresh_token, undefined, other));
did('a bound token is good with its key only');

// The answer as a form, and in the fragment; and from whom it is.
const posted = { parameters: { response_mode: 'form_post' } };
const verifier = client.randomPKCECodeVerifier();
const visited = await browse(client.buildAuthorizationUrl(shop.config, { redirect_uri: redirect, scope, response_mode: 'form_post', state: 's', code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' }));
assert.equal(visited.at, redirect);
const request = new Request(visited.at, { method: 'POST', body: visited.form });
const byForm = await client.authorizationCodeGrant(shop.config, request, { pkceCodeVerifier: verifier, expectedState: 's', idTokenExpected: true });
assert.equal(byForm.claims().preferred_username, 'ann');
did(`${posted.parameters.response_mode}: signed in`);
await live('fragment', shop, { parameters: { response_mode: 'fragment' }, back: (url) => new URL(`${redirect}?${url.hash.slice(1)}`) });
for (const change of [(query) => query.set('iss', 'https://other.example.com'), (query) => query.delete('iss')]) {
	const mixed = signIn(shop.config, { back: (url) => (change(url.searchParams), url) });
	await assert.rejects(mixed, (err) => /"iss"/.test(err.cause.message));
}
did('an answer of another issuer is refused');

// By a device.
const tv = await register({ type: 'desktop', device: true }, () => client.None());
const asked = await client.initiateDeviceAuthorization(tv.config, { scope });
await approve(asked.user_code);
const let_in = await client.pollDeviceAuthorizationGrant(tv.config, { ...asked, interval: 1 });
assert.equal(let_in.claims().preferred_username, 'ann');
await client.fetchUserInfo(tv.config, let_in.access_token, let_in.claims().sub);
const later = await client.refreshTokenGrant(tv.config, let_in.refresh_token);
assert.equal(later.claims().sub, let_in.claims().sub);
did('device: signed in, claims, userinfo, refreshed');

// For itself, and about tokens.
const api = await register({ type: 'api', scopes: ['orders:read', 'orders:write'] });
const own = await client.clientCredentialsGrant(api.config, { scope: 'orders:read' });
assert.equal(own.refresh_token, undefined);
const about = await client.tokenIntrospection(api.config, own.access_token);
assert.equal(about.active, true);
assert.equal(about.scope, 'orders:read');
assert.equal(about.client_id, api.made.client_id);
await refuses('invalid_scope', () => client.clientCredentialsGrant(api.config, { scope: 'orders:burn' }));
await client.tokenRevocation(api.config, own.access_token);
assert.equal((await client.tokenIntrospection(api.config, own.access_token)).active, false);
did('client credentials: a token, introspected, revoked');
const tokens = await signIn(shop.config);
for (const token of [tokens.access_token, tokens.refresh_token]) assert.equal((await client.tokenIntrospection(shop.config, token)).active, true);
const toAPI = await client.tokenIntrospection(api.config, tokens.access_token); // of the same organization
assert.equal(toAPI.username, 'ann');
assert.equal(toAPI.sub, tokens.claims().sub);
await client.tokenRevocation(shop.config, tokens.access_token);
assert.equal((await client.tokenIntrospection(api.config, tokens.access_token)).active, false);
assert.equal((await client.tokenIntrospection(shop.config, tokens.refresh_token)).active, true);
did('introspection and revocation of a user\'s tokens');

// Signing out: the person comes back, the services are told.
const ear = await receiver();
const told = await register({ backchannel_logout_uri: ear.url });
const here = await signIn(told.config, { parameters: { scope: 'openid' } });
const home = await browse(client.buildEndSessionUrl(told.config, { id_token_hint: here.id_token, post_logout_redirect_uri: bye, state: 'out' }));
assert.equal(home.at, `${bye}?state=out`);
const { payload, protectedHeader } = await jwtVerify((await ear.next()).get('logout_token'), keys, { issuer: settings.issuer, audience: told.made.client_id, typ: 'logout+jwt', maxTokenAge: 60, requiredClaims: ['iat', 'exp', 'jti', 'events'] });
assert.equal(protectedHeader.alg, 'ES256');
assert.equal(payload.sub, here.claims().sub);
assert.equal(payload.sid, here.claims().sid);
assert.deepEqual(payload.events, { 'http://schemas.openid.net/event/backchannel-logout': {} });
assert.equal(payload.nonce, undefined);
await refuses('invalid_grant', () => client.refreshTokenGrant(told.config, here.refresh_token));
await assert.rejects(client.fetchUserInfo(told.config, here.access_token, client.skipSubjectCheck));
did('signed out: came back, a logout token that jose verifies, no token is good');
const silent = new URL((await browse(client.buildAuthorizationUrl(shop.config, { redirect_uri: redirect, scope: 'openid', prompt: 'none', code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM', code_challenge_method: 'S256' }))).at);
assert.equal(silent.searchParams.get('error'), 'login_required');
did('prompt=none after the sign-out: login_required');
await forget();
done();
