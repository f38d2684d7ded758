// SPDX-License-Identifier: GPL-2.0
/*
 * The built-in page in a real browser, against the real agent at BASE: node page.mjs BASE FUNCTIONS-DIRECTORY.
 * The agent has seen nothing yet when this begins; the functions run as the page is watched.
 */
import { spawn } from 'node:child_process';
import { brokeOff, browser, check, done, lines, misprinted, numbers, object, open, overflow, same, visit } from './harness.mjs';

const [base, functions] = process.argv.slice(2);
const HOSTILE = '<img src=x onerror=window.hacked=1>',
	MANY = 100000;
const ALL = '?since=all&as=aws-lambda';
const f = (name) => `#/f/${encodeURIComponent(name)}${ALL}`;

function run(program, args, input) {
	return new Promise((resolve, reject) => {
		const p = spawn(`${functions}/${program}`, args, {
			stdio: [input === undefined ? 'ignore' : 'pipe', 'ignore', 'inherit'],
		});
		if (input !== undefined) p.stdin.end(input);
		p.on('error', reject);
		p.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}`))));
	});
}
const row = (page, name) => page.locator(`tr[data-function="${CSS.escape(name)}"]`);
const CSS = { escape: (s) => s.replace(/["\\]/g, '\\$&') };
const billed = (r, policy) => r.billed[policy].billed_ns ?? r.billed[policy].billed_ms * 1000000;

/* ---- before and while the first function runs ---- */

async function beginnings(page) {
	await visit(page, base, `#/?since=1h&as=aws-lambda`);
	await page.getByText('Nothing ended in this time').waitFor();
	check('empty: the page says so and what to do', await page.getByText('Choose a longer one').isVisible());
	await visit(page, base, `#/${ALL}`);
	await page.getByText('No invocation has been accounted yet').waitFor();
	check('empty since ever: it says how to begin', await page.getByText('oncpu measure').isVisible());
	await page.locator('#live[data-state="live"]').waitFor();
	await run('thumb', ['--function', 'thumb', '--count', '12']);
	await row(page, 'thumb').locator('data[data-name="count"][value="12"]').waitFor();
	check('live: a function appears by itself, and its count goes up', true);
	await Promise.all([
		run('fetch', ['--function', 'fetch', '--count', '5']),
		run('render', ['--function', 'render', '--count', '8']),
		run('thumb', ['--function', HOSTILE, '--count', '2']),
		run('thumb', ['--function', 'ids'], '\u001b[31m<b>bold</b>\u0001\n"onmouseover="x\n\u202eesrever\n'),
	]);
	await row(page, 'fetch').locator('data[data-name="count"][value="5"]').waitFor();
	await row(page, 'ids').locator('data[data-name="count"][value="3"]').waitFor();
}

/* ---- the numbers ---- */

async function fleet(page) {
	await visit(page, base, `#/${ALL}`);
	await row(page, 'render').locator('data[data-name="count"][value="8"]').waitFor();
	const api = (await lines(base, '/v1/functions')).sort((a, b) => (a.function < b.function ? -1 : 1));
	const rows = await page.locator('tbody tr[data-function]').evaluateAll((all) =>
		all.map((tr) => {
			const value = (name) => tr.querySelector(`data[data-name="${name}"]`).value;
			return [
				tr.dataset.function,
				value('wall_ns'),
				value('billed_ns'),
				value('cpu_ns'),
				value('count'),
				value('cold_starts'),
				value('failed'),
			];
		}),
	);
	same(
		"functions: wall, billed, on-CPU, counts are the API's",
		rows.sort((a, b) => (a[0] < b[0] ? -1 : 1)),
		api.map((a) => [
			a.function,
			`${a.wall_ns}`,
			`${a.billed['aws-lambda'].billed_ns}`,
			`${a.cpu_ns}`,
			`${a.count}`,
			`${a.cold_starts}`,
			`${a.errors + a.timeouts + a.crashed}`,
		]),
	);
	const total = (of) => [String(api.reduce((s, a) => s + BigInt(of(a)), 0n))];
	const got = await numbers(page.locator('.hero'));
	same(
		'functions: the totals are their sums',
		[got['total.wall_ns'], got['total.billed_ns'], got['total.cpu_ns'], got.count],
		[
			total((a) => a.wall_ns),
			total((a) => a.billed['aws-lambda'].billed_ns),
			total((a) => a.cpu_ns),
			total((a) => a.count),
		],
	);
	same("functions: what is shown is the number's own text", await misprinted(page), []);
	const bars = await page
		.locator('tr[data-function="fetch"] .bar')
		.evaluateAll((all) => all.map((b) => b.getBoundingClientRect().width));
	const fetch_ = api.find((a) => a.function === 'fetch');
	check(
		'functions: bars are as long as their numbers',
		Math.abs(bars[0] / bars[1] - fetch_.wall_ns / fetch_.billed['aws-lambda'].billed_ns) < 0.02,
		bars,
	);
	await page.getByLabel('Find a function').fill('fet');
	check('functions: the search finds', (await page.locator('tbody tr[data-function]').count()) === 1);
	await page.getByLabel('Find a function').fill('no such');
	check('functions: a search without a result says so', await page.getByText('No function is called so').isVisible());
	await page.getByLabel('Find a function').fill('');
	for (const [header, key] of [
		['Invocations', 'count'],
		['On-CPU', 'cpu_ns'],
		['Function', 'function'],
	]) {
		await page.getByRole('button', { name: header, exact: true }).click();
		const order = await page
			.locator('tbody tr[data-function]')
			.evaluateAll((all) => all.map((tr) => tr.dataset.function));
		const down = key !== 'function';
		const want = [...api]
			.sort((a, b) => (a[key] < b[key] ? -1 : a[key] > b[key] ? 1 : a.function < b.function ? -1 : 1) * (down ? -1 : 1))
			.map((a) => a.function);
		same(`functions: sorted by ${header}`, order, want);
	}
}

async function oneFunction(page, name) {
	const records = await lines(base, `/v1/invocations?function=${encodeURIComponent(name)}`);
	const [sums] = await lines(base, `/v1/compare?function=${encodeURIComponent(name)}&policy=all`);
	await visit(page, base, f(name));
	await page
		.locator('.invocations tbody tr')
		.nth(records.length - 1)
		.waitFor();
	await page.locator('.u-over').first().waitFor();
	let got = await numbers(page.locator('.hero'));
	same(
		`${name}: used and billed are the API's`,
		[got.wall_ns, got.billed_ns, got.cpu_ns, got.count],
		[[`${sums.wall_ns}`], [`${sums.billed['aws-lambda'].billed_ns}`], [`${sums.cpu_ns}`], [`${sums.count}`]],
	);
	got = await page
		.locator('.invocations tbody tr')
		.evaluateAll((all) =>
			all.map((tr) => [
				tr.dataset.record,
				...['wall_ns', 'billed_ns', 'cpu_ns'].map((n) => tr.querySelector(`data[data-name="${n}"]`).value),
			]),
		);
	same(
		`${name}: each invocation's numbers are its record's`,
		got,
		[...records].reverse().map((r) => [r.record_id, `${r.wall_ns}`, `${billed(r, 'aws-lambda')}`, `${r.cpu_ns}`]),
	);
	got = await numbers(page.locator('.where .legend'));
	const whole = Object.values(got)
		.flat()
		.reduce((s, v) => s + BigInt(v), 0n);
	same(`${name}: where the wall time went adds up to the wall time`, `${whole}`, `${sums.wall_ns}`);
	for (const part of Object.keys(got).filter((k) => k !== 'where.waiting_ns' && k !== 'where.running_ns'))
		same(`${name}: ${part} is the records' sum`, got[part], [
			`${records.reduce((s, r) => s + (r.where?.[part.slice(6)] ?? 0), 0)}`,
		]);
	await page.getByText('The same as a table').click();
	await page.locator('.where .scroll tbody tr').first().waitFor();
	const inTable = await page.locator('.where .scroll tbody data').evaluateAll((all) => all.map((d) => d.value));
	same(
		`${name}: the chart's table adds up to the same`,
		`${inTable.reduce((s, v) => s + BigInt(v), 0n)}`,
		`${sums.wall_ns}`,
	);
	const rank = (values, q) => `${[...values].sort((a, b) => a - b)[Math.max(0, Math.ceil(q * values.length) - 1)]}`;
	got = await numbers(page.locator('.spread'));
	const cpu = records.map((r) => r.cpu_ns),
		bill = records.map((r) => billed(r, 'aws-lambda'));
	same(
		`${name}: quantiles are the records'`,
		[0.5, 0.9, 0.99, 1].flatMap((q) => [got[`cpu.q${q * 100}`][0], got[`billed.q${q * 100}`][0]]),
		[0.5, 0.9, 0.99, 1].flatMap((q) => [rank(cpu, q), rank(bill, q)]),
	);
	got = await numbers(page.locator('.cold'));
	same(
		`${name}: cold starts and leftovers are the API's`,
		[got.cold_starts, got.init_wall_ns, got.init_cpu_ns, got.after_response_cpu_ns, got.between_cpu_ns],
		[sums.cold_starts, sums.init_wall_ns, sums.init_cpu_ns, sums.after_response_cpu_ns, sums.between_cpu_ns].map(
			(v) => [`${v}`],
		),
	);
	await prices(page, name, sums);
	same(`${name}: what is shown is the number's own text`, await misprinted(page), []);
	return records;
}

async function prices(page, name, sums) {
	const shown = await page
		.locator('.price tbody tr')
		.evaluateAll((all) =>
			all.map((tr) => [
				tr.dataset.policy,
				...['billed_ns', 'cost_per_million_e12', 'cost_per_month_e12'].map(
					(n) => tr.querySelector(`data[data-name="${n}"]`).value,
				),
			]),
		);
	/* a month's cost is projected from the time observed, which goes on: it was asked for in between */
	const month = (list) => Object.fromEntries(list.map((p) => [p[0] ?? p.policy, Number(p[3] ?? p.cost_per_month_e12)]));
	const [later] = await lines(base, `/v1/compare?function=${encodeURIComponent(name)}&policy=all`);
	const [paid, before, after] = [month(shown), month(sums.policies), month(later.policies)];
	check(
		`${name}: the cost of a month is the API's of that moment`,
		Object.keys(before).every((p) => before[p] >= paid[p] && paid[p] >= after[p] && before[p] > 0 === paid[p] > 0),
		{ paid, before, after },
	);
	const text = (v) => (v === null ? '' : `${v}`);
	same(
		`${name}: every platform's bill is the API's`,
		shown.map((p) => p.slice(0, 3)).sort(),
		sums.policies.map((p) => [p.policy, text(p.billed_ns), text(p.cost_per_million_e12)]).sort(),
	);
	const got = await numbers(page.locator('.waste')),
		{ waste, billed_ns } = sums.policies.find((p) => p.policy === 'aws-lambda');
	const parts = Object.entries(got).filter(([k]) => k !== 'waste.billed_ns');
	same(
		`${name}: on-CPU and waste add up to what was billed`,
		[`${parts.reduce((s, [, [v]]) => s + BigInt(v), 0n)}`, got['waste.billed_ns'][0]],
		[`${billed_ns}`, `${billed_ns}`],
	);
	same(
		`${name}: each part of the waste is the API's`,
		parts
			.filter(([k]) => k !== 'waste.cpu_ns')
			.map(([k, [v]]) => [k.slice(6), v])
			.sort(),
		Object.entries(waste)
			.filter(([k, v]) => k.endsWith('_ns') && v !== 0)
			.map(([k, v]) => [k, `${v}`])
			.sort(),
	);
	await page.locator('.price tr[data-policy="on-cpu"] button').click();
	await page.locator('.price tr[data-policy="on-cpu"].mine').waitFor();
	same(`${name}: billed as another platform`, (await numbers(page.locator('.hero'))).billed_ns, [
		`${sums.policies.find((p) => p.policy === 'on-cpu').billed_ns}`,
	]);
	await page.goBack();
	await page.locator('.price tr[data-policy="aws-lambda"].mine').waitFor();
}

const nanoseconds = (iso) =>
	BigInt(Date.parse(`${iso.slice(0, 19)}Z`)) * 1000000n + BigInt(iso.slice(20, -1).padEnd(9, '0'));

async function oneInvocation(page, record) {
	const whole = await object(base, `/v1/invocations/${encodeURIComponent(record.record_id)}`);
	await visit(page, base, `#/i/${encodeURIComponent(record.record_id)}${ALL}`);
	await page.locator('.boundaries').waitFor();
	let got = await numbers(page.locator('.hero'));
	const name = `${record.function}${record.cold_start ? ', cold' : ''}`;
	same(
		`one invocation (${name}): wall, billed, on-CPU`,
		[got.wall_ns, got.billed_ns, got.cpu_ns],
		[[`${record.wall_ns}`], [`${billed(record, 'aws-lambda')}`], [`${record.cpu_ns}`]],
	);
	got = await numbers(page.locator('.time'));
	same(`one invocation (${name}): the end is the start and the wall time`, got['boundary.end'], [`${record.wall_ns}`]);
	check(
		`one invocation (${name}): the record's own times agree`,
		nanoseconds(record.end) - nanoseconds(record.start) - BigInt(record.wall_ns) <= 1n,
		record,
	);
	if (record.init)
		same(`one invocation (${name}): init begins where the record says`, got['boundary.init begins'], [
			`${-record.between.wall_ns - record.init.wall_ns}`,
		]);
	if (record.after_response.wall_ns)
		same(`one invocation (${name}): the response is where the record says`, got['boundary.response'], [
			`${record.wall_ns - record.after_response.wall_ns}`,
		]);
	const exact = await page.locator('.exactness').textContent(),
		commas = (v) => `${v}`.replace(/\B(?=(\d{3})+(?!\d))/g, ',');
	check(
		`one invocation (${name}): on-CPU and its bound, to the nanosecond`,
		exact.includes(
			`${commas(record.cpu_ns)} ns ± ${record.cpu_error_bound_ns ? `${commas(record.cpu_error_bound_ns)} ns` : '0'}`,
		),
		exact,
	);
	const flags = (await object(base, '/v1/flags')).flags;
	same(
		`one invocation (${name}): its flags, in words`,
		await page
			.locator('.flags > div')
			.evaluateAll((all) => all.map((d) => [d.querySelector('dt').textContent, d.querySelector('dd').textContent])),
		record.flags.map((x) => [x, flags.find((y) => y.name === x).help]),
	);
	if (record.where) {
		got = await numbers(page.locator('.where'));
		same(
			`one invocation (${name}): where its time went`,
			Object.entries(record.where).map(([k]) => got[`where.${k}`]),
			Object.values(record.where).map((v) => [`${v}`]),
		);
	}
	same(
		`one invocation (${name}): each platform's bill`,
		await page
			.locator('.price tbody tr')
			.evaluateAll((all) =>
				all.map((tr) => [tr.dataset.policy, tr.querySelector('data[data-name="billed_ns"]').value]),
			),
		whole.policies.map((p) => [p.policy, p.billed_ns === null ? '' : `${p.billed_ns}`]),
	);
	same(`one invocation (${name}): what is shown is the number's own text`, await misprinted(page), []);
}

/* ---- who writes what a function is called ---- */

async function hostile(page, said) {
	await visit(page, base, `#/${ALL}`);
	await row(page, HOSTILE).waitFor();
	check('a hostile name is text', (await row(page, HOSTILE).locator('.row-link').textContent()) === HOSTILE);
	await row(page, HOSTILE).locator('.row-link').click();
	await page.locator('.invocations tbody tr').first().waitFor();
	check('a hostile name leads to its function', (await page.locator('h1').textContent()) === HOSTILE);
	await page.locator('.invocations .row-link').first().click();
	await page.locator('.boundaries').waitFor();
	await visit(page, base, f('ids'));
	await page.locator('.invocations tbody tr').nth(2).waitFor();
	const ids = await page.locator('.c-id').evaluateAll((all) => all.map((td) => td.textContent));
	check(
		'control characters of an id are seen, not obeyed',
		ids.some((t) => t.includes('<b>bold</b>')) &&
			ids.every((t) => !/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/.test(t)),
		ids,
	);
	for (const i of [0, 1, 2]) {
		await page.locator('.invocations .row-link').nth(i).click();
		await page.locator('.boundaries').waitFor();
		await page.goBack();
		await page.locator('.invocations tbody tr').nth(2).waitFor();
	}
	const found = await page.evaluate(() => ({
		hacked: window.hacked,
		elements: document.querySelectorAll('main img, main script, main b, main iframe').length,
	}));
	same('nothing of it became an element or ran', found, { elements: 0 });
	const head = await fetch(`${base}/`);
	check(
		'the policy allows nothing inline and nothing from elsewhere',
		/default-src 'none'/.test(head.headers.get('content-security-policy')) &&
			!/unsafe|\*|data:/.test(head.headers.get('content-security-policy')),
		head.headers.get('content-security-policy'),
	);
	const stopped = await page.evaluate(() => {
		const refused = [];
		for (const attempt of [
			() => {
				document.body.insertAdjacentHTML('beforeend', '<i>x</i>');
			},
			() => {
				document.createElement('div').innerHTML = '<i>x</i>';
			},
		])
			try {
				attempt();
				refused.push('allowed');
			} catch (e) {
				refused.push(e.name);
			}
		return refused;
	});
	same('markup from a text is refused by the browser itself', stopped, ['TypeError', 'TypeError']);
	const refusals = said.errors.filter((e) => e.includes('TrustedHTML'));
	check('and the console tells of these two only', refusals.length === 2 && said.errors.length === 2, said.errors);
	said.errors.length = 0;
}

/* ---- without a mouse ---- */

const focused = (page) =>
	page.evaluate(() => {
		const e = document.activeElement,
			s = getComputedStyle(e),
			tr = e.closest('tr'),
			t = tr && getComputedStyle(tr);
		return {
			name: e.getAttribute('aria-label') ?? e.textContent.trim(),
			id: e.id,
			class: e.className,
			tag: e.tagName,
			seen: (s.outlineStyle !== 'none' && s.outlineWidth !== '0px') || Boolean(t && t.outlineStyle !== 'none'),
		};
	});

async function keyboard(page) {
	await visit(page, base, `#/${ALL}`);
	await row(page, 'thumb').waitFor();
	await page.locator('body').evaluate(() => document.activeElement.blur());
	const wanted = await page.evaluate(() => {
		window.wanted = [...document.querySelectorAll('a[href], button, input, select, summary')].filter(
			(e) => e.offsetParent !== null || e.classList.contains('skip'),
		);
		return window.wanted.map((e) => e.getAttribute('aria-label') ?? e.textContent);
	});
	const seen = [],
		reached = new Set();
	for (let i = 0; i < wanted.length + 2; i++) {
		await page.keyboard.press('Tab');
		const here = await page.evaluate(() => window.wanted.indexOf(document.activeElement));
		reached.add(here);
		if (here >= 0) seen.push(await focused(page));
	}
	same(
		'Tab reaches all there is',
		wanted.filter((_, i) => !reached.has(i)),
		[],
	);
	check(
		'whatever has the focus is seen to have it',
		seen.every((s) => s.seen),
		seen.filter((s) => !s.seen),
	);
	check(
		'all of it has a name',
		seen.every((s) => s.name || s.tag === 'SELECT' || s.tag === 'INPUT'),
		seen.filter((s) => !s.name),
	);
	await visit(page, base, `#/${ALL}`);
	await page.reload();
	await row(page, 'thumb').waitFor();
	await page.keyboard.press('j');
	await page.keyboard.press('j');
	await page.keyboard.press('k');
	const first = (await focused(page)).name;
	same('j, j, k: the first row', first, await page.locator('.functions .row-link').first().textContent());
	await page.keyboard.press('Enter');
	await page.locator('.invocations tbody tr').first().waitFor();
	check('j, k, Enter: to a function', (await page.locator('h1').textContent()) === first, first);
	await page.locator('.where .plot').focus();
	await page.locator('.u-over').first().waitFor();
	await page.keyboard.press('End');
	const said = await page.locator('#say').textContent();
	check('a chart is read by keys, and says what it shows', /invocation/.test(said) && /wall/.test(said), said);
	await page.keyboard.press('Enter');
	await page.locator('.filter').waitFor();
	check('Enter lists the invocations of a bar', true);
	await page.getByRole('button', { name: 'Show all' }).click();
	await page.locator('body').evaluate(() => document.activeElement.blur());
	await page.keyboard.press('j');
	await page.keyboard.press('Enter');
	await page.locator('.boundaries').waitFor();
	await page.keyboard.press('Escape');
	await page.locator('.invocations tbody tr').first().waitFor();
	await page.keyboard.press('Escape');
	await row(page, 'thumb').waitFor();
	check('Escape: one level up, twice', true);
	await page.keyboard.press('[');
	await page.locator('.segmented [aria-pressed="true"]', { hasText: '7 d' }).waitFor();
	check('[: a shorter time', true);
	await page.keyboard.press('?');
	check('?: the shortcuts, all of them', (await page.locator('dialog[open] .keys div').count()) >= 10);
	await page.keyboard.press('Escape');
	check('Escape closes them', (await page.locator('dialog[open]').count()) === 0);
	const themes = [];
	for (let i = 0; i < 3; i++) {
		await page.keyboard.press('t');
		themes.push(
			await page.evaluate(() => [
				document.documentElement.dataset.theme ?? 'auto',
				getComputedStyle(document.body).backgroundColor,
			]),
		);
	}
	check(
		't: light, dark, as the system',
		themes.map((t) => t[0]).join() === 'light,dark,auto' && themes[0][1] !== themes[1][1],
		themes,
	);
	await page.keyboard.press('n');
	const whole = await row(page, 'thumb')
		.locator('.c-cpu data')
		.evaluate((d) => [getComputedStyle(d, '::after').content, d.value]);
	same('n: numbers are shown whole', whole[0].replace(/[",]/g, ''), `${whole[1]} ns`);
	same('n: whole numbers have room', await overflow(page), 0);
	await page.keyboard.press('n');
	await page.keyboard.press('l');
	await page.locator('#live[data-state="held"]').waitFor();
	await page.keyboard.press('l');
	await page.locator('#live[data-state="live"]').waitFor();
	check('l: hold still, and go on', true);
}

/* ---- both colours, both widths, less motion ---- */

/* WCAG's contrast of two rgb() colours. */
function contrast(a, b) {
	const light = (c) => {
		const [r, g, bl] = c
			.match(/[\d.]+/g)
			.slice(0, 3)
			.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
		return 0.2126 * r + 0.7152 * g + 0.0722 * bl;
	};
	const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
	return (x + 0.05) / (y + 0.05);
}

async function looks(b, record) {
	const grounds = [];
	for (const colorScheme of ['light', 'dark'])
		for (const width of [1280, 400]) {
			const { page, context, said } = await open(b, base, {
				colorScheme,
				viewport: { width, height: 900 },
				reducedMotion: 'reduce',
			});
			const wide = [];
			for (const hash of [`#/${ALL}`, f('thumb'), f(HOSTILE), `#/i/${encodeURIComponent(record.record_id)}${ALL}`]) {
				await visit(page, base, hash);
				await page.locator('.hero').waitFor();
				if (hash.startsWith('#/f/')) await page.locator('.u-over').nth(1).waitFor();
				wide.push(await overflow(page));
			}
			same(`${colorScheme}, ${width} px: nothing sticks out`, wide, [0, 0, 0, 0]);
			check(
				`${colorScheme}, ${width} px: with less motion nothing moves by itself`,
				(await page.evaluate(() => document.getAnimations().length)) === 0,
			);
			const colours = await page.evaluate(() => {
				const c = (s) => getComputedStyle(document.querySelector(s));
				return [
					[c('body').color, c('.card').backgroundColor],
					[c('.card small').color, c('.card').backgroundColor],
					[c('.foot').color, c('body').backgroundColor],
				];
			});
			check(
				`${colorScheme}, ${width} px: text stands out (4.5 : 1)`,
				colours.every(([x, y]) => contrast(x, y) >= 4.5),
				colours,
			);
			grounds.push(colours[2][1]);
			same(`${colorScheme}, ${width} px: no word of the console`, said.errors, []);
			await context.close();
		}
	check(
		'dark is dark and light is light',
		grounds[0] === grounds[1] && grounds[2] === grounds[3] && grounds[0] !== grounds[2],
		grounds,
	);
}

/* ---- many, and the agent gone ---- */

async function many(page) {
	/* in portions, each of them stored before the next: this is no test of what the kernel's ring holds */
	let count = 0;
	for (let i = 0; i < 60 && count < 105000; i++) {
		await run('marks', ['many', '5000']);
		count = (await lines(base, '/v1/functions')).find((x) => x.function === 'many')?.count ?? 0;
	}
	const said = count.toLocaleString('en');
	check('many: more than 100,000 invocations are there', count >= 105000, count);
	await visit(page, base, `#/${ALL}`);
	await row(page, 'many').locator(`data[data-name="count"][value="${count}"]`).waitFor();
	const began = Date.now();
	await visit(page, base, f('many'));
	await page
		.locator(`.where .plot[aria-label^="Wall time of ${MANY.toLocaleString('en')} invocations"]`)
		.waitFor({ timeout: 120000 });
	console.log(`# ${MANY} invocations on screen after ${Date.now() - began} ms`);
	check(
		'many: it says that the charts have the newest only',
		(await page.locator('.where').textContent()).includes(`the newest 100,000 of ${said} invocations`),
	);
	const newest = await lines(base, `/v1/invocations?function=many&last=${MANY}&fields=wall_ns`);
	const got = await numbers(page.locator('.where .legend'));
	same(
		'many: the bars add up to the wall time of those',
		`${Object.values(got)
			.flat()
			.reduce((s, v) => s + BigInt(v), 0n)}`,
		`${newest.reduce((s, r) => s + r.wall_ns, 0)}`,
	);
	check('many: all of them can be found', (await page.locator('.table-foot').textContent()).includes('of 100,000'));
	const wanted = (await lines(base, `/v1/invocations?function=many&last=${MANY}&fields=id`)).filter((r) =>
		r.id.includes('many-477'),
	).length;
	await page.getByLabel('Find an id').fill('many-477');
	await page.locator('.table-foot', { hasText: `of ${wanted.toLocaleString('en')}, newest first` }).waitFor();
	check(
		'many: those with an id are found',
		wanted >= 50 && (await page.locator('.invocations tbody tr').count()) === 50,
		wanted,
	);
	const asked = await page.evaluate(() =>
		performance
			.getEntriesByType('resource')
			.filter((e) => e.name.includes('/v1/invocations?'))
			.map((e) => [e.name, e.transferSize]),
	);
	console.log(`# ${asked.map(([name, bytes]) => `${decodeURIComponent(name.split('?')[1])}: ${bytes} bytes`)}`);
	check(
		'many: only what is shown is asked for',
		asked.length > 0 && asked.every(([name]) => name.includes('fields=')),
		asked,
	);
}

async function gone(page, context, record) {
	/* the next view's code has not come yet when the agent goes */
	await page.route('**/web/function.js', (asked) => asked.abort());
	await visit(page, base, `#/${ALL}`);
	await row(page, 'thumb').waitFor();
	await context.setOffline(true);
	await page.evaluate(() => {
		location.hash = '#/f/thumb?since=all';
	});
	await page.getByText('The agent does not answer').waitFor();
	await page.locator('#live[data-state="lost"]').waitFor();
	check('the agent is gone: what is so, and what to do', await page.getByText('oncpu doctor').isVisible());
	await page.unroute('**/web/function.js');
	await context.setOffline(false);
	await page.locator('.invocations tbody tr').first().waitFor();
	check('the agent is back: so is the page, by itself', true);
	await visit(page, base, `#/i/${record.record_id.replace(/\d+$/, '999999999')}${ALL}`);
	await page.getByText('There is no such thing here').waitFor();
	check('a record that is not there: said so', true);
	await visit(page, base, `#/f/no-such-function${ALL}`);
	await page.getByText('No invocation of this function has ended').waitFor();
	check('a function that is not there: said so', true);
}

const b = await browser();
let first, second;
try {
	first = await open(b, base);
	const { page, context, said } = first;
	await beginnings(page);
	await fleet(page);
	let records = [];
	for (const name of ['thumb', 'fetch', 'render']) records.push(...(await oneFunction(page, name)));
	const flagged = records.find((r) => r.flags.length),
		cold = records.find((r) => r.cold_start),
		warm = records.find((r) => !r.cold_start && r.function === 'fetch');
	for (const record of [cold, warm, flagged].filter(Boolean)) await oneInvocation(page, record);
	for (const record of await lines(base, '/v1/invocations?function=ids')) await oneInvocation(page, record);
	await hostile(page, said);
	await keyboard(page);
	await many(page);
	same('no word of the console', said.errors, []);
	same('nothing is asked of anybody else', said.outside, []);
	await looks(b, cold);
	second = await open(b, base);
	await gone(second.page, second.context, cold);
	await context.close();
} catch (error) {
	await brokeOff(error, [first, second]);
}
await b.close();
done();
