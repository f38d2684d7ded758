/* One invocation: its timeline, where its time went, what it is billed, and what its flags mean. */
import { object } from './api.js';
import { comparison, strip, swatch } from './bars.js';
import { head, panel, policies } from './controls.js';
import { cost, h, ns, number, replace } from './dom.js';
import { bytes, clock, day, exactNs, percent, ratio, visible } from './format.js';
import { link } from './state.js';
import { timeline } from './timeline.js';
import { PARTS, STATUS, basisWords, whereOf } from './words.js';

let prose = null;
async function flagProse(signal) {
	prose ??= object('/v1/flags', signal)
		.then((f) => new Map(f.flags.map((x) => [x.name, x.help])))
		.catch((error) => {
			prose = null;
			throw error;
		});
	return prose;
}

function wherePanel(record) {
	const parts = whereOf(record)
		.map((value, i) => ({ ...PARTS[i], value }))
		.filter((p) => p.value || (record.where && p.key !== 'waiting_ns'));
	return [
		strip(parts, record.wall_ns, 'Where the wall time went'),
		h(
			'table',
			{ class: 'plain' },
			h('caption', { class: 'hidden' }, 'Where the wall time went'),
			h(
				'tbody',
				null,
				parts.map((p) =>
					h(
						'tr',
						null,
						h('th', { scope: 'row' }, swatch(p.tone), p.name, h('small', null, p.help)),
						h('td', null, ns(p.value, `where.${p.key}`)),
						h('td', null, percent(p.value, record.wall_ns)),
					),
				),
				h(
					'tr',
					{ class: 'total' },
					h('th', { scope: 'row' }, 'wall'),
					h('td', null, ns(record.wall_ns, 'where.wall_ns')),
					h('td', null, '100.0 %'),
				),
			),
		),
	];
}

function exactness(record) {
	const bound = record.cpu_error_bound_ns;
	return h(
		'p',
		{ class: 'exactness' },
		'On-CPU ',
		h('data', { value: record.cpu_ns, 'data-name': 'cpu_exact' }, exactNs(record.cpu_ns)),
		' ',
		h('strong', null, bound ? `± ${exactNs(bound)}` : '± 0'),
		bound
			? ': another thread was on a CPU, or about to be, at a boundary; the true number lies within this bound.'
			: ': exact. No other thread of the instance was on a CPU, or about to be, at either boundary.',
	);
}

function flagsPanel(record, words) {
	const lost = [
		['marks_lost', 'marks that nobody saw'],
		['events_lost', 'events lost in between'],
	].filter(([k]) => record[k]);
	if (!record.flags.length && !lost.length)
		return h('p', { class: 'quiet' }, 'None. Nothing about this record was irregular.');
	return h(
		'dl',
		{ class: 'flags' },
		record.flags.map((f) =>
			h(
				'div',
				null,
				h('dt', null, h('code', null, f)),
				h('dd', null, words.get(f) ?? 'This agent does not explain it.'),
			),
		),
		lost.map(([key, help]) =>
			h('div', null, h('dt', null, h('code', null, key)), h('dd', null, number(record[key], key), ` ${help}`)),
		),
	);
}

function pricePanel(record, known) {
	const meta = new Map(known.map((p) => [p.name, p]));
	const rows = record.policies;
	return h(
		'table',
		{ class: 'prices', role: 'table' },
		h('caption', { class: 'hidden' }, 'What each platform bills for this invocation'),
		h(
			'thead',
			{ role: 'rowgroup' },
			h(
				'tr',
				{ role: 'row' },
				['Platform', 'Basis', 'Billed', '÷ on-CPU', 'Cost'].map((t, i) =>
					h('th', { scope: 'col', role: 'columnheader', class: i < 2 ? null : 'right' }, t),
				),
			),
		),
		h(
			'tbody',
			{ role: 'rowgroup' },
			rows.map((p) => {
				const m = meta.get(p.policy) ?? {},
					time = m.time ?? m;
				return h(
					'tr',
					{ role: 'row', 'data-policy': p.policy },
					h('th', { scope: 'row', role: 'rowheader' }, visible(m.title ?? p.policy)),
					h('td', { role: 'cell', 'data-label': 'Basis' }, basisWords(time.basis)),
					h('td', { role: 'cell', 'data-label': 'Billed', class: 'right' }, ns(p.billed_ns, 'billed_ns')),
					h('td', { role: 'cell', 'data-label': '÷ on-CPU', class: 'right' }, ratio(p.billed_ns, record.cpu_ns)),
					h('td', { role: 'cell', 'data-label': 'Cost', class: 'right' }, cost(p.cost_e12, p.currency, 'cost_e12')),
				);
			}),
		),
	);
}

function details(record) {
	const fact = (words, ...value) => h('div', null, h('dt', null, words), h('dd', null, ...value));
	const c = record.context_switches ?? {},
		q = record.cpu_quota;
	return h(
		'dl',
		{ class: 'facts' },
		fact('instance', h('span', { class: 'long' }, visible(record.instance))),
		fact('record', h('span', { class: 'long' }, record.record_id)),
		record.id_hex ? fact('id, as bytes', h('span', { class: 'long' }, record.id_hex)) : null,
		record.continues ? fact('goes on from', h('span', { class: 'long' }, visible(record.continues))) : null,
		fact('run queue', ns(record.run_queue_ns, 'run_queue_ns'), h('small', null, ' all threads')),
		fact(
			'context switches',
			number(c.voluntary, 'voluntary'),
			h('small', null, ' voluntary, '),
			number(c.involuntary, 'involuntary'),
			h('small', null, ' not'),
		),
		fact('threads at end', number(record.threads, 'threads')),
		record.freeze.count
			? fact(
					'freezes',
					number(record.freeze.count, 'freeze.count'),
					h('small', null, ' taking '),
					ns(record.freeze.cpu_ns, 'freeze.cpu_ns'),
					h('small', null, ' of CPU'),
				)
			: null,
		record.extensions?.map((e) =>
			fact(`extension ${visible(e.name)}`, ns(e.cpu_ns, 'extension.cpu_ns'), h('small', null, ' on-CPU')),
		),
		fact(
			'memory',
			record.memory_mb === null ? '–' : [number(record.memory_mb, 'memory_mb'), h('small', null, ' MB')],
			h('small', null, `, used ${bytes(record.max_memory_bytes)}`),
		),
		q ? fact('CPU quota', `${q.quota_us} µs of ${q.period_us} µs`) : null,
		record.steal_ns !== null && record.steal_ns !== undefined
			? fact('stolen by the hypervisor', ns(record.steal_ns, 'steal_ns'))
			: null,
		record.irq_ns !== null && record.irq_ns !== undefined ? fact('interrupts', ns(record.irq_ns, 'irq_ns')) : null,
		record.cpu_net_ns !== null && record.cpu_net_ns !== undefined
			? fact('on-CPU without interrupts', ns(record.cpu_net_ns, 'cpu_net_ns'))
			: null,
	);
}

export async function show({ main, at, signal, state }) {
	const [known, record, words] = await Promise.all([
		policies(at, signal),
		object(`/v1/invocations/${encodeURIComponent(at.name)}`, signal),
		flagProse(signal),
	]);
	const billed = record.policies.find((p) => p.policy === at.as)?.billed_ns ?? null;
	const scale = Math.max(record.wall_ns, record.cpu_ns, Number(billed ?? 0));

	document.title = `${visible(record.id)} · ${visible(record.function)} · oncpu`;
	replace(
		main,
		head(h('span', { class: 'long' }, visible(record.id)), {
			up: link('function', record.function, at),
			over: visible(record.function),
			sub: h(
				'p',
				{ class: 'sub' },
				`${day(record.start)} ${clock(record.start)} `,
				h('span', { class: `tag ${record.status}`, title: STATUS[record.status] }, record.status),
				record.cold_start ? h('span', { class: 'tag' }, 'cold start') : null,
				h('span', { class: 'quiet' }, ` ${STATUS[record.status] ?? ''}`),
			),
		}),
		h(
			'section',
			{ class: 'hero', 'aria-label': 'Used and billed' },
			h(
				'div',
				{ class: 'verdict' },
				h('p', { class: 'verdict-number', elementtiming: 'data' }, ratio(billed, record.cpu_ns)),
				h('p', { class: 'verdict-words' }, 'billed for the CPU used'),
			),
			comparison(
				[
					{ label: 'Wall', tone: 'wall', value: record.wall_ns, name: 'wall_ns' },
					{
						label: 'Billed',
						tone: 'billed',
						value: billed,
						name: 'billed_ns',
						note: `as ${visible(known.find((p) => p.name === at.as)?.title ?? at.as)}`,
					},
					{ label: 'On-CPU', tone: 'running', value: record.cpu_ns, name: 'cpu_ns' },
				],
				scale,
			),
		),
		panel('Timeline', 'time', ...timeline(record), exactness(record)),
		h(
			'div',
			{ class: 'columns' },
			panel('Where the wall time went', 'where', ...wherePanel(record)),
			panel('Flags', 'flags-card', flagsPanel(record, words), h('h2', null, 'Details'), details(record)),
		),
		panel('Under each platform', 'price', pricePanel(record, known)),
	);
	state('still');
}
