// SPDX-License-Identifier: GPL-2.0
/* Shared by the tests in a browser: TAP, Debian's Chromium, the agent's API as the truth, and numbers as text
 * by arithmetic of its own. */
import { createRequire } from 'node:module';

const require = createRequire(`${process.cwd()}/build/browser/`);
const { chromium } = require('playwright-core');

let number = 0,
	failures = 0;
export function check(what, ok, saw) {
	number++;
	failures += !ok;
	console.log(`${ok ? 'ok' : 'not ok'} ${number} - ${what}`);
	if (!ok)
		console.log(
			`# saw: ${(typeof saw === 'string' ? saw : (JSON.stringify(saw, (k, v) => (typeof v === 'bigint' ? `${v}` : v)) ?? '')).slice(0, 1500)}`,
		);
}
export function same(what, a, b) {
	const text = (x) => JSON.stringify(x, (k, v) => (typeof v === 'bigint' ? `${v}` : v));
	check(what, text(a) === text(b), { page: a, api: b });
}
export function done() {
	console.log(`1..${number}`);
	process.exit(failures ? 1 : 0);
}

export async function browser() {
	return chromium.launch({
		executablePath: '/usr/bin/chromium',
		headless: true,
		timeout: 90000,
		args: [
			'--no-sandbox',
			'--disable-gpu',
			'--disable-quic',
			'--no-first-run',
			'--disable-background-networking',
			'--disable-component-update',
			'--disable-sync',
		],
	});
}

/* A page of its own, with all that it complains of and asks for. */
export async function open(b, base, options = {}) {
	const context = await b.newContext({ viewport: { width: 1280, height: 900 }, ...options });
	const page = await context.newPage();
	page.setDefaultTimeout(60000); // of a machine that others are busy on, too
	const said = { errors: [], outside: [], asked: [] };
	page.on('console', (m) => ['error', 'warning'].includes(m.type()) && said.errors.push(m.text()));
	page.on('pageerror', (e) => said.errors.push(String(e)));
	page.on('request', (r) => {
		said.asked.push(r.url());
		if (new URL(r.url()).origin !== base) said.outside.push(r.url());
	});
	return { page, context, said };
}

/* What stands there where a test broke off, and what the browser said. */
export async function brokeOff(error, opened) {
	check('the test runs to its end', false, error.stack);
	for (const { page, said } of opened.filter(Boolean)) {
		const text = await page.evaluate(() => document.body.innerText).catch((e) => String(e));
		console.log(`# ${page.url()}: ${JSON.stringify(text).slice(0, 1500)}`);
		console.log(`# console: ${JSON.stringify(said.errors)}, asked: ${JSON.stringify(said.asked.slice(-12))}`);
	}
}

export async function lines(base, path) {
	const text = await (await fetch(base + path)).text();
	return text
		.split('\n')
		.filter(Boolean)
		.map((l) => JSON.parse(l));
}
export const object = async (base, path) => (await fetch(base + path)).json();

/* 4 digits in the unit that fits, as oncpu's own tables have it: by scaled integers, halves up. */
export function duration(ns) {
	const v = BigInt(ns);
	if (v < 0n) return `−${duration(-v)}`;
	if (v < 1000n) return v === 0n ? '0' : `${v} ns`;
	for (const [unit, name] of [
		[10n ** 3n, 'µs'],
		[10n ** 6n, 'ms'],
		[10n ** 9n, 's'],
	])
		for (const decimals of [3n, 2n, 1n, ...(name === 's' ? [0n] : [])]) {
			const scaled = (v * 10n ** decimals + unit / 2n) / unit;
			if (scaled < 10000n || (name === 's' && decimals === 0n)) {
				const text = String(scaled).padStart(Number(decimals) + 1, '0'),
					cut = text.length - Number(decimals);
				return `${text.slice(0, cut)}${decimals ? '.' : ''}${text.slice(cut)} ${name}`;
			}
		}
	throw new Error('unreachable');
}

/* What a place of the page says: { name: [value …] } of its numbers. */
export const numbers = (locator) =>
	locator.locator('data[data-name]').evaluateAll((all) => {
		const got = {};
		for (const d of all) (got[d.dataset.name] ??= []).push(d.value);
		return got;
	});

/* Each shown duration is its own value's text. Returns those that are not. */
export async function misprinted(page) {
	const shown = await page
		.locator('data[title$=" ns"]')
		.evaluateAll((all) => all.map((d) => [d.value, d.textContent, d.title]));
	return shown
		.filter(
			([value, text, title]) =>
				text !== duration(value) || title.replace('−', '-') !== `${value.replace(/\B(?=(\d{3})+(?!\d))/g, ',')} ns`,
		)
		.concat(shown.length ? [] : [['nothing is shown']]);
}

export async function overflow(page) {
	return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/* Goes there and waits until that, and nothing of before, is shown. */
export async function visit(page, base, hash) {
	await page.goto(`${base}/${hash}`);
	await page.waitForFunction(
		(wanted) => document.querySelector('main').dataset.shown === wanted,
		new URL(`${base}/${hash}`).hash,
	);
}
