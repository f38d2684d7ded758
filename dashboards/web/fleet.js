/* All functions: what each used, and what it would be billed. */
import { events, list, query } from './api.js';
import { comparison, triple } from './bars.js';
import { head, policies, policySelect, ranges } from './controls.js';
import { empty, h, ns, number, paced, replace } from './dom.js';
import { add, sum } from './exact.js';
import { ago, ratio, visible } from './format.js';
import { link, remember, sinceParameter } from './state.js';
import { plural } from './words.js';

const COLUMNS = [
	['function', 'Function', (r) => r.function],
	['bars', 'Wall, billed, on-CPU', null],
	['wall', 'Wall', (r) => r.wall_ns],
	['billed', 'Billed', (r) => r.billed_ns ?? -1],
	['cpu', 'On-CPU', (r) => r.cpu_ns],
	['ratio', 'Billed ÷ on-CPU', (r) => (Number(r.cpu_ns) > 0 ? Number(r.billed_ns ?? 0) / Number(r.cpu_ns) : -1)],
	['count', 'Invocations', (r) => r.count],
	['cold', 'Cold starts', (r) => r.cold_starts],
	['bad', 'Failed', (r) => r.errors + r.timeouts + r.crashed],
	['now', 'Now', (r) => r.in_invocation ?? 0],
];

const functions = (at, signal) => list(query('/v1/functions', { since: sinceParameter(at.since) }), signal);

/* Adds the billed time of the chosen policy: a sum that the agent keeps, or asked for. */
async function bill(rows, at, signal) {
	if (rows.every((r) => at.as in r.billed)) return rows.map((r) => ({ ...r, billed_ns: r.billed[at.as].billed_ns }));
	const other = new Map();
	for (const line of await list(query('/v1/compare', { since: sinceParameter(at.since), policy: at.as }), signal))
		other.set(line.function, line.policies.find((p) => p.policy === at.as)?.billed_ns ?? null);
	return rows.map((r) => ({ ...r, billed_ns: other.get(r.function) ?? (r.count ? null : 0) }));
}

function hero(rows, title) {
	const wall = sum(rows.map((r) => r.wall_ns)),
		cpu = sum(rows.map((r) => r.cpu_ns));
	const unknown = rows.some((r) => r.billed_ns === null);
	const billed = unknown ? null : sum(rows.map((r) => r.billed_ns)),
		count = sum(rows.map((r) => r.count));
	const scale = [wall, cpu, billed ?? 0].reduce((a, b) => (a > b ? a : b));
	return [
		h(
			'div',
			{ class: 'verdict' },
			h('p', { class: 'verdict-number', elementtiming: 'data' }, ratio(billed, cpu)),
			h(
				'p',
				{ class: 'verdict-words' },
				'billed for every second of CPU used',
				h('br'),
				h(
					'small',
					null,
					number(count, 'count'),
					` ${plural(count, 'invocation')} of ${rows.length} ${plural(rows.length, 'function')}`,
				),
			),
		),
		comparison(
			[
				{ label: 'Wall', tone: 'wall', value: wall, name: 'total.wall_ns' },
				{ label: 'Billed', tone: 'billed', value: billed, name: 'total.billed_ns', note: `as ${title}` },
				{ label: 'On-CPU', tone: 'running', value: cpu, name: 'total.cpu_ns' },
			],
			scale,
		),
	];
}

/* One function's row: made once, then filled anew, so that focus and pointer stay where they are. */
function makeRow(name, at) {
	const cells = {};
	const row = h(
		'tr',
		{ 'data-function': name, role: 'row' },
		COLUMNS.map(([key, words]) => {
			cells[key] = h(key === 'function' ? 'th' : 'td', {
				class: `c-${key}`,
				'data-label': words,
				...(key === 'function' ? { scope: 'row', role: 'rowheader' } : { role: 'cell' }),
			});
			return cells[key];
		}),
	);
	cells.function.append(h('a', { class: 'row-link', href: link('function', name, at) }, visible(name)));
	return { row, cells };
}

function fillRow({ row, cells }, r, largest) {
	const own = [r.wall_ns, r.billed_ns ?? 0, r.cpu_ns].reduce((a, b) => (a > b ? a : b));
	replace(cells.bars, triple(r.wall_ns, r.billed_ns, r.cpu_ns, largest ?? own));
	replace(cells.wall, ns(r.wall_ns, 'wall_ns'));
	replace(cells.billed, ns(r.billed_ns, 'billed_ns'));
	replace(cells.cpu, ns(r.cpu_ns, 'cpu_ns'));
	cells.ratio.textContent = ratio(r.billed_ns, r.cpu_ns);
	replace(cells.count, number(r.count, 'count'));
	replace(cells.cold, number(r.cold_starts, 'cold_starts'));
	const bad = add(add(r.errors, r.timeouts), r.crashed);
	replace(cells.bad, number(bad, 'failed'));
	cells.bad.classList.toggle('bad', bad > 0);
	cells.bad.title = bad ? `${r.errors} errors, ${r.timeouts} time-outs, ${r.crashed} crashed` : '';
	replace(
		cells.now,
		r.in_invocation
			? h('span', { class: 'busy' }, `${r.in_invocation} running`)
			: h('span', { class: 'quiet' }, r.last_end ? ago(r.last_end) : '–'),
	);
	row.classList.toggle('running', Boolean(r.in_invocation));
}

function sorter(key, down) {
	const of = COLUMNS.find(([k]) => k === key)[2];
	return (a, b) => {
		const x = of(a),
			y = of(b);
		return (x < y ? -1 : x > y ? 1 : a.function < b.function ? -1 : 1) * (down ? -1 : 1);
	};
}

const nothing = (at) =>
	at.since === 'all'
		? empty(
				'No invocation has been accounted yet',
				'Run anything as a function, and it appears here at once:',
				h('code', null, 'sudo oncpu measure --function hello -- /bin/true'),
				'A program that marks its invocations (oncpu/runtime.h), a cgroup named in the configuration, and oncpu run are the others.',
			)
		: empty('Nothing ended in this time', 'Choose a longer one above ( ] ).');

export async function show({ main, at, live, signal, state, fail, go }) {
	let rows = [],
		key = 'billed',
		down = true,
		shared = false,
		wanted = '',
		known = [];
	const made = new Map();
	const body = h('tbody', { role: 'rowgroup' }),
		heroBox = h('section', { class: 'hero', 'aria-label': 'All functions together' });
	const note = h('div', { class: 'table-note' });
	const headers = COLUMNS.map(([k, words, of]) =>
		h(
			'th',
			{ scope: 'col', role: 'columnheader', class: `c-${k}` },
			of ? h('button', { type: 'button', class: 'sort', onclick: () => sortBy(k) }, words) : words,
		),
	);
	const table = h(
		'table',
		{ class: 'functions', role: 'table' },
		h('caption', { class: 'hidden' }, 'Functions, with what each used and would be billed'),
		h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, headers)),
		body,
	);
	const search = h('input', {
		type: 'search',
		placeholder: 'Find a function',
		'aria-label': 'Find a function',
		spellcheck: 'false',
		oninput: () => {
			wanted = search.value.toLowerCase();
			render();
		},
	});
	const scaleButton = h(
		'button',
		{
			type: 'button',
			class: 'button plain',
			'aria-pressed': 'false',
			onclick: () => {
				shared = !shared;
				scaleButton.setAttribute('aria-pressed', String(shared));
				render();
			},
		},
		'Bars on one scale',
	);
	const sortSelect = h(
		'select',
		{ 'aria-label': 'Sort by', class: 'sort-select', onchange: () => sortBy(sortSelect.value, true) },
		COLUMNS.filter(([, , of]) => of).map(([k, words]) => h('option', { value: k, selected: k === key }, words)),
	);

	function sortBy(k, always) {
		down = always ? k !== 'function' : k === key ? !down : k !== 'function';
		key = k;
		sortSelect.value = k;
		render();
	}
	function render() {
		headers.forEach((th, i) =>
			COLUMNS[i][0] === key
				? th.setAttribute('aria-sort', down ? 'descending' : 'ascending')
				: th.removeAttribute('aria-sort'),
		);
		const shown = rows.filter((r) => r.function.toLowerCase().includes(wanted)).sort(sorter(key, down));
		const largest = shared
			? shown.flatMap((r) => [r.wall_ns, r.billed_ns ?? 0, r.cpu_ns]).reduce((a, b) => (a > b ? a : b), 0)
			: null;
		const focused = document.activeElement,
			wantedRows = shown.map((r) => {
				if (!made.has(r.function)) made.set(r.function, makeRow(r.function, at));
				const one = made.get(r.function);
				fillRow(one, r, largest);
				return one.row;
			});
		if (wantedRows.length !== body.children.length || wantedRows.some((row, i) => body.children[i] !== row)) {
			body.replaceChildren(...wantedRows);
			if (body.contains(focused) && document.activeElement !== focused) focused.focus({ preventScroll: true });
		}
		table.hidden = shown.length === 0;
		replace(
			note,
			rows.length === 0
				? nothing(at)
				: shown.length === 0
					? empty('No function is called so', 'Clear the search to see all of them.')
					: null,
		);
		heroBox.hidden = rows.length === 0;
		if (rows.length) replace(heroBox, hero(rows, visible(known.find((p) => p.name === at.as)?.title ?? at.as)));
	}
	async function refresh() {
		rows = await bill(await functions(at, signal), at, signal);
		render();
	}
	const again = paced(1000, () => signal.aborted || refresh().catch((e) => e.name === 'AbortError' || state('lost')));

	document.title = 'oncpu';
	remember('since', at.since);
	[known, rows] = await Promise.all([policies(at, signal), functions(at, signal)]);
	rows = await bill(rows, at, signal);
	render();
	replace(
		main,
		head('Functions', { aside: [ranges(at, go), policySelect(known, at, go)] }),
		heroBox,
		h(
			'section',
			{ class: 'card', 'aria-label': 'Functions' },
			h('div', { class: 'tools' }, search, sortSelect, h('span', { class: 'legend' }, legend()), scaleButton),
			table,
			note,
		),
	);
	state('connecting');
	if (live) events('/v1/events', again, state, signal).catch(fail);
	const timer = live ? setInterval(again, 5000) : 0;
	return {
		destroy() {
			clearInterval(timer);
			again.stop();
		},
	};
}

function legend() {
	return [
		['wall', 'wall'],
		['billed', 'billed'],
		['running', 'on-CPU'],
	].map(([tone, words]) =>
		h('span', { class: 'legend-item' }, h('span', { class: `swatch ${tone}`, 'aria-hidden': 'true' }), words),
	);
}
