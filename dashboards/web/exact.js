/*
 * Whole numbers without loss. JSON.parse() makes doubles: beyond 2^53 an integer would change. Here it
 * becomes a BigInt, whole; all others stay numbers. Pure.
 */

/* Strings are matched whole, so that digits inside them stay what they are. A long run of digits as a
 * part of a fraction or an exponent is no integer, and is left alone. */
const LONG = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MARK = '\u0000int';

function revive(key, value) {
	return value !== null && typeof value === 'object' && MARK in value ? BigInt(value[MARK]) : value;
}

export function parse(text) {
	if (!/\d{16}/.test(text)) return JSON.parse(text);
	let found = false;
	const marked = text.replace(LONG, (token) => {
		if (token[0] === '"' || !/^-?\d{16,}$/.test(token) || Number.isSafeInteger(Number(token))) return token;
		found = true;
		return `{"\\u0000int":"${token}"}`;
	});
	return found ? JSON.parse(marked, revive) : JSON.parse(text);
}

/* a + b, exactly; a number while that is exact. */
export function add(a, b) {
	if (typeof a === 'number' && typeof b === 'number') {
		const sum = a + b;
		if (Number.isSafeInteger(sum)) return sum;
	}
	return narrow(BigInt(a) + BigInt(b));
}

export function sum(values) {
	return values.reduce(add, 0);
}

/* How much `part` is of `whole`, for a bar's length: 0 to 1. A double: it becomes pixels. */
export function share(part, whole) {
	const p = Number(part),
		w = Number(whole);
	return w > 0 && p > 0 ? Math.min(1, p / w) : 0;
}

export function narrow(big) {
	const number = Number(big);
	return Number.isSafeInteger(number) ? number : big;
}

/* value / unit, to the nearest, halves up. BigInt in, BigInt out; unit > 0. */
export function divide(value, unit) {
	const half = 2n * value + unit,
		twice = 2n * unit;
	return half >= 0n || half % twice === 0n ? half / twice : half / twice - 1n;
}
