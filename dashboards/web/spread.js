/* How on-CPU and billed times are distributed. */
import { swatch } from './bars.js';
import { histogram, quantiles } from './bins.js';
import { binWords, histogramChart } from './chart.js';
import { h, ns, replace } from './dom.js';
import { count, duration } from './format.js';
import { billedNs } from './words.js';

export function distribution(state) {
	const host = h('div', { class: 'plot', role: 'img' }),
		now = h('p', { class: 'readout' });
	const numbers = h('div', null);
	const SHARES = [0.5, 0.9, 0.99, 1];
	let binned = { first: 0, counts: [[], []] },
		chart = null,
		unkept = false;

	function read(i) {
		now.textContent =
			i === null || binned.counts[0][i] === undefined
				? unkept
					? 'The records keep no billed time of this policy: only its sums are known.'
					: 'Ten bins for each power of ten.'
				: `${binWords(binned.first, i)}: on-CPU of ${count(binned.counts[0][i])}, billed of ${count(binned.counts[1][i])}`;
	}
	function update() {
		if (!state.rows.length || !host.isConnected) return;
		const cpu = state.rows.map((r) => r.record.cpu_ns),
			billed = state.rows.map((r) => billedNs(r.record, state.as)).filter((b) => b !== null);
		unkept = billed.length === 0;
		binned = histogram([cpu, billed]);
		const table = [
			['on-CPU', 'running', quantiles(cpu, SHARES), 'cpu'],
			['billed', 'line', quantiles(billed, SHARES), 'billed'],
		];
		replace(
			numbers,
			h(
				'table',
				{ class: 'plain quantiles' },
				h('caption', { class: 'hidden' }, 'Quantiles of on-CPU and billed time'),
				h(
					'thead',
					null,
					h(
						'tr',
						null,
						['', 'median', '90 %', '99 %', 'largest'].map((t) => h('th', { scope: 'col' }, t)),
					),
				),
				h(
					'tbody',
					null,
					table.map(([name, tone, q, key]) =>
						h(
							'tr',
							null,
							h('th', { scope: 'row' }, swatch(tone), name),
							q.map((v, i) => h('td', null, ns(v, `${key}.q${SHARES[i] * 100}`))),
						),
					),
				),
			),
		);
		host.setAttribute(
			'aria-label',
			`Distribution: on-CPU median ${duration(table[0][2][0])}, billed median ${duration(table[1][2][0])}`,
		);
		if (chart) chart.update();
		else chart = histogramChart(host, () => binned, { hover: read });
		read(null);
	}
	return { nodes: [numbers, host, now], update, destroy: () => chart?.destroy() };
}
