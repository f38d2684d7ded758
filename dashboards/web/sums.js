/* One function's sums: used against billed, what of the bill was waste, cold starts, and each platform's price. */
import { comparison, strip, swatch } from './bars.js';
import { quantiles } from './bins.js';
import { cost, empty, h, ns, number } from './dom.js';
import { sum } from './exact.js';
import { count, duration, percent, ratio, round, visible } from './format.js';
import { basisWords, plural, wasteWords } from './words.js';

export function paidPanel(line, policy, title) {
	const billed = policy?.billed_ns ?? null,
		scale = [line.wall_ns, line.cpu_ns, billed ?? 0].reduce((a, b) => (a > b ? a : b));
	return [
		h(
			'div',
			{ class: 'verdict' },
			h('p', { class: 'verdict-number', elementtiming: 'data' }, ratio(billed, line.cpu_ns)),
			h(
				'p',
				{ class: 'verdict-words' },
				'billed for every second of CPU used',
				h('br'),
				h(
					'small',
					null,
					number(line.count, 'count'),
					` ${plural(line.count, 'invocation')}`,
					line.errors + line.timeouts + line.crashed
						? h('span', { class: 'bad' }, `, ${line.errors + line.timeouts + line.crashed} failed`)
						: null,
				),
			),
		),
		comparison(
			[
				{ label: 'Wall', tone: 'wall', value: line.wall_ns, name: 'wall_ns' },
				{ label: 'Billed', tone: 'billed', value: billed, name: 'billed_ns', note: `as ${title}` },
				{ label: 'On-CPU', tone: 'running', value: line.cpu_ns, name: 'cpu_ns' },
			],
			scale,
		),
	];
}

/* on-CPU + waste = billed, to the nanosecond. Threads that ran at once make `waiting` negative: the bill is
 * then smaller than what was used. */
export function wastePanel(line, policy) {
	if (!policy?.waste)
		return empty(
			'This cannot be taken apart',
			'The CPU time of some of its invocations is not known, or no policy is chosen above.',
		);
	const parts = Object.entries(policy.waste)
		.filter(([key, value]) => key.endsWith('_ns') && value !== 0)
		.map(([key, value]) => {
			const [name, tone, help] = wasteWords(key, value);
			return { key, name, tone, value, help };
		});
	const all = [{ key: 'cpu_ns', name: 'on-CPU', help: 'what was used', tone: 'running', value: line.cpu_ns }, ...parts];
	const positive = sum(all.map((p) => p.value).filter((v) => Number(v) > 0));
	return [
		strip(all, positive, 'What was billed'),
		h(
			'table',
			{ class: 'plain' },
			h('caption', { class: 'hidden' }, 'What was billed, by where it comes from'),
			h(
				'tbody',
				null,
				all.map((p) =>
					h(
						'tr',
						null,
						h('th', { scope: 'row' }, swatch(p.tone), p.name, p.help ? h('small', null, p.help) : null),
						h('td', null, ns(p.value, `waste.${p.key}`)),
						h('td', null, percent(p.value, policy.billed_ns)),
					),
				),
				h(
					'tr',
					{ class: 'total' },
					h('th', { scope: 'row' }, 'billed'),
					h('td', null, ns(policy.billed_ns, 'waste.billed_ns')),
					h('td', null, '100.0 %'),
				),
			),
		),
	];
}

export function coldPanel(line, rows) {
	const cold = rows.filter((r) => r.cold),
		warm = rows.filter((r) => !r.cold);
	const median = (some, of) => quantiles(some.map(of), [0.5])[0];
	const each = (total) => (line.cold_starts ? Number(BigInt(total) / BigInt(line.cold_starts)) : null);
	const fact = (words, value, note) =>
		h('div', null, h('dt', null, words), h('dd', null, value, note ? h('small', null, ` ${note}`) : null));
	return h(
		'dl',
		{ class: 'facts' },
		fact(
			'cold starts',
			number(line.cold_starts, 'cold_starts'),
			`${percent(line.cold_starts, line.count)} of ${count(line.count)}`,
		),
		fact(
			'init, wall',
			ns(line.init_wall_ns, 'init_wall_ns'),
			line.cold_starts ? `${duration(each(line.init_wall_ns))} each` : null,
		),
		fact(
			'init, on-CPU',
			ns(line.init_cpu_ns, 'init_cpu_ns'),
			line.cold_starts ? `${duration(each(line.init_cpu_ns))} each` : null,
		),
		fact(
			'median wall, cold',
			ns(median(cold, (r) => r.record.wall_ns)),
			warm.length ? `warm ${duration(median(warm, (r) => r.record.wall_ns))}` : null,
		),
		fact('after the response', ns(line.after_response_cpu_ns, 'after_response_cpu_ns'), 'on-CPU'),
		fact('between invocations', ns(line.between_cpu_ns, 'between_cpu_ns'), 'on-CPU'),
	);
}

const logRatio = (a, b) => (Number(a) > 0 && Number(b) > 0 ? Math.log10(Number(a) / Number(b)) : 0);

/* How far the bill is from what was used, as a power of ten: 1× is the small upright line. */
function scaleLine(billed, used, reach) {
	const least = -0.15 * reach,
		place = (v) => 100 * Math.max(0, Math.min(1, (v - least) / (reach - least)));
	const one = place(0),
		here = place(logRatio(billed, used));
	return h(
		'span',
		{ class: 'scale-line', 'aria-hidden': 'true' },
		h('span', { class: 'one', style: { left: `${one}%` } }),
		h('span', { class: 'reach', style: { left: `${Math.min(one, here)}%`, width: `${Math.abs(here - one)}%` } }),
		h('span', { class: 'dot', style: { left: `${here}%` } }),
	);
}

export function pricePanel(line, known, at, go) {
	const prices = line.policies,
		meta = new Map(known.map((p) => [p.name, p]));
	if (!prices.length) return empty('No policy prices this function');
	const reach = prices.map((p) => Math.abs(logRatio(p.billed_ns, line.cpu_ns))).reduce((a, b) => Math.max(a, b), 0.3);
	const sorted = [...prices].sort(
		(a, b) => Number(b.cost_e12 ?? 0) - Number(a.cost_e12 ?? 0) || Number(b.billed_ns) - Number(a.billed_ns),
	);
	return h(
		'table',
		{ class: 'prices', role: 'table' },
		h('caption', { class: 'hidden' }, 'What each platform would bill'),
		h(
			'thead',
			{ role: 'rowgroup' },
			h(
				'tr',
				{ role: 'row' },
				['Platform', 'Basis', 'Billed ÷ on-CPU, log scale', 'Billed', '÷ on-CPU', 'Per million', 'Per month'].map(
					(t, i) =>
						h('th', { scope: 'col', role: 'columnheader', class: i < 2 ? null : i === 2 ? 'c-scale' : 'right' }, t),
				),
			),
		),
		h(
			'tbody',
			{ role: 'rowgroup' },
			sorted.map((p) => {
				const m = meta.get(p.policy) ?? {},
					time = m.time ?? m,
					mine = p.policy === at.as;
				return h(
					'tr',
					{ role: 'row', 'data-policy': p.policy, class: mine ? 'mine' : null },
					h(
						'th',
						{ scope: 'row', role: 'rowheader' },
						h(
							'button',
							{
								type: 'button',
								class: 'pick',
								'aria-pressed': String(mine),
								title: m.rule?.text,
								onclick: () => go({ as: p.policy }),
							},
							visible(m.title ?? p.policy),
						),
						m.rule && !m.rule.verified
							? h(
									'small',
									{ class: 'unverified', title: 'This rule rests on a fact that is not verified' },
									'unverified',
								)
							: null,
					),
					h(
						'td',
						{ role: 'cell', 'data-label': 'Basis' },
						basisWords(time.basis),
						time.granularity_ns > 1
							? h('small', null, ` in ${round(time.granularity_ns)}`)
							: h('small', null, ' exact'),
						time.minimum_ns > 0 ? h('small', null, `, at least ${round(time.minimum_ns)}`) : null,
					),
					h('td', { role: 'cell', class: 'c-scale' }, scaleLine(p.billed_ns, line.cpu_ns, reach)),
					h('td', { role: 'cell', 'data-label': 'Billed', class: 'right' }, ns(p.billed_ns, 'billed_ns')),
					h('td', { role: 'cell', 'data-label': '÷ on-CPU', class: 'right' }, ratio(p.billed_ns, line.cpu_ns)),
					h(
						'td',
						{ role: 'cell', 'data-label': 'Per million', class: 'right' },
						cost(p.cost_per_million_e12, p.currency, 'cost_per_million_e12'),
					),
					h(
						'td',
						{ role: 'cell', 'data-label': 'Per month', class: 'right' },
						cost(p.cost_per_month_e12, p.currency, 'cost_per_month_e12'),
					),
				);
			}),
		),
	);
}
