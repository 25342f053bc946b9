// What pages do with a script. All of them work without, but for passkeys.
'use strict';

// Passkeys: asks the browser for one, and sends what it gives with the form around it
// (Web Authentication Level 3, sections 5.1.3 and 5.1.4). A form says with data-passkey
// what it wants (get, or create) and with data-options how; it is hidden where the
// browser has no passkeys, or no scripts.
(() => {
	if (!window.PublicKeyCredential) return;

	const bytes = text => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
	const text = buffer => {
		let s = '';
		for (const b of new Uint8Array(buffer)) s += String.fromCharCode(b);
		return btoa(s).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
	};

	// The options of a form, as the browser wants them.
	const optionsOf = form => {
		const o = JSON.parse(form.dataset.options);
		o.challenge = bytes(o.challenge);
		for (const list of [o.allowCredentials, o.excludeCredentials]) for (const c of list || []) c.id = bytes(c.id);
		if (o.user) o.user.id = bytes(o.user.id);
		return o;
	};

	// A credential as JSON (section 5.1, RegistrationResponseJSON and AuthenticationResponseJSON).
	const toJSON = c => {
		const r = c.response, response = {clientDataJSON: text(r.clientDataJSON)};
		if (r.attestationObject) {
			response.attestationObject = text(r.attestationObject);
			response.transports = r.getTransports ? r.getTransports() : [];
		} else {
			response.authenticatorData = text(r.authenticatorData);
			response.signature = text(r.signature);
			if (r.userHandle) response.userHandle = text(r.userHandle);
		}
		return JSON.stringify({id: c.id, rawId: text(c.rawId), type: c.type, response, clientExtensionResults: {},
			...(c.authenticatorAttachment && {authenticatorAttachment: c.authenticatorAttachment})});
	};

	const say = (form, message) => {
		const note = form.querySelector('[data-say]');
		note.textContent = message;
		note.hidden = message === '';
	};

	const send = (form, credential) => {
		form.elements.passkey.value = toJSON(credential);
		form.submit();
	};

	let waiting; // the request that waits for a choice from the autofill list

	const trouble = (form, error) => {
		switch (error.name) {
		case 'AbortError':
			return;
		case 'InvalidStateError':
			say(form, 'This device has a passkey for this account already.');
			return;
		case 'NotAllowedError':
			say(form, 'No passkey was used. You can try again, or go another way.');
			return;
		}
		say(form, 'This browser could not use a passkey here (' + error.name + '). Try another way.');
	};

	const get = async form => {
		say(form, '');
		if (waiting) waiting.abort();
		try {
			send(form, await navigator.credentials.get({publicKey: optionsOf(form)}));
		} catch (error) {
			trouble(form, error);
			if (form.hasAttribute('data-offer')) offer(form);
		}
	};

	// The fields of a new account are filled in before its passkey is made; only a
	// password is not needed.
	const create = async form => {
		say(form, '');
		const password = form.elements.password, options = optionsOf(form);
		if (password) password.disabled = true;
		if (form.reportValidity()) {
			if (form.elements.username) {
				options.user.name = form.elements.username.value;
				options.user.displayName = (form.elements.name && form.elements.name.value) || form.elements.username.value;
			}
			try {
				send(form, await navigator.credentials.create({publicKey: options}));
				return;
			} catch (error) {
				trouble(form, error);
			}
		}
		if (password) password.disabled = false;
	};

	// Offers passkeys where the name is typed, without being asked.
	const offer = async form => {
		const {signal} = waiting = new AbortController(); // the button may be pressed before it begins
		if (!PublicKeyCredential.isConditionalMediationAvailable || !await PublicKeyCredential.isConditionalMediationAvailable()) return;
		try {
			send(form, await navigator.credentials.get({publicKey: optionsOf(form), mediation: 'conditional', signal}));
		} catch (error) {
			if (error.name !== 'NotAllowedError') trouble(form, error);
		}
	};

	for (const form of document.querySelectorAll('form[data-passkey]')) {
		form.hidden = false;
		form.querySelector('[data-ask]').addEventListener('click', event => {
			event.preventDefault();
			(form.dataset.passkey === 'create' ? create : get)(form);
		});
		if (form.hasAttribute('data-offer')) offer(form);
	}
	for (const part of document.querySelectorAll('[data-needs-passkey]')) part.hidden = false;
})();

// Says while somebody types a new password how good it is. It counts, for what there is
// to guess, different characters more than repeated ones; what is common is for the
// server to say.
(() => {
	const words = ['', 'Too short', 'Easy to guess', 'Good', 'Very good'];
	for (const input of document.querySelectorAll('input[data-meter]')) {
		const least = Number(input.dataset.meter);
		const meter = document.createElement('div'), said = document.createElement('span');
		meter.className = 'meter';
		meter.append(document.createElement('i'), said);
		said.setAttribute('role', 'status');
		input.after(meter);
		const show = () => {
			const letters = Array.from(input.value.normalize('NFC').toLowerCase());
			const pairs = new Set(); // of neighbours; a step along the alphabet or the digits is none
			for (let i = 1; i < letters.length; i++) {
				const step = letters[i].codePointAt(0) - letters[i - 1].codePointAt(0);
				if (Math.abs(step) > 1) pairs.add(letters[i - 1] + letters[i]);
			}
			const own = ['username', 'email', 'name'].map(n => input.form.elements[n]).filter(e => e && e.value.length > 3)
				.some(e => letters.join('').includes(e.value.toLowerCase()));
			let level = 0;
			if (letters.length > 0) {
				level = letters.length < least ? 1 : own || pairs.size < 8 ? 2 : pairs.size < least ? 3 : 4;
			}
			meter.dataset.level = level;
			said.textContent = level === 1 ? `${words[1]}: ${least - letters.length} more` : words[level];
		};
		input.addEventListener('input', show);
		show();
	}
})();

// Sends a form that an app waits for.
for (const form of document.querySelectorAll('form[data-send]')) form.submit();
