/* When wall time was spent, and on what: bars over time, by the pointer, by keys, and as a table. */
import { swatch } from './bars.js';
import { timeBins } from './bins.js';
import { stackedBars } from './chart.js';
import { h, ns, replace, say } from './dom.js';
import { count, duration, moment, percent, span } from './format.js';
import { rangeMs } from './state.js';
import { PARTS, plural } from './words.js';

export function timeChart(state) {
	const host = h('div', {
		class: 'plot',
		tabindex: '0',
		role: 'application',
		'aria-roledescription': 'chart',
		'aria-describedby': 'where-now',
	});
	const legend = h('ul', { class: 'legend parts', 'aria-label': 'Where the wall time went' });
	const now = h('p', { class: 'readout', id: 'where-now' });
	const table = h(
		'details',
		{ class: 'as-table', ontoggle: () => table.open && fillTable() },
		h('summary', null, 'The same as a table'),
	);
	const each = h(
		'button',
		{
			type: 'button',
			class: 'button plain',
			'aria-pressed': 'false',
			onclick: () => {
				state.each = !state.each;
				each.setAttribute('aria-pressed', String(state.each));
				update();
			},
		},
		'Mean of an invocation',
	);
	let binned = { step: 1, bins: [], tones: [] },
		chart = null,
		at = null,
		moved = 0;

	function model() {
		return { ...binned, each: state.each };
	}
	function compute() {
		const shown = rangeMs(state.since),
			rows = state.rows;
		let from = Infinity,
			to = -Infinity;
		for (const r of rows) {
			from = Math.min(from, r.t);
			to = Math.max(to, r.t);
		}
		if (shown !== Infinity) {
			/* the whole range, unless all of it lies in a small part */
			to = Math.max(to, Date.now());
			from = Math.max(to - shown, Math.min(from, to - shown / 4));
		}
		binned = {
			...timeBins(rows, from, to, host.clientWidth < 500 ? 45 : 120, PARTS.length),
			tones: PARTS.map((p) => p.tone),
		};
	}
	function words(bin) {
		const parts = PARTS.map((p, i) => [p.name, bin.parts[i]]).filter(([, v]) => v);
		return `${moment(bin.t, binned.step)}, ${span(binned.step)}: ${count(bin.count)} ${plural(bin.count, 'invocation')}, wall ${duration(bin.wall)}${parts.length ? `: ${parts.map(([n, v]) => `${n} ${duration(v)}`).join(', ')}` : ''}${bin.cold ? `; ${bin.cold} cold ${plural(bin.cold, 'start')}` : ''}${bin.bad ? `; ${bin.bad} failed` : ''}`;
	}
	function read(i) {
		const bin = i === null ? null : binned.bins[i];
		now.textContent = bin
			? words(bin)
			: `Each bar is ${span(binned.step)}. ▾ marks a cold start. Click a bar, or use ← → and Enter, to list its invocations only.`;
	}
	function choose(i) {
		const bin = binned.bins[i];
		state.pick(
			bin && (!state.picked || state.picked.from !== bin.t)
				? { from: bin.t, to: bin.t + binned.step, words: `${moment(bin.t, binned.step)}, ${span(binned.step)}` }
				: null,
		);
	}
	host.addEventListener('keydown', (event) => {
		const last = binned.bins.length - 1;
		if (!['ArrowLeft', 'ArrowRight', 'Home', 'End', 'Enter'].includes(event.key) || last < 0) return;
		event.preventDefault();
		if (event.key === 'Enter') {
			if (at !== null) choose(at);
			return;
		}
		at =
			event.key === 'Home'
				? 0
				: event.key === 'End'
					? last
					: Math.max(0, Math.min(last, (at ?? last + 1) + (event.key === 'ArrowLeft' ? -1 : 1)));
		moved = binned.bins[at].t;
		chart?.choose(at);
		read(at);
		say(words(binned.bins[at]));
	});
	host.addEventListener('blur', () => {
		at = null;
		chart?.choose(picked());
		read(null);
	});
	function picked() {
		const i = state.picked ? binned.bins.findIndex((b) => b.t === state.picked.from) : -1;
		return i < 0 ? null : i;
	}
	function fillLegend() {
		const totals = PARTS.map((_, p) => binned.bins.reduce((s, b) => s + b.parts[p], 0)),
			whole = totals.reduce((a, b) => a + b, 0);
		replace(
			legend,
			PARTS.map((p, i) =>
				totals[i] || p.key === 'running_ns'
					? h(
							'li',
							{ class: 'legend-item', title: p.help },
							swatch(p.tone),
							p.name,
							' ',
							ns(totals[i], `where.${p.key}`),
							h('small', null, ` ${percent(totals[i], whole)}`),
						)
					: null,
			),
		);
		host.setAttribute(
			'aria-label',
			`Wall time of ${count(state.rows.length)} invocations in ${binned.bins.length} bars`,
		);
	}
	function fillTable() {
		const used = PARTS.map((p, i) => [p, i]).filter(([, i]) => binned.bins.some((b) => b.parts[i]));
		table.querySelector('.scroll')?.remove();
		table.append(
			h(
				'div',
				{ class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Wall time by bar' },
				h(
					'table',
					{ class: 'plain' },
					h(
						'thead',
						null,
						h(
							'tr',
							null,
							['From', 'Invocations', 'Cold', ...used.map(([p]) => p.name)].map((t) => h('th', { scope: 'col' }, t)),
						),
					),
					h(
						'tbody',
						null,
						binned.bins
							.filter((b) => b.count)
							.map((b) =>
								h(
									'tr',
									null,
									h('th', { scope: 'row' }, moment(b.t, binned.step)),
									h('td', null, count(b.count)),
									h('td', null, count(b.cold)),
									used.map(([, i]) => h('td', null, ns(b.parts[i]))),
								),
							),
					),
				),
			),
		);
	}
	function update() {
		if (!state.rows.length || !host.isConnected) return;
		compute();
		if (at !== null)
			/* bins may be others now: the same time is meant */
			at = Math.max(
				0,
				binned.bins.findLastIndex((b) => b.t <= moved),
			);
		fillLegend();
		if (chart) chart.update();
		else chart = stackedBars(host, model, { hover: (i) => at === null && read(i), choose });
		chart.choose(at ?? picked());
		read(at);
		if (table.open) fillTable();
	}
	return {
		nodes: [h('div', { class: 'card-tools' }, each), legend, host, now, table],
		update,
		chosen: () => chart?.choose(picked()),
		destroy: () => chart?.destroy(),
	};
}
