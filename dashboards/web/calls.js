/* The list of a function's invocations, newest first, a page at a time. */
import { strip } from './bars.js';
import { quantiles } from './bins.js';
import { h, ns, replace } from './dom.js';
import { clock, count, visible } from './format.js';
import { link } from './state.js';
import { PARTS, billedNs, plural } from './words.js';

const PAGE = 50;

function invocationRow(r, at, whole) {
	const { record } = r,
		flags = record.flags?.length ?? 0;
	return h(
		'tr',
		{ role: 'row', 'data-record': record.record_id },
		h(
			'th',
			{ scope: 'row', role: 'rowheader', class: 'c-start' },
			h(
				'a',
				{ class: 'row-link', href: link('invocation', record.record_id, at), title: record.start },
				clock(record.start),
			),
		),
		h('td', { role: 'cell', class: 'c-id', title: visible(record.id) }, visible(record.id)),
		h(
			'td',
			{ role: 'cell', class: 'c-where' },
			strip(
				PARTS.map((p, i) => ({ name: p.name, tone: p.tone, value: r.parts[i] })),
				whole,
			),
		),
		h('td', { role: 'cell', 'data-label': 'Wall', class: 'right' }, ns(record.wall_ns, 'wall_ns')),
		h('td', { role: 'cell', 'data-label': 'Billed', class: 'right' }, ns(billedNs(record, at.as), 'billed_ns')),
		h('td', { role: 'cell', 'data-label': 'On-CPU', class: 'right' }, ns(record.cpu_ns, 'cpu_ns')),
		h(
			'td',
			{ role: 'cell', class: 'c-marks' },
			record.status === 'ok' ? null : h('span', { class: `tag ${record.status}` }, record.status),
			record.cold_start ? h('span', { class: 'tag' }, 'cold') : null,
			flags ? h('span', { class: 'tag', title: record.flags.join(', ') }, `${flags} ${plural(flags, 'flag')}`) : null,
		),
	);
}

export function invocationList(state, at) {
	const body = h('tbody', { role: 'rowgroup' }),
		foot = h('p', { class: 'table-foot' }),
		filter = h('p', { class: 'filter', hidden: true });
	const search = h('input', {
		type: 'search',
		placeholder: 'Find an id',
		'aria-label': 'Find an id',
		spellcheck: 'false',
		oninput: () => {
			shown = PAGE;
			update();
		},
	});
	let shown = PAGE;

	function update() {
		const wanted = search.value.toLowerCase(),
			p = state.picked;
		const matching = [];
		let total = 0;
		for (let i = state.rows.length - 1; i >= 0; i--) {
			const r = state.rows[i];
			if ((p && (r.t < p.from || r.t >= p.to)) || (wanted && !r.record.id.toLowerCase().includes(wanted))) continue;
			total++;
			if (matching.length < shown) matching.push(r);
		}
		/* one scale for what is seen, but for the longest of them, which would flatten all others */
		const walls = matching.map((r) => r.record.wall_ns),
			scale = quantiles(walls, [0.9])[0] ?? 1;
		const focused = document.activeElement?.closest('tr')?.dataset.record;
		replace(
			body,
			matching.map((r) => invocationRow(r, at, Math.max(scale, 1))),
		);
		if (focused)
			[...body.children]
				.find((row) => row.dataset.record === focused)
				?.querySelector('a')
				.focus({ preventScroll: true });
		filter.hidden = !p;
		replace(
			filter,
			p
				? [
						`Only those of ${p.words}. `,
						h('button', { type: 'button', class: 'button plain', onclick: () => state.pick(null) }, 'Show all'),
					]
				: null,
		);
		replace(
			foot,
			total === 0 ? 'None fits.' : `${count(matching.length)} of ${count(total)}, newest first. `,
			matching.length < total
				? h(
						'button',
						{
							type: 'button',
							class: 'button',
							onclick: () => {
								shown += PAGE;
								update();
							},
						},
						`Show ${Math.min(PAGE, total - matching.length)} more`,
					)
				: null,
		);
	}
	return {
		update,
		nodes: [
			h('div', { class: 'card-tools' }, search),
			filter,
			h(
				'table',
				{ class: 'invocations', role: 'table' },
				h('caption', { class: 'hidden' }, 'Invocations, newest first'),
				h(
					'thead',
					{ role: 'rowgroup' },
					h(
						'tr',
						{ role: 'row' },
						['Start', 'Id', 'Where the wall time went', 'Wall', 'Billed', 'On-CPU', ''].map((t, i) =>
							h(
								'th',
								{ scope: 'col', role: 'columnheader', class: i > 2 && i < 6 ? 'right' : null },
								t || h('span', { class: 'hidden' }, 'Remarks'),
							),
						),
					),
				),
				body,
			),
			foot,
		],
	};
}
