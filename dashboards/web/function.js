/* One function: where its time went, what it used and would be billed, and its invocations. */
import { events, lines, list, query } from './api.js';
import { comparison, strip, swatch } from './bars.js';
import { histogram, quantiles, timeBins } from './bins.js';
import { binWords, histogramChart, stackedBars } from './chart.js';
import { head, policies, policySelect, ranges } from './controls.js';
import { cost, empty, h, ns, number, paced, replace, say } from './dom.js';
import { sum } from './exact.js';
import { clock, count, duration, moment, percent, ratio, round, span, visible } from './format.js';
import { link, rangeMs, remember, sinceParameter } from './state.js';
import { PARTS, basisWords, plural, wasteWords, whereOf } from './words.js';

const MOST = 100000; /* invocations held here; older ones are in the sums, not in the charts */
const FIELDS = 'record_id,id,start,status,cold_start,wall_ns,cpu_ns,where,billed,flags';
const PAGE = 50;

/* A record as the charts want it, whole numbers still. */
function take(record) {
	return { record, t: Date.parse(record.start), parts: whereOf(record), cold: record.cold_start ? 1 : 0, bad: record.status === 'error' || record.status === 'timeout' || record.status === 'crashed' ? 1 : 0 };
}

const billedNs = (record, policy) => {
	const b = record.billed?.[policy];
	return b === undefined ? null : b.billed_ns ?? b.billed_ms * 1000000;
};

function panel(title, id, ...content) {
	return h('section', { class: `card ${id}`, 'aria-labelledby': `${id}-title` }, h('h2', { id: `${id}-title` }, title), ...content);
}

/* ---- sums: used against billed, cold starts, waste, prices ---- */

function paidPanel(line, policy, title) {
	const billed = policy?.billed_ns ?? null, scale = [line.wall_ns, line.cpu_ns, billed ?? 0].reduce((a, b) => (a > b ? a : b));
	return [
		h('div', { class: 'verdict' },
			h('p', { class: 'verdict-number', elementtiming: 'data' }, ratio(billed, line.cpu_ns)),
			h('p', { class: 'verdict-words' }, 'billed for every second of CPU used', h('br'),
				h('small', null, number(line.count, 'count'), ` ${plural(line.count, 'invocation')}`,
					line.errors + line.timeouts + line.crashed ? h('span', { class: 'bad' }, `, ${line.errors + line.timeouts + line.crashed} failed`) : null))),
		comparison([
			{ label: 'Wall', tone: 'wall', value: line.wall_ns, name: 'wall_ns' },
			{ label: 'Billed', tone: 'billed', value: billed, name: 'billed_ns', note: `as ${title}` },
			{ label: 'On-CPU', tone: 'running', value: line.cpu_ns, name: 'cpu_ns' },
		], scale),
	];
}

/* on-CPU + waste = billed, to the nanosecond. Threads that ran at once make `waiting` negative: the bill is
 * then smaller than what was used. */
function wastePanel(line, policy) {
	if (!policy?.waste)
		return empty('This cannot be taken apart', 'The CPU time of some of its invocations is not known, or no policy is chosen above.');
	const parts = Object.entries(policy.waste).filter(([key, value]) => key.endsWith('_ns') && value !== 0).map(([key, value]) => {
		const [name, tone, help] = wasteWords(key, value);
		return { key, name, tone, value, help };
	});
	const all = [{ key: 'cpu_ns', name: 'on-CPU', help: 'what was used', tone: 'running', value: line.cpu_ns }, ...parts];
	const positive = sum(all.map((p) => p.value).filter((v) => Number(v) > 0));
	return [
		strip(all, positive, 'What was billed'),
		h('table', { class: 'plain' },
			h('caption', { class: 'hidden' }, 'What was billed, by where it comes from'),
			h('tbody', null, all.map((p) => h('tr', null,
				h('th', { scope: 'row' }, swatch(p.tone), p.name, p.help ? h('small', null, p.help) : null),
				h('td', null, ns(p.value, `waste.${p.key}`)), h('td', null, percent(p.value, policy.billed_ns)))),
			h('tr', { class: 'total' }, h('th', { scope: 'row' }, 'billed'), h('td', null, ns(policy.billed_ns, 'waste.billed_ns')), h('td', null, '100.0 %')))),
	];
}

function coldPanel(line, rows) {
	const cold = rows.filter((r) => r.cold), warm = rows.filter((r) => !r.cold);
	const median = (some, of) => quantiles(some.map(of), [0.5])[0];
	const each = (total) => (line.cold_starts ? Number(BigInt(total) / BigInt(line.cold_starts)) : null);
	const fact = (words, value, note) => h('div', null, h('dt', null, words), h('dd', null, value, note ? h('small', null, ` ${note}`) : null));
	return h('dl', { class: 'facts' },
		fact('cold starts', number(line.cold_starts, 'cold_starts'), `${percent(line.cold_starts, line.count)} of ${count(line.count)}`),
		fact('init, wall', ns(line.init_wall_ns, 'init_wall_ns'), line.cold_starts ? `${duration(each(line.init_wall_ns))} each` : null),
		fact('init, on-CPU', ns(line.init_cpu_ns, 'init_cpu_ns'), line.cold_starts ? `${duration(each(line.init_cpu_ns))} each` : null),
		fact('median wall, cold', ns(median(cold, (r) => r.record.wall_ns)), warm.length ? `warm ${duration(median(warm, (r) => r.record.wall_ns))}` : null),
		fact('after the response', ns(line.after_response_cpu_ns, 'after_response_cpu_ns'), 'on-CPU'),
		fact('between invocations', ns(line.between_cpu_ns, 'between_cpu_ns'), 'on-CPU'));
}

const logRatio = (a, b) => (Number(a) > 0 && Number(b) > 0 ? Math.log10(Number(a) / Number(b)) : 0);

/* How far the bill is from what was used, as a power of ten: 1× is the small upright line. */
function scaleLine(billed, used, reach) {
	const least = -0.15 * reach, place = (v) => 100 * Math.max(0, Math.min(1, (v - least) / (reach - least)));
	const one = place(0), here = place(logRatio(billed, used));
	return h('span', { class: 'scale-line', 'aria-hidden': 'true' },
		h('span', { class: 'one', style: { left: `${one}%` } }),
		h('span', { class: 'reach', style: { left: `${Math.min(one, here)}%`, width: `${Math.abs(here - one)}%` } }),
		h('span', { class: 'dot', style: { left: `${here}%` } }));
}

function pricePanel(line, known, at, go) {
	const prices = line.policies, meta = new Map(known.map((p) => [p.name, p]));
	if (!prices.length)
		return empty('No policy prices this function');
	const reach = prices.map((p) => Math.abs(logRatio(p.billed_ns, line.cpu_ns))).reduce((a, b) => Math.max(a, b), 0.3);
	const sorted = [...prices].sort((a, b) => Number(b.cost_e12 ?? 0) - Number(a.cost_e12 ?? 0) || Number(b.billed_ns) - Number(a.billed_ns));
	return h('table', { class: 'prices', role: 'table' },
		h('caption', { class: 'hidden' }, 'What each platform would bill'),
		h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ['Platform', 'Basis', 'Billed ÷ on-CPU, log scale', 'Billed', '÷ on-CPU', 'Per million', 'Per month'].map((t, i) =>
			h('th', { scope: 'col', role: 'columnheader', class: i < 2 ? null : i === 2 ? 'c-scale' : 'right' }, t)))),
		h('tbody', { role: 'rowgroup' }, sorted.map((p) => {
			const m = meta.get(p.policy) ?? {}, time = m.time ?? m, mine = p.policy === at.as;
			return h('tr', { role: 'row', 'data-policy': p.policy, class: mine ? 'mine' : null },
				h('th', { scope: 'row', role: 'rowheader' },
					h('button', { type: 'button', class: 'pick', 'aria-pressed': String(mine), title: m.rule?.text, onclick: () => go({ as: p.policy }) }, visible(m.title ?? p.policy)),
					m.rule && !m.rule.verified ? h('small', { class: 'unverified', title: 'This rule rests on a fact that is not verified' }, 'unverified') : null),
				h('td', { role: 'cell', 'data-label': 'Basis' }, basisWords(time.basis), time.granularity_ns > 1 ? h('small', null, ` in ${round(time.granularity_ns)}`) : h('small', null, ' exact'), time.minimum_ns > 0 ? h('small', null, `, at least ${round(time.minimum_ns)}`) : null),
				h('td', { role: 'cell', class: 'c-scale' }, scaleLine(p.billed_ns, line.cpu_ns, reach)),
				h('td', { role: 'cell', 'data-label': 'Billed', class: 'right' }, ns(p.billed_ns, 'billed_ns')),
				h('td', { role: 'cell', 'data-label': '÷ on-CPU', class: 'right' }, ratio(p.billed_ns, line.cpu_ns)),
				h('td', { role: 'cell', 'data-label': 'Per million', class: 'right' }, cost(p.cost_per_million_e12, p.currency, 'cost_per_million_e12')),
				h('td', { role: 'cell', 'data-label': 'Per month', class: 'right' }, cost(p.cost_per_month_e12, p.currency, 'cost_per_month_e12')));
		})));
}

/* ---- charts ---- */

function timeChart(state) {
	const host = h('div', { class: 'plot', tabindex: '0', role: 'application', 'aria-roledescription': 'chart', 'aria-describedby': 'where-now' });
	const legend = h('ul', { class: 'legend parts', 'aria-label': 'Where the wall time went' });
	const now = h('p', { class: 'readout', id: 'where-now' });
	const table = h('details', { class: 'as-table', ontoggle: () => table.open && fillTable() }, h('summary', null, 'The same as a table'));
	const each = h('button', { type: 'button', class: 'button plain', 'aria-pressed': 'false', onclick: () => {
		state.each = !state.each;
		each.setAttribute('aria-pressed', String(state.each));
		update();
	} }, 'Mean of an invocation');
	let binned = { step: 1, bins: [], tones: [] }, chart = null, at = null, moved = 0;

	function model() {
		return { ...binned, each: state.each };
	}
	function compute() {
		const shown = rangeMs(state.since), rows = state.rows;
		let from = Infinity, to = -Infinity;
		for (const r of rows) {
			from = Math.min(from, r.t);
			to = Math.max(to, r.t);
		}
		if (shown !== Infinity) { /* the whole range, unless all of it lies in a small part */
			to = Math.max(to, Date.now());
			from = Math.max(to - shown, Math.min(from, to - shown / 4));
		}
		binned = { ...timeBins(rows, from, to, host.clientWidth < 500 ? 45 : 120, PARTS.length), tones: PARTS.map((p) => p.tone) };
	}
	function words(bin) {
		const parts = PARTS.map((p, i) => [p.name, bin.parts[i]]).filter(([, v]) => v);
		return `${moment(bin.t, binned.step)}, ${span(binned.step)}: ${count(bin.count)} ${plural(bin.count, 'invocation')}, wall ${duration(bin.wall)}${parts.length ? `: ${parts.map(([n, v]) => `${n} ${duration(v)}`).join(', ')}` : ''}${bin.cold ? `; ${bin.cold} cold ${plural(bin.cold, 'start')}` : ''}${bin.bad ? `; ${bin.bad} failed` : ''}`;
	}
	function read(i) {
		const bin = i === null ? null : binned.bins[i];
		now.textContent = bin ? words(bin) : `Each bar is ${span(binned.step)}. ▾ marks a cold start. Click a bar, or use ← → and Enter, to list its invocations only.`;
	}
	function choose(i) {
		const bin = binned.bins[i];
		state.pick(bin && (!state.picked || state.picked.from !== bin.t) ? { from: bin.t, to: bin.t + binned.step, words: `${moment(bin.t, binned.step)}, ${span(binned.step)}` } : null);
	}
	host.addEventListener('keydown', (event) => {
		const last = binned.bins.length - 1;
		if (!['ArrowLeft', 'ArrowRight', 'Home', 'End', 'Enter'].includes(event.key) || last < 0)
			return;
		event.preventDefault();
		if (event.key === 'Enter') {
			if (at !== null)
				choose(at);
			return;
		}
		at = event.key === 'Home' ? 0 : event.key === 'End' ? last : Math.max(0, Math.min(last, (at ?? last + 1) + (event.key === 'ArrowLeft' ? -1 : 1)));
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
		const totals = PARTS.map((_, p) => binned.bins.reduce((s, b) => s + b.parts[p], 0)), whole = totals.reduce((a, b) => a + b, 0);
		replace(legend, PARTS.map((p, i) => totals[i] || p.key === 'running_ns'
			? h('li', { class: 'legend-item', title: p.help }, swatch(p.tone), p.name, ' ', ns(totals[i], `where.${p.key}`), h('small', null, ` ${percent(totals[i], whole)}`)) : null));
		host.setAttribute('aria-label', `Wall time of ${count(state.rows.length)} invocations in ${binned.bins.length} bars`);
	}
	function fillTable() {
		const used = PARTS.map((p, i) => [p, i]).filter(([, i]) => binned.bins.some((b) => b.parts[i]));
		table.querySelector('.scroll')?.remove();
		table.append(h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Wall time by bar' }, h('table', { class: 'plain' },
			h('thead', null, h('tr', null, ['From', 'Invocations', 'Cold', ...used.map(([p]) => p.name)].map((t) => h('th', { scope: 'col' }, t)))),
			h('tbody', null, binned.bins.filter((b) => b.count).map((b) => h('tr', null, h('th', { scope: 'row' }, moment(b.t, binned.step)), h('td', null, count(b.count)), h('td', null, count(b.cold)), used.map(([, i]) => h('td', null, ns(b.parts[i])))))))));
	}
	function update() {
		if (!state.rows.length || !host.isConnected)
			return;
		compute();
		if (at !== null) /* bins may be others now: the same time is meant */
			at = Math.max(0, binned.bins.findLastIndex((b) => b.t <= moved));
		fillLegend();
		if (chart)
			chart.update();
		else
			chart = stackedBars(host, model, { hover: (i) => at === null && read(i), choose });
		chart.choose(at ?? picked());
		read(at);
		if (table.open)
			fillTable();
	}
	return { nodes: [h('div', { class: 'card-tools' }, each), legend, host, now, table], update, chosen: () => chart?.choose(picked()), destroy: () => chart?.destroy() };
}

function distribution(state) {
	const host = h('div', { class: 'plot', role: 'img' }), now = h('p', { class: 'readout' });
	const numbers = h('div', null);
	const SHARES = [0.5, 0.9, 0.99, 1];
	let binned = { first: 0, counts: [[], []] }, chart = null, unkept = false;

	function read(i) {
		now.textContent = i === null || binned.counts[0][i] === undefined ? (unkept ? 'The records keep no billed time of this policy: only its sums are known.' : 'Ten bins for each power of ten.')
			: `${binWords(binned.first, i)}: on-CPU of ${count(binned.counts[0][i])}, billed of ${count(binned.counts[1][i])}`;
	}
	function update() {
		if (!state.rows.length || !host.isConnected)
			return;
		const cpu = state.rows.map((r) => r.record.cpu_ns), billed = state.rows.map((r) => billedNs(r.record, state.as)).filter((b) => b !== null);
		unkept = billed.length === 0;
		binned = histogram([cpu, billed]);
		const table = [['on-CPU', 'running', quantiles(cpu, SHARES), 'cpu'], ['billed', 'line', quantiles(billed, SHARES), 'billed']];
		replace(numbers, h('table', { class: 'plain quantiles' }, h('caption', { class: 'hidden' }, 'Quantiles of on-CPU and billed time'),
			h('thead', null, h('tr', null, ['', 'median', '90 %', '99 %', 'largest'].map((t) => h('th', { scope: 'col' }, t)))),
			h('tbody', null, table.map(([name, tone, q, key]) => h('tr', null, h('th', { scope: 'row' }, swatch(tone), name), q.map((v, i) => h('td', null, ns(v, `${key}.q${SHARES[i] * 100}`))))))));
		host.setAttribute('aria-label', `Distribution: on-CPU median ${duration(table[0][2][0])}, billed median ${duration(table[1][2][0])}`);
		if (chart)
			chart.update();
		else
			chart = histogramChart(host, () => binned, { hover: read });
		read(null);
	}
	return { nodes: [numbers, host, now], update, destroy: () => chart?.destroy() };
}

/* ---- the list ---- */

function invocationRow(r, at, whole) {
	const { record } = r, flags = record.flags?.length ?? 0;
	return h('tr', { role: 'row', 'data-record': record.record_id },
		h('th', { scope: 'row', role: 'rowheader', class: 'c-start' }, h('a', { class: 'row-link', href: link('invocation', record.record_id, at), title: record.start }, clock(record.start))),
		h('td', { role: 'cell', class: 'c-id', title: visible(record.id) }, visible(record.id)),
		h('td', { role: 'cell', class: 'c-where' }, strip(PARTS.map((p, i) => ({ name: p.name, tone: p.tone, value: r.parts[i] })), whole)),
		h('td', { role: 'cell', 'data-label': 'Wall', class: 'right' }, ns(record.wall_ns, 'wall_ns')),
		h('td', { role: 'cell', 'data-label': 'Billed', class: 'right' }, ns(billedNs(record, at.as), 'billed_ns')),
		h('td', { role: 'cell', 'data-label': 'On-CPU', class: 'right' }, ns(record.cpu_ns, 'cpu_ns')),
		h('td', { role: 'cell', class: 'c-marks' },
			record.status === 'ok' ? null : h('span', { class: `tag ${record.status}` }, record.status),
			record.cold_start ? h('span', { class: 'tag' }, 'cold') : null,
			flags ? h('span', { class: 'tag', title: record.flags.join(', ') }, `${flags} ${plural(flags, 'flag')}`) : null));
}

function invocationList(state, at) {
	const body = h('tbody', { role: 'rowgroup' }), foot = h('p', { class: 'table-foot' }), filter = h('p', { class: 'filter', hidden: true });
	const search = h('input', { type: 'search', placeholder: 'Find an id', 'aria-label': 'Find an id', spellcheck: 'false', oninput: () => {
		shown = PAGE;
		update();
	} });
	let shown = PAGE;

	function update() {
		const wanted = search.value.toLowerCase(), p = state.picked;
		const matching = [];
		let total = 0;
		for (let i = state.rows.length - 1; i >= 0; i--) {
			const r = state.rows[i];
			if (p && (r.t < p.from || r.t >= p.to) || wanted && !r.record.id.toLowerCase().includes(wanted))
				continue;
			total++;
			if (matching.length < shown)
				matching.push(r);
		}
		/* one scale for what is seen, but for the longest of them, which would flatten all others */
		const walls = matching.map((r) => r.record.wall_ns), scale = quantiles(walls, [0.9])[0] ?? 1;
		const focused = document.activeElement?.closest('tr')?.dataset.record;
		replace(body, matching.map((r) => invocationRow(r, at, Math.max(scale, 1))));
		if (focused)
			[...body.children].find((row) => row.dataset.record === focused)?.querySelector('a').focus({ preventScroll: true });
		filter.hidden = !p;
		replace(filter, p ? [`Only those of ${p.words}. `, h('button', { type: 'button', class: 'button plain', onclick: () => state.pick(null) }, 'Show all')] : null);
		replace(foot, total === 0 ? 'None fits.' : `${count(matching.length)} of ${count(total)}, newest first. `,
			matching.length < total ? h('button', { type: 'button', class: 'button', onclick: () => {
				shown += PAGE;
				update();
			} }, `Show ${Math.min(PAGE, total - matching.length)} more`) : null);
	}
	return { update, nodes: [h('div', { class: 'card-tools' }, search), filter,
		h('table', { class: 'invocations', role: 'table' }, h('caption', { class: 'hidden' }, 'Invocations, newest first'),
			h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ['Start', 'Id', 'Where the wall time went', 'Wall', 'Billed', 'On-CPU', ''].map((t, i) => h('th', { scope: 'col', role: 'columnheader', class: i > 2 && i < 6 ? 'right' : null }, t || h('span', { class: 'hidden' }, 'Remarks'))))), body), foot] };
}

/* ---- all of it ---- */

export async function show({ main, at, live, signal, state: say_, fail, go }) {
	const name = at.name, since = sinceParameter(at.since), seen = new Set();
	const state = { rows: [], since: at.since, as: at.as, each: false, picked: null, pick(range) {
		state.picked = range;
		chart.chosen();
		table.update();
		if (range)
			say(`Invocations of ${range.words}`);
	} };
	const chart = timeChart(state), spread = distribution(state), table = invocationList(state, at);
	const paid = h('section', { class: 'hero', 'aria-label': 'Used and billed' }), waste = h('div'), cold = h('div'), prices = h('div'), held = h('p', { class: 'readout' });
	let line = null, known = [], loading = true;

	async function loadSums() {
		[line] = (await list(query('/v1/compare', { function: name, since, policy: 'all' }), signal)).filter((l) => l.function === name);
	}
	function renderSums() {
		if (!line)
			return;
		const policy = line.policies.find((p) => p.policy === at.as) ?? null;
		replace(paid, paidPanel(line, policy, visible(known.find((p) => p.name === at.as)?.title ?? at.as)));
		replace(waste, wastePanel(line, policy));
		replace(cold, coldPanel(line, state.rows));
		replace(prices, pricePanel(line, known, at, go));
		held.textContent = loading ? `Loading: ${count(state.rows.length)} of ${count(Math.min(line.count, MOST))}` : line.count > state.rows.length && state.rows.length >= MOST
			? `The charts show the newest ${count(state.rows.length)} of ${count(line.count)} invocations; the sums and prices, all of them.` : '';
	}
	function keep(records) {
		for (const record of records) {
			if (record.function !== undefined && record.function !== name || seen.has(record.record_id))
				continue;
			seen.add(record.record_id);
			state.rows.push(take(record));
		}
		const from = Date.now() - rangeMs(at.since);
		let old = Math.max(0, state.rows.length - MOST);
		while (old < state.rows.length && state.rows[old].t < from)
			old++;
		if (old > 1000 || state.rows.length > MOST + 1000)
			for (const r of state.rows.splice(0, old))
				seen.delete(r.record.record_id);
	}
	const draw = paced(500, () => {
		if (signal.aborted)
			return;
		chart.update();
		spread.update();
		table.update();
		renderSums();
	});
	const sums = paced(1000, () => signal.aborted || loadSums().then(draw).catch((e) => e.name === 'AbortError' || say_('lost')));

	document.title = `${visible(name)} · oncpu`;
	remember('since', at.since);
	known = await policies(at, signal);
	state.as = at.as;
	await loadSums();
	const top = head(visible(name), { up: link('fleet', '', at), over: 'Functions', aside: [ranges(at, go), policySelect(known, at, go)] });
	if (!line) {
		replace(main, top, h('section', { class: 'card' }, at.since === 'all'
			? empty('No invocation of this function has ended', 'Either it has not run yet, or its records are older than the ledger keeps them.')
			: empty('Nothing of this function ended in this time', 'Choose a longer one above ( ] ).')));
		say_('connecting');
	} else {
		renderSums();
		replace(main, top, paid,
			panel('Where the wall time went', 'where', ...chart.nodes, held),
			h('div', { class: 'columns' }, panel('On-CPU and billed', 'spread', ...spread.nodes), panel('What was billed', 'waste', waste)),
			panel('Under each platform', 'price', prices), panel('Cold starts and leftovers', 'cold', cold),
			panel('Invocations', 'list', ...table.nodes));
		await lines(query('/v1/invocations', { function: name, since, last: MOST, fields: FIELDS }), (some) => {
			keep(some);
			draw(); /* what has come so far */
		}, signal);
		loading = false;
		draw();
	}
	if (live)
		events(query('/v1/events', { function: name }), (some) => {
			keep(some.filter((e) => e.event === 'invocation').map((e) => e.data));
			if (!line)
				go({});
			else
				sums();
			draw();
		}, say_, signal).catch(fail);
	return { destroy() {
		draw.stop();
		sums.stop();
		chart.destroy();
		spread.destroy();
	} };
}

