/* Exact integers as text: the only place that rounds, and only what is shown. Pure. */
import { divide } from './exact.js';

const NONE = '–';
const UNITS = [
	[1000000000n, 's'],
	[1000000n, 'ms'],
	[1000n, 'µs'],
];

export function grouped(integer) {
	return String(integer).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

/* value / unit with so many decimals. */
function decimal(value, unit, decimals) {
	const scale = 10n ** BigInt(decimals),
		units = divide(value * scale, unit);
	const whole = grouped(units / scale);
	return decimals ? `${whole}.${String(units % scale).padStart(decimals, '0')}` : whole;
}

/* Four digits of a value that is unit or more, without losing whole ones. */
function four(value, unit) {
	for (let decimals = 3; decimals > 0; decimals--)
		if (divide(value * 10n ** BigInt(decimals), unit) < 10000n) return decimal(value, unit, decimals);
	return decimal(value, unit, 0);
}

/* 3.471 ms: as oncpu's own tables have it, but for long times, which are cut to four digits here. */
export function duration(ns) {
	if (ns === null || ns === undefined) return NONE;
	const big = BigInt(ns),
		v = big < 0n ? -big : big,
		sign = big < 0n ? '−' : '';
	if (v === 0n) return '0';
	if (v < 1000n) return `${sign}${v} ns`;
	if (v >= 36000000000000n) return `${sign}${four(v, 3600000000000n)} h`;
	for (const [unit, name] of UNITS)
		if (v >= unit - unit / 20000n)
			/* what rounds up to the next unit is written in it */
			return `${sign}${four(v, unit)} ${name}`;
	return NONE;
}

/* A round duration, at an axis or in a rule: 1 ms, 2.5 s. */
export function round(ns) {
	return duration(ns)
		.replace(/(\.\d*?)0+(?= )/, '$1')
		.replace(/\.(?= )/, '');
}

export function exactNs(ns) {
	return ns === null || ns === undefined ? 'not known' : `${grouped(ns).replace('-', '−')} ns`;
}

export function count(n) {
	return n === null || n === undefined ? NONE : grouped(n);
}

/* 2.80×; b = 0: nothing to compare with. */
export function ratio(a, b) {
	if (!b || BigInt(b) <= 0n) return NONE;
	return `${decimal(BigInt(a), BigInt(b), 2)}×`;
}

export function percent(part, whole) {
	if (!whole || BigInt(whole) <= 0n) return NONE;
	const tenths = divide(BigInt(part) * 1000n, BigInt(whole));
	if (tenths === 0n && BigInt(part) > 0n) return '< 0.1 %';
	const t = tenths < 0n ? -tenths : tenths;
	return `${tenths < 0n ? '−' : ''}${t / 10n}.${t % 10n} %`;
}

export function bytes(n) {
	if (n === null || n === undefined) return NONE;
	const b = BigInt(n);
	if (b >= 1n << 30n) return `${four(b, 1n << 30n)} GiB`;
	return b >= 1n << 20n ? `${four(b, 1n << 20n)} MiB` : b >= 1024n ? `${four(b, 1024n)} KiB` : `${b} B`;
}

const SIGNS = { USD: '$', EUR: '€', GBP: '£' };

/* Money in 10⁻¹² of a unit: 3 significant digits below 1, 2 decimals above. */
export function money(e12, currency) {
	if (e12 === null || e12 === undefined) return NONE;
	const big = BigInt(e12),
		v = big < 0n ? -big : big,
		unit = 10n ** 12n;
	let decimals = 2;
	if (v === 0n) decimals = 0;
	else while (decimals < 12 && divide(v * 10n ** BigInt(decimals), unit) < 100n) decimals++;
	const text = decimal(v, unit, decimals);
	const sign = big < 0n ? '−' : '';
	return SIGNS[currency] ? `${sign}${SIGNS[currency]}${text}` : `${sign}${text} ${currency ?? ''}`.trim();
}

export function exactMoney(e12, currency) {
	return e12 === null || e12 === undefined ? 'not known' : `${grouped(e12)} × 10⁻¹² ${currency ?? ''}`.trim();
}

const pad = (n, digits) => String(n).padStart(digits, '0');

/* RFC 3339 with nanoseconds → the reader's own time, with milliseconds. */
export function clock(iso) {
	const d = new Date(iso);
	return `${pad(d.getHours(), 2)}:${pad(d.getMinutes(), 2)}:${pad(d.getSeconds(), 2)}.${pad(d.getMilliseconds(), 3)}`;
}

export function day(iso) {
	const d = new Date(iso);
	return `${d.getFullYear()}-${pad(d.getMonth() + 1, 2)}-${pad(d.getDate(), 2)}`;
}

/* A bin's beginning, as fine as its width asks for. */
export function moment(ms, width) {
	const d = new Date(ms);
	const hm = `${pad(d.getHours(), 2)}:${pad(d.getMinutes(), 2)}`;
	if (width >= 86400000) return day(ms);
	if (width >= 60000) return Date.now() - ms > 86400000 ? `${day(ms).slice(5)} ${hm}` : hm;
	return width >= 1000 ? `${hm}:${pad(d.getSeconds(), 2)}` : clock(ms);
}

/* A whole number of ms as a span: 5 s, 15 min, 1 h. */
export function span(ms) {
	for (const [unit, name] of [
		[86400000, 'd'],
		[3600000, 'h'],
		[60000, 'min'],
		[1000, 's'],
	])
		if (ms >= unit && ms % unit === 0) return `${ms / unit} ${name}`;
	return `${ms} ms`;
}

export function ago(iso, now = Date.now()) {
	const s = Math.max(0, Math.floor((now - Date.parse(iso)) / 1000));
	if (s < 2) return 'now';
	if (s < 120) return `${s} s ago`;
	if (s < 7200) return `${Math.floor(s / 60)} min ago`;
	return s < 172800 ? `${Math.floor(s / 3600)} h ago` : `${Math.floor(s / 86400)} days ago`;
}

/* A text from outside, with what cannot be seen made visible: shown as text only, never as markup. */
export function visible(text) {
	return String(text).replace(
		/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
		(c) => {
			const code = c.charCodeAt(0);
			return code < 32 ? String.fromCharCode(0x2400 + code) : `\\u${pad(code.toString(16), 4)}`;
		},
	);
}
