// A receiver of webhooks that verifies them with the library of Standard Webhooks. Each
// has a path of its own, /a to /d, and a secret that a test tells it.
import { Webhook } from 'standardwebhooks';
import { readState, serve } from './common.mjs';

const state = await readState();
const secrets = {};
const told = {};

await serve(state, {
	handle: async (req, res) => {
		let text = '';
		for await (const part of req) text += part;
		const name = req.url.slice(1);
		if (!secrets[name]) { // it comes again, once the secret is known
			res.writeHead(503).end();
			return;
		}
		const message = { id: req.headers['webhook-id'], signatures: req.headers['webhook-signature'].split(' ').length, verified: true, body: JSON.parse(text) };
		try {
			new Webhook(secrets[name]).verify(text, req.headers);
		} catch (err) {
			message.verified = false;
			message.error = String(err);
		}
		(told[name] ??= []).push(message);
		res.writeHead(204).end();
	},
	endpoints: { a: '/a', b: '/b', c: '/c', d: '/d' },
	reload: () => {},
	forget: () => {},
	admin: {
		secret: ({ name, secret }) => { secrets[name] = secret; },
		hooks: ({ name }) => told[name] ?? [],
	},
});
