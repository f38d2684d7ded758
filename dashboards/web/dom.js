/* Elements, made by name. Text goes in as text nodes only: nothing here, nor anywhere on the page, reads
 * markup (the policy "require-trusted-types-for" would stop it). */
import { count, duration, exactMoney, exactNs, grouped, money } from './format.js';

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, properties, children) {
	for (const [name, value] of Object.entries(properties ?? {})) {
		if (value === null || value === undefined || value === false) continue;
		if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
		else if (name === 'style') for (const [key, v] of Object.entries(value)) node.style.setProperty(key, v);
		else node.setAttribute(name, value === true ? '' : value);
	}
	node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
	return node;
}

/* h('p', { class: 'x', onclick }, 'text', node …) */
export function h(tag, properties, ...children) {
	return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties, ...children) {
	return fill(document.createElementNS(SVG, tag), properties, children);
}

/* A number: what is shown is rounded, its value and title are whole. `name` is the API's. */
function data(value, text, title, name) {
	return h(
		'data',
		{ value: value === null || value === undefined ? '' : String(value), title, 'data-name': name },
		text,
	);
}
export const ns = (value, name) => data(value, duration(value), exactNs(value), name);
export const number = (value, name) => data(value, count(value), null, name);
export const cost = (e12, currency, name) => data(e12, money(e12, currency), exactMoney(e12, currency), name);
export const whole = (value, name) => data(value, grouped(value), null, name);

export function replace(node, ...children) {
	node.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
}

/* Nothing to show, and what to do about it. */
export function empty(title, ...what) {
	return h('div', { class: 'empty' }, h('p', { class: 'empty-title' }, title), ...what.map((w) => h('p', null, w)));
}

export function failure(error, retry) {
	return h(
		'div',
		{ class: 'empty failure', role: 'alert' },
		h('p', { class: 'empty-title' }, error.title ?? 'This cannot be shown'),
		h('p', null, error.message),
		error.cure ? h('p', null, error.cure) : null,
		retry ? h('p', null, h('button', { type: 'button', class: 'button', onclick: retry }, 'Try again')) : null,
	);
}

export function say(text) {
	document.getElementById('say').textContent = text;
}

/* Calls `work` at most once a frame and once in `gap` ms, the last time included. */
export function paced(gap, work) {
	let timer = 0,
		last = 0;
	const run = () => {
		timer = 0;
		last = performance.now();
		work();
	};
	const ask = () => {
		timer ||= setTimeout(() => requestAnimationFrame(run), Math.max(0, last + gap - performance.now()));
	};
	ask.stop = () => clearTimeout(timer);
	return ask;
}
