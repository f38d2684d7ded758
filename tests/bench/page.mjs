// SPDX-License-Identifier: GPL-2.0
/* node page.mjs BASE LOADS: from the beginning of the navigation to the paint of the first number, by the browser's
 * own clock (Element Timing), each time with nothing cached. A line of JSON: {"view": [ms …]}. */
import { browser } from '../browser/harness.mjs';

const [base, loads] = process.argv.slice(2);
const b = await browser(),
	got = {};

async function load(hash) {
	const context = await b.newContext({ viewport: { width: 1280, height: 900 } });
	const page = await context.newPage();
	await page.goto(`${base}/${hash}`, { waitUntil: 'commit' });
	const ms = await page.evaluate(
		() =>
			new Promise((resolve) => {
				new PerformanceObserver((list) => {
					for (const entry of list.getEntries())
						if (entry.identifier === 'data' && /\d/.test(entry.element?.textContent)) resolve(entry.renderTime);
				}).observe({ type: 'element', buffered: true });
			}),
	);
	await context.close();
	return ms;
}

const views = { functions: '#/?since=all&as=aws-lambda', function: '#/f/thumb?since=all&as=aws-lambda' };
await load(views.functions); /* the browser's own first time */
for (let i = 0; i < Number(loads); i++)
	for (const [name, hash] of Object.entries(views)) (got[name] ??= []).push(await load(hash));
console.log(JSON.stringify(got));
await b.close();
