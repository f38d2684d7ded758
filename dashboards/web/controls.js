/* What every view has at its top: the time, and as what it is billed. */
import { h } from './dom.js';
import { object } from './api.js';
import { visible } from './format.js';
import { RANGES } from './state.js';

export function ranges(at, go) {
	return h(
		'div',
		{ class: 'segmented', role: 'group', 'aria-label': 'Time shown' },
		RANGES.map(([value, words]) =>
			h(
				'button',
				{ type: 'button', 'aria-pressed': String(value === at.since), onclick: () => go({ since: value }) },
				words,
			),
		),
	);
}

export function policySelect(policies, at, go) {
	const names = policies.some((p) => p.name === at.as) ? policies : [{ name: at.as }, ...policies];
	const select = h(
		'select',
		{ id: 'as', onchange: () => go({ as: select.value }) },
		names.map((p) => h('option', { value: p.name, selected: p.name === at.as }, visible(p.title ?? p.name))),
	);
	return h('span', { class: 'field' }, h('label', { for: 'as' }, 'Billed as'), select);
}

let known = null;
/* Asked once: policies change with the agent only. Chooses the host's own where the address names none. */
export async function policies(at, signal) {
	known ??= object('/v1/policies', signal).catch((error) => {
		known = null;
		throw error;
	});
	const { policies: all, host } = await known;
	at.as ??= host;
	return all;
}

export function head(title, { up, over, aside, sub } = {}) {
	return h(
		'div',
		{ class: 'head' },
		h(
			'div',
			{ class: 'head-title' },
			up ? h('p', { class: 'crumb' }, h('a', { href: up, rel: 'up' }, `← ${over}`)) : null,
			h('h1', null, title),
			sub ?? null,
		),
		h('div', { class: 'controls' }, aside),
	);
}

export function panel(title, id, ...content) {
	return h(
		'section',
		{ class: `card ${id}`, 'aria-labelledby': `${id}-title` },
		h('h2', { id: `${id}-title` }, title),
		...content,
	);
}
