// What the scripts of clients share: what a test tells them, and what they ask it for.
import { strict as assert } from 'node:assert';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto; // Node 18

let text = '';
for await (const part of process.stdin) text += part;

// The settings: issuer; driver, the address of the test's side of this; and resource, a site
// that takes tokens.
export const settings = JSON.parse(text);

async function ask(what, body = {}) {
	const answer = await fetch(`${settings.driver}/${what}`, { method: 'POST', body: JSON.stringify(body) });
	if (!answer.ok) throw new Error(`${what}: ${answer.status} ${await answer.text()}`);
	return answer.json();
}

// service registers a client and gives what there is to know of it, as JSON of the API.
export const service = (settings) => ask('service', settings);

// browse has the person go to an address of the issuer, sign in there and allow all that
// is asked. at is where the answer of the issuer leads, form what is posted there; without
// one, status and path are those of the page where the browser stopped.
export async function browse(to) {
	const visited = await ask('browse', { To: String(to) });
	if (visited.form) visited.form = new URLSearchParams(Object.entries(visited.form).map(([name, [value]]) => [name, value]));
	return visited;
}

// comesBack is browse for what leads back to the client.
export async function comesBack(to) {
	const visited = await browse(to);
	assert(visited.at, `nothing leads back: ${visited.status} at ${visited.path}`);
	return new URL(visited.at);
}

// approve has the person let a device in.
export const approve = (code) => ask('approve', { Code: code });

// forget gives the person another browser.
export const forget = () => ask('forget');

// did says that something works; the test counts.
export const did = (what) => console.log(`did ${what}`);

// done ends the script.
export function done() {
	console.log('done');
	process.exit(0);
}

// receiver listens on the loopback and gives its address, and the forms that are sent there.
export async function receiver() {
	const told = [];
	const waiting = [];
	const server = createServer(async (req, res) => {
		let body = '';
		for await (const part of req) body += part;
		const form = new URLSearchParams(body);
		res.writeHead(200).end();
		const next = waiting.shift();
		if (next) next(form);
		else told.push(form);
	});
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	return { url: `http://127.0.0.1:${server.address().port}/told`, next: async () => told.shift() ?? new Promise((done) => waiting.push(done)) };
}

// refuses checks that something is refused with an OAuth error.
export async function refuses(error, f) {
	await assert.rejects(f, (err) => {
		const said = err.error ?? err.cause?.error ?? err.code;
		assert.equal(said, error, `${err.stack}\n${JSON.stringify(err.cause)}`);
		return true;
	});
}
