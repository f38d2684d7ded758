/*
 * What is asked of the agent: one object, lines of objects as they come, and events as they happen. All
 * of it from where the page came from. An address that asks for a token gets the one entered here, kept
 * for this tab only.
 */
import { parse } from './exact.js';

const TOKEN = 'oncpu.token';

export class ApiError extends Error {
	constructor(title, message, cure, status) {
		super(message);
		Object.assign(this, { title, cure, status });
	}
}

export function setToken(token) {
	sessionStorage.setItem(TOKEN, token);
}

function headers(more) {
	const token = sessionStorage.getItem(TOKEN);
	return { ...more, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
}

async function problem(response) {
	let detail = '';
	try {
		const body = await response.json();
		detail = body.detail ?? body.title ?? '';
	} catch {
		/* no problem document: the status says it all */
	}
	if (response.status === 401)
		return new ApiError(
			'The agent wants its token',
			'Who asks from here has to show it.',
			'It is the first line of the token file that the agent was started with.',
			401,
		);
	if (response.status === 404) return new ApiError('There is no such thing here', detail || response.url, null, 404);
	return new ApiError(`The agent answered ${response.status}`, detail || response.statusText, null, response.status);
}

export const unanswered = () =>
	new ApiError(
		'The agent does not answer',
		'It is stopped, or restarting; accounting goes on in the kernel meanwhile.',
		'This page comes back by itself. On the host: systemctl status oncpu, or oncpu doctor.',
		0,
	);

async function open(path, signal, more) {
	let response;
	try {
		response = await fetch(path, { signal, headers: headers(more), cache: 'no-store', credentials: 'omit' });
	} catch (error) {
		if (signal?.aborted) throw error;
		throw unanswered();
	}
	if (!response.ok) throw await problem(response);
	return response;
}

export async function object(path, signal) {
	return parse(await (await open(path, signal)).text());
}

/* Calls take(objects) for each block of whole lines as it arrives. */
export async function lines(path, take, signal) {
	const response = await open(path, signal);
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = '';
	for (;;) {
		const { value, done } = await reader.read();
		const text = rest + (value ?? '');
		const cut = done ? text.length : text.lastIndexOf('\n') + 1;
		rest = text.slice(cut);
		/* a line is an object without a line break in it: joined by commas they are one array */
		const block = text.slice(0, cut).trim();
		if (block) take(parse(`[${block.replaceAll('\n', ',')}]`));
		if (done) return response.headers;
	}
}

export async function list(path, signal) {
	const all = [];
	await lines(path, (some) => all.push(...some), signal);
	return all;
}

export function query(path, parameters) {
	const q = new URLSearchParams();
	for (const [name, value] of Object.entries(parameters))
		if (value !== null && value !== undefined && value !== '') q.set(name, value);
	const text = q.toString();
	return text ? `${path}?${text}` : path;
}

/* One event's lines → { event, id, data }. */
function event(block) {
	const got = { event: 'message', data: '' };
	for (const line of block.split('\n')) {
		const colon = line.indexOf(':');
		if (colon <= 0) continue;
		const value = line.slice(colon + 1).replace(/^ /, '');
		const name = line.slice(0, colon);
		if (name === 'data') got.data += (got.data ? '\n' : '') + value;
		else if (name === 'event' || name === 'id') got[name] = value;
	}
	return got;
}

async function follow(path, last, onEvents, onState, signal) {
	const response = await open(path, signal, {
		Accept: 'text/event-stream',
		...(last.id ? { 'Last-Event-ID': last.id } : {}),
	});
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = '';
	onState('live');
	for (;;) {
		const { value, done } = await reader.read();
		if (done) return;
		rest += value.replaceAll('\r\n', '\n');
		const cut = rest.lastIndexOf('\n\n');
		if (cut < 0) continue;
		const events = rest
			.slice(0, cut)
			.split('\n\n')
			.map(event)
			.filter((e) => e.data);
		rest = rest.slice(cut + 2);
		if (!events.length) continue;
		last.id = events.findLast((e) => e.id)?.id ?? last.id;
		onEvents(events.map((e) => ({ event: e.event, data: parse(e.data) })));
	}
}

/*
 * Follows what happens until the signal says stop. A stream that breaks off is taken up where it was, after
 * 1, 2, 4, then every 8 seconds. EventSource would do that too, but can send no token.
 */
export async function events(path, onEvents, onState, signal) {
	const last = { id: null };
	for (let wait = 1000; !signal.aborted; wait = Math.min(8000, wait * 2)) {
		onState('connecting');
		try {
			await follow(
				path,
				last,
				(e) => {
					wait = 500;
					onEvents(e);
				},
				onState,
				signal,
			);
		} catch (error) {
			if (signal.aborted) return;
			onState('lost', error);
		}
		await new Promise((resolve) => {
			const timer = setTimeout(resolve, wait);
			signal.addEventListener(
				'abort',
				() => {
					clearTimeout(timer);
					resolve();
				},
				{ once: true },
			);
		});
	}
}
