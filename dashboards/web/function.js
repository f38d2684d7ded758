/* One function: where its time went, what it used and would be billed, and its invocations. */
import { events, lines, list, query } from './api.js';
import { invocationList } from './calls.js';
import { head, panel, policies, policySelect, ranges } from './controls.js';
import { empty, h, paced, replace, say } from './dom.js';
import { count, visible } from './format.js';
import { distribution } from './spread.js';
import { link, rangeMs, remember, sinceParameter } from './state.js';
import { coldPanel, paidPanel, pricePanel, wastePanel } from './sums.js';
import { timeChart } from './when.js';
import { whereOf } from './words.js';

const MOST = 100000; /* invocations held here; older ones are in the sums, not in the charts */
const FIELDS = 'record_id,id,start,status,cold_start,wall_ns,cpu_ns,segments,where,billed,flags';

/* A record as the charts want it, whole numbers still. */
function take(record) {
	return {
		record,
		t: Date.parse(record.start),
		parts: whereOf(record),
		cold: record.cold_start ? 1 : 0,
		bad: record.status === 'error' || record.status === 'timeout' || record.status === 'crashed' ? 1 : 0,
	};
}

export async function show({ main, at, live, signal, state: say_, fail, go }) {
	const name = at.name,
		since = sinceParameter(at.since),
		seen = new Set();
	const state = {
		rows: [],
		since: at.since,
		as: at.as,
		each: false,
		picked: null,
		pick(range) {
			state.picked = range;
			chart.chosen();
			table.update();
			if (range) say(`Invocations of ${range.words}`);
		},
	};
	const chart = timeChart(state),
		spread = distribution(state),
		table = invocationList(state, at);
	const paid = h('section', { class: 'hero', 'aria-label': 'Used and billed' }),
		waste = h('div'),
		cold = h('div'),
		prices = h('div'),
		held = h('p', { class: 'readout' });
	let line = null,
		known = [],
		loading = true;

	async function loadSums() {
		[line] = (await list(query('/v1/compare', { function: name, since, policy: 'all' }), signal)).filter(
			(l) => l.function === name,
		);
	}
	function renderSums() {
		if (!line) return;
		const policy = line.policies.find((p) => p.policy === at.as) ?? null;
		replace(paid, paidPanel(line, policy, visible(known.find((p) => p.name === at.as)?.title ?? at.as)));
		replace(waste, wastePanel(line, policy));
		replace(cold, coldPanel(line, state.rows));
		replace(prices, pricePanel(line, known, at, go));
		held.textContent = loading
			? `Loading: ${count(state.rows.length)} of ${count(Math.min(line.count, MOST))}`
			: line.count > state.rows.length && state.rows.length >= MOST
				? `The charts show the newest ${count(state.rows.length)} of ${count(line.count)} invocations; the sums and prices, all of them.`
				: '';
	}
	function keep(records) {
		for (const record of records) {
			if ((record.function !== undefined && record.function !== name) || seen.has(record.record_id)) continue;
			seen.add(record.record_id);
			state.rows.push(take(record));
		}
		const from = Date.now() - rangeMs(at.since);
		let old = Math.max(0, state.rows.length - MOST);
		while (old < state.rows.length && state.rows[old].t < from) old++;
		if (old > 1000 || state.rows.length > MOST + 1000)
			for (const r of state.rows.splice(0, old)) seen.delete(r.record.record_id);
	}
	const draw = paced(500, () => {
		if (signal.aborted) return;
		chart.update();
		spread.update();
		table.update();
		renderSums();
	});
	const sums = paced(
		1000,
		() =>
			signal.aborted ||
			loadSums()
				.then(draw)
				.catch((e) => e.name === 'AbortError' || say_('lost')),
	);

	document.title = `${visible(name)} · oncpu`;
	remember('since', at.since);
	known = await policies(at, signal);
	state.as = at.as;
	await loadSums();
	const top = head(visible(name), {
		up: link('fleet', '', at),
		over: 'Functions',
		aside: [ranges(at, go), policySelect(known, at, go)],
	});
	if (!line) {
		replace(
			main,
			top,
			h(
				'section',
				{ class: 'card' },
				at.since === 'all'
					? empty(
							'No invocation of this function has ended',
							'Either it has not run yet, or its records are older than the ledger keeps them.',
						)
					: empty('Nothing of this function ended in this time', 'Choose a longer one above ( ] ).'),
			),
		);
		say_('connecting');
	} else {
		renderSums();
		replace(
			main,
			top,
			paid,
			panel('Where the wall time went', 'where', ...chart.nodes, held),
			h(
				'div',
				{ class: 'columns' },
				panel('On-CPU and billed', 'spread', ...spread.nodes),
				panel('What was billed', 'waste', waste),
			),
			panel('Under each platform', 'price', prices),
			panel('Cold starts and leftovers', 'cold', cold),
			panel('Invocations', 'list', ...table.nodes),
		);
		await lines(
			query('/v1/invocations', { function: name, since, last: MOST, fields: FIELDS }),
			(some) => {
				keep(some);
				draw(); /* what has come so far */
			},
			signal,
		);
		loading = false;
		draw();
	}
	if (live)
		events(
			query('/v1/events', { function: name }),
			(some) => {
				keep(some.filter((e) => e.event === 'invocation').map((e) => e.data));
				if (!line) go({});
				else sums();
				draw();
			},
			say_,
			signal,
		).catch(fail);
	return {
		destroy() {
			draw.stop();
			sums.stop();
			chart.destroy();
			spread.destroy();
		},
	};
}
