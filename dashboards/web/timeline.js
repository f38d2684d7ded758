/*
 * One invocation on a line: init, what lay between, start, response, end; the stretches it was awake. Each
 * block is filled as far as a CPU was busy in it, on average. What came before the start has a scale of its
 * own: an init, or an hour of waiting, would leave the invocation no room.
 */
import { swatch } from './bars.js';
import { h, ns } from './dom.js';
import { share } from './exact.js';
import { clock, duration, exactNs } from './format.js';

const BILLION = 1000000000n;

/* RFC 3339 with up to nine digits of a fraction → ns since the epoch, exactly. */
export function isoNs(iso) {
	const [, seconds, fraction = ''] = /^(.*?)(?:\.(\d{1,9}))?Z$/.exec(iso);
	return BigInt(Date.parse(`${seconds}Z`)) * 1000000n + BigInt(fraction.padEnd(9, '0'));
}

function clockNs(at) {
	const ms = at / 1000000n,
		text = clock(Number(ms));
	return text.slice(0, -3) + String(at % BILLION).padStart(9, '0');
}

/* The record's boundaries in their order: { name, at (ns), help }. */
export function boundaries(record) {
	const start = isoNs(record.start),
		end = start + BigInt(record.wall_ns),
		list = [];
	const before = start - BigInt(record.between.wall_ns);
	if (record.init) {
		list.push({ name: 'init begins', at: before - BigInt(record.init.wall_ns), help: 'the instance’s first slice' });
		list.push({ name: 'init ends', at: before, help: 'ready for its first event' });
	} else if (record.between.wall_ns > 0)
		list.push({ name: 'previous end', at: before, help: 'of the invocation before, in this instance' });
	list.push({ name: 'start', at: start, help: 'the event is handed over' });
	if (record.after_response.wall_ns > 0)
		list.push({ name: 'response', at: end - BigInt(record.after_response.wall_ns), help: 'the caller has its answer' });
	list.push({ name: 'end', at: end, help: 'ready for the next event' });
	return list;
}

function blocks(record) {
	const after = record.after_response,
		before = [];
	if (record.init) before.push({ name: 'init', ...record.init });
	if (record.between.wall_ns > 0 || record.between.cpu_ns > 0) before.push({ name: 'between', ...record.between });
	const main = [
		{
			name: after.wall_ns > 0 ? 'until the response' : 'invocation',
			wall_ns: record.wall_ns - after.wall_ns,
			cpu_ns: record.cpu_ns - after.cpu_ns,
		},
	];
	if (after.wall_ns > 0) main.push({ name: 'after the response', ...after });
	return { before, main };
}

/* Awake and frozen by turns. Where there are several freezes only their sum is recorded: drawn evenly. */
function stretches(record) {
	const segments = record.segments ?? [];
	if (!segments.length) return null;
	const awake = segments.reduce((s, x) => s + x.wall_ns, 0),
		frozen = Math.max(0, record.wall_ns - awake),
		gaps = segments.length - 1,
		list = [];
	segments.forEach((s, i) => {
		if (i) list.push({ name: 'frozen', tone: 'frozen', wall_ns: Math.floor(frozen / gaps) });
		list.push({ name: `awake ${i + 1}`, ...s });
	});
	return { list, frozen, even: gaps > 1 };
}

function lane(list, whole, label) {
	return h(
		'div',
		{
			class: 'lane',
			role: 'img',
			'aria-label': `${label}: ${list.map((b) => `${b.name} ${duration(b.wall_ns)}${b.cpu_ns === undefined ? '' : `, of it ${duration(b.cpu_ns)} on a CPU`}`).join('; ')}`,
		},
		list.map((b) =>
			h(
				'span',
				{
					class: `block ${b.tone ?? ''}`,
					title: `${b.name}: wall ${exactNs(b.wall_ns)}${b.cpu_ns === undefined ? '' : `, on-CPU ${exactNs(b.cpu_ns)}`}`,
					style: { width: `${(share(b.wall_ns, whole) * 100).toFixed(3)}%` },
				},
				b.cpu_ns === undefined
					? null
					: h('span', { class: 'fill', style: { height: `${(share(b.cpu_ns, b.wall_ns) * 100).toFixed(2)}%` } }),
				h('span', { class: 'block-name' }, b.name),
			),
		),
	);
}

const marker = (at, whole, n) =>
	h(
		'span',
		{ class: 'marker', style: { left: `${(share(at, whole) * 100).toFixed(3)}%` } },
		h('span', null, String(n)),
	);

function markers(list, from, whole, first) {
	let last = -1;
	return h(
		'div',
		{ class: 'markers', 'aria-hidden': 'true' },
		list.map((b, i) => {
			const at = Number(b.at - from),
				m = marker(at, whole, first + i),
				place = share(at, whole);
			if (last >= 0 && place - last < 0.05) /* two numbers do not stand on each other */ m.classList.add('low');
			else last = place;
			return m;
		}),
	);
}

export function timeline(record) {
	const { before, main } = blocks(record),
		list = boundaries(record),
		start = isoNs(record.start);
	const early = list.filter((b) => b.at < start || b.name === 'init ends'),
		late = list.filter((b) => !early.includes(b));
	const span = before.reduce((s, b) => s + b.wall_ns, 0),
		parts = stretches(record);
	return [
		h(
			'div',
			{ class: `timeline${before.length ? ' with-before' : ''}` },
			before.length
				? h(
						'div',
						{ class: 'before' },
						h('p', { class: 'scale' }, `before: ${duration(span)}, on a scale of its own`),
						lane(before, span, 'Before the start'),
						markers(early, early[0]?.at ?? start, span, 1),
					)
				: null,
			h(
				'div',
				{ class: 'during' },
				h('p', { class: 'scale' }, `invocation: ${duration(record.wall_ns)}`),
				lane(main, record.wall_ns, 'The invocation'),
				parts ? lane(parts.list, record.wall_ns, 'Awake and frozen') : null,
				markers(late, start, record.wall_ns, early.length + 1),
			),
		),
		h(
			'p',
			{ class: 'readout' },
			swatch('running'),
			'filled as far as a CPU was busy, on average',
			parts?.even ? '. Of several freezes only the sum is recorded: they are drawn evenly.' : '',
		),
		h(
			'table',
			{ class: 'plain boundaries' },
			h('caption', { class: 'hidden' }, 'Boundaries'),
			h(
				'thead',
				null,
				h(
					'tr',
					null,
					['', 'Boundary', 'Time', 'From start'].map((t) =>
						h('th', { scope: 'col' }, t || h('span', { class: 'hidden' }, 'Number')),
					),
				),
			),
			h(
				'tbody',
				null,
				list.map((b, i) =>
					h(
						'tr',
						null,
						h('td', { class: 'n' }, h('span', { class: 'badge' }, String(i + 1))),
						h('th', { scope: 'row' }, b.name, h('small', null, b.help)),
						h('td', null, clockNs(b.at)),
						h('td', null, ns(b.at - start, `boundary.${b.name}`)),
					),
				),
			),
		),
	];
}
