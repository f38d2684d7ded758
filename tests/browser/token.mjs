// SPDX-License-Identifier: GPL-2.0
/* The page of an agent that wants a token: node token.mjs BASE TOKEN. */
import { brokeOff, browser, check, done, open, same } from './harness.mjs';

const [base, token] = process.argv.slice(2);
const b = await browser();
let opened;
try {
	opened = await open(b, base);
	const { page, said } = opened;
	await page.goto(`${base}/#/?since=all&as=aws-lambda`);
	const field = page.getByLabel('Token');
	await field.waitFor();
	check(
		'without the token: the page asks for it, and says where it is',
		await page.getByText('token file').isVisible(),
	);
	check(
		'its field has the focus, and hides what is entered',
		await field.evaluate((e) => e === document.activeElement && e.type === 'password'),
	);
	await field.fill(`${token}x`);
	await page.keyboard.press('Enter');
	await page.waitForFunction(() => document.querySelector('#token')?.value === '');
	check('a wrong one: it asks again', await field.isVisible());
	await field.fill(token);
	await page.keyboard.press('Enter');
	await page.locator('tr[data-function="thumb"]').waitFor();
	await page.locator('#live[data-state="live"]').waitFor();
	check('the right one: the functions, and live', true);
	check(
		'the token is in no address',
		said.asked.every((url) => !url.includes(token)),
		said.asked,
	);
	const other = await open(b, base);
	await other.page.goto(`${base}/`);
	await other.page.getByLabel('Token').waitFor();
	check('another browser is asked for it, too', true);
	same('nothing is asked of anybody else', said.outside, []);
} catch (error) {
	await brokeOff(error, [opened]);
}
await b.close();
done();
