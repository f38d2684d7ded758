// SPDX-License-Identifier: GPL-2.0
/* The page of an invocation that was frozen on its own wish: node frozen.mjs BASE FUNCTION. */
import { brokeOff, browser, check, done, lines, misprinted, numbers, open, overflow, same, visit } from './harness.mjs';

const [base, name] = process.argv.slice(2);
const b = await browser();
let opened;
try {
	opened = await open(b, base);
	const { page, said } = opened;
	const record = (await lines(base, `/v1/invocations?function=${name}`)).find((r) => r.segments.length > 1);
	const awake = record.segments.map((s) => s.wall_ns),
		frozen = record.wall_ns - awake.reduce((x, y) => x + y);
	await visit(page, base, `#/i/${encodeURIComponent(record.record_id)}`);
	const lane = page.locator('.lane[aria-label^="Awake and frozen"]');
	same(
		'frozen: awake and frozen by turns, as the record has them',
		await lane
			.locator('.block')
			.evaluateAll((all) => all.map((e) => Number(e.title.match(/wall ([\d,]+)/)[1].replaceAll(',', '')))),
		[awake[0], frozen, awake[1]],
	);
	const [whole, widths] = await lane.evaluate((l) => [
		l.getBoundingClientRect().width,
		[...l.children].map((e) => e.getBoundingClientRect().width),
	]);
	check(
		'frozen: drawn as long as it was',
		[awake[0], frozen, awake[1]].every((ns, i) => Math.abs(widths[i] / whole - ns / record.wall_ns) < 0.02),
		{ whole, widths, record },
	);
	const got = await numbers(page.locator('.where'));
	same('frozen: the part of the wall time', got['where.frozen_ns'], [`${record.where?.frozen_ns ?? frozen}`]);
	check('frozen: that was most of it', frozen > record.wall_ns / 2, record);
	same(
		'frozen: all parts add up',
		Object.entries(got).reduce((sum, [key, [v]]) => (key === 'where.wall_ns' ? sum : sum + Number(v)), 0),
		record.wall_ns,
	);
	same('frozen: each freeze is counted', (await numbers(page.locator('.facts')))['freeze.count'], [
		`${record.freeze.count}`,
	]);
	same("frozen: what is shown is the number's own text", await misprinted(page), []);
	same('frozen: nothing sticks out', await overflow(page), 0);
	same('frozen: no word of the console', said.errors, []);
} catch (error) {
	await brokeOff(error, [opened]);
}
await b.close();
done();
