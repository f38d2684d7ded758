/* The frame: which view is shown, whether the agent is heard, colours, and the keyboard. */
import { ApiError, object, setToken, unanswered } from './api.js';
import { failure, h, replace, say } from './dom.js';
import { visible } from './format.js';
import { handle, shortcuts } from './keys.js';
import { RANGES, link, remember, where } from './state.js';

const $ = (id) => document.getElementById(id);
const views = {
	fleet: () => import('./fleet.js'),
	function: () => import('./function.js'),
	invocation: () => import('./invocation.js'),
};

let current = null; /* { abort, view, at, module's own } */
let live = true;

/* ---- colours ---- */

const THEMES = [
	['auto', 'as the system', '◐'],
	['light', 'light', '○'],
	['dark', 'dark', '●'],
];

function theme() {
	return document.documentElement.dataset.theme ?? 'auto';
}

function showTheme() {
	const [, words, sign] = THEMES.find(([name]) => name === theme());
	$('theme').textContent = sign;
	$('theme').setAttribute('aria-label', `Colours: ${words}`);
	$('theme').title = `Colours: ${words} (t)`;
	document.dispatchEvent(new Event('oncpu-theme'));
}

function nextTheme() {
	const i = THEMES.findIndex(([name]) => name === theme()),
		[name, words] = THEMES[(i + 1) % THEMES.length];
	if (name === 'auto') delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = name;
	remember('theme', name === 'auto' ? null : name);
	showTheme();
	say(`Colours: ${words}`);
}

/* ---- rounded for the eye, or whole ---- */

function toggleWhole() {
	const whole = document.documentElement.toggleAttribute('data-whole');
	$('whole').setAttribute('aria-pressed', String(whole));
	say(whole ? 'Numbers are shown whole' : 'Numbers are rounded');
}

/* ---- is the agent heard ---- */

const STATES = {
	live: ['live', 'What happens is shown as it happens. Press to hold still (l)'],
	connecting: ['connecting', 'Asking the agent for what happens'],
	lost: ['not connected', 'The agent does not answer; asked again every few seconds'],
	held: ['held', 'Nothing moves. Press to go on (l)'],
	still: ['one record', 'A closed record never changes'],
};

function showState(state) {
	const [text, title] = STATES[state];
	$('live').dataset.state = state;
	$('live-text').textContent = text;
	$('live').title = title;
	$('live').setAttribute('aria-pressed', String(live));
}

function toggleLive() {
	live = !live;
	if (!live) showState('held');
	say(live ? 'Live again' : 'Held');
	show();
}

async function health() {
	try {
		const got = await object('/v1/health');
		$('host').textContent = visible(got.host);
		$('about').textContent = `oncpu ${got.version ?? ''} on ${visible(got.host)}`;
		const why = got.degraded ?? [];
		$('notice').hidden = why.length === 0;
		$('notice').textContent = why.length
			? `The agent is degraded: ${why.join('; ')}. oncpu doctor on the host says what to do.`
			: '';
	} catch {
		/* the view says it */
	}
}

/* ---- views ---- */

function askToken(error) {
	const field = h('input', {
		type: 'password',
		id: 'token',
		autocomplete: 'off',
		required: true,
		'aria-describedby': 'token-why',
	});
	replace(
		$('main'),
		h(
			'form',
			{
				class: 'empty',
				onsubmit: (e) => {
					e.preventDefault();
					setToken(field.value.trim());
					health();
					show();
				},
			},
			h('h1', { class: 'empty-title' }, error.title),
			h('p', { id: 'token-why' }, `${error.message} ${error.cure}`),
			h(
				'p',
				{ class: 'field' },
				h('label', { for: 'token' }, 'Token'),
				field,
				h('button', { class: 'button' }, 'Go on'),
			),
		),
	);
	field.focus();
}

function onFailure(error) {
	if (error.name === 'AbortError') return;
	if (!(error instanceof ApiError)) console.error(error);
	if (error.status === 401) askToken(error);
	else replace($('main'), h('h1', { class: 'hidden' }, 'oncpu'), failure(error, show));
	showState('lost');
	/* it comes back by itself */
	if (error.status === 0) current.timer = setTimeout(show, 3000);
}

/*
 * A view's code is the agent's as well: while nobody gives it, nobody answers. A browser may keep that it could
 * not be had, and then only a new page helps; but not again and again, should it be for another reason.
 */
async function code(view) {
	try {
		return await views[view]();
	} catch (error) {
		if (error instanceof SyntaxError) throw error;
		await object('/v1/health');
		const last = Number(sessionStorage.getItem('oncpu.reloaded') ?? 0);
		if (Date.now() - last < 10000) throw unanswered();
		sessionStorage.setItem('oncpu.reloaded', String(Date.now()));
		location.reload();
		return new Promise(() => {});
	}
}

async function show() {
	const at = where();
	current?.abort.abort();
	clearTimeout(current?.timer);
	current?.destroy?.();
	const mine = (current = { abort: new AbortController(), at });
	const hash = location.hash;
	$('main').setAttribute('aria-busy', 'true');
	try {
		const module = await code(at.view);
		if (current !== mine) return;
		const made = await module.show({
			main: $('main'),
			at,
			live,
			signal: mine.abort.signal,
			state: (state) => current === mine && showState(live || state === 'still' ? state : 'held'),
			fail: (error) => current === mine && onFailure(error),
			go: (changes) => go({ ...at, ...changes }),
		});
		if (current !== mine) made?.destroy?.();
		else Object.assign(mine, made);
	} catch (error) {
		if (current === mine) onFailure(error);
	}
	if (current === mine) {
		$('main').setAttribute('aria-busy', 'false');
		$('main').dataset.shown = hash;
	}
}

function go(at) {
	remember('since', at.since);
	remember('as', at.as ?? null);
	const to = link(at.view, at.name, at);
	if (to === location.hash) show();
	else location.hash = to;
}

function onNavigation(event) {
	const before = event && new URL(event.oldURL).hash,
		from = before === undefined ? null : where(before ?? ''),
		to = where();
	show();
	/* another view begins at its top, and is read from there */
	if (event && (from.view !== to.view || from.name !== to.name)) {
		scrollTo(0, 0);
		$('main').focus({ preventScroll: true });
	}
}

function shift(by) {
	const at = where(),
		i = RANGES.findIndex(([r]) => r === at.since) + by;
	if (RANGES[i] && at.view !== 'invocation') go({ ...at, since: RANGES[i][0] });
}

const links = () => [...document.querySelectorAll('main tbody a.row-link')].filter((a) => a.offsetParent !== null);

function step(by) {
	const all = links(),
		i = all.indexOf(document.activeElement);
	all[i < 0 ? 0 : Math.max(0, Math.min(all.length - 1, i + by))]?.focus();
}

function back() {
	const at = where(),
		up = document.querySelector('main a[rel="up"]');
	if (at.view !== 'fleet') up ? up.click() : go({ ...at, view: 'fleet', name: '' });
	else document.activeElement?.blur();
}

const KEYS = [
	['j', 'next row', () => step(1)],
	['k', 'row before', () => step(-1)],
	['Enter', 'open the row', null],
	['Escape', 'one level up', back],
	['/', 'find a function or an id', () => document.querySelector('main input[type="search"]')?.focus()],
	['[', 'shorter time', () => shift(-1)],
	[']', 'longer time', () => shift(1)],
	['← →', 'in a chart: from bin to bin; Enter: its invocations only', null],
	['n', 'numbers whole, or rounded', toggleWhole],
	['l', 'hold still, or go on live', toggleLive],
	['t', 'colours: as the system, light, dark', nextTheme],
	['?', 'these shortcuts', () => shortcuts($('keys'), KEYS)],
];

$('theme').addEventListener('click', nextTheme);
$('live').addEventListener('click', toggleLive);
$('whole').addEventListener('click', toggleWhole);
$('help').addEventListener('click', () => shortcuts($('keys'), KEYS));
document.addEventListener('keydown', (event) => handle(event, KEYS));
document.querySelector('.skip').addEventListener('click', (event) => {
	event.preventDefault(); /* the hash is the address here */
	$('main').focus();
});
addEventListener('hashchange', onNavigation);
showTheme();
showState('connecting');
show().then(() => {
	health();
	setInterval(health, 15000);
	views.function().catch(() => {}); /* what is likely next; if it cannot be had now, it is asked for again */
});
