/* Bars made of elements: what was used against what was billed, and parts of a whole. */
import { exactNs, duration } from './format.js';
import { share } from './exact.js';
import { h, ns } from './dom.js';

const wide = (part, whole) => ({ width: `${(share(part, whole) * 100).toFixed(3)}%` });

/* Three thin bars on one scale: wall, billed, on-CPU. For the eye; a screen reader gets the sentence. */
export function triple(wall, billed, cpu, scale) {
	const bar = (tone, value) => h('span', { class: `bar ${tone}`, style: wide(value, scale) });
	return h(
		'span',
		{
			class: 'triple',
			role: 'img',
			'aria-label': `wall ${duration(wall)}, billed ${duration(billed)}, on-CPU ${duration(cpu)}`,
		},
		bar('wall', wall),
		billed === null ? null : bar('billed', billed),
		bar('running', cpu),
	);
}

/* The same three, large, with their names and numbers. */
export function comparison(rows, scale) {
	return h(
		'dl',
		{ class: 'comparison' },
		rows.map(({ label, tone, value, name, note }) =>
			h(
				'div',
				{ class: 'comparison-row' },
				h('dt', null, label),
				h(
					'dd',
					null,
					h(
						'span',
						{ class: 'track', 'aria-hidden': 'true' },
						h('span', { class: `bar ${tone}`, style: wide(value, scale) }),
					),
					h('span', { class: 'comparison-value' }, ns(value, name), note ? h('small', null, ` ${note}`) : null),
				),
			),
		),
	);
}

/* Parts of a whole, side by side. parts: { name, tone, value }. */
export function strip(parts, whole, label) {
	return h(
		'span',
		{
			class: 'strip',
			role: 'img',
			'aria-label': `${label ? `${label}: ` : ''}${parts
				.filter((p) => Number(p.value) > 0)
				.map((p) => `${p.name} ${duration(p.value)}`)
				.join(', ')}`,
		},
		parts
			.filter((p) => Number(p.value) > 0)
			.map((p) =>
				h('span', { class: `part ${p.tone}`, style: wide(p.value, whole), title: `${p.name}: ${exactNs(p.value)}` }),
			),
	);
}

export function swatch(tone) {
	return h('span', { class: `swatch ${tone}`, 'aria-hidden': 'true' });
}
