/*
 * Where the page is: all of it stands in the address's hash, so that a link says the same to everybody.
 *   #/            the functions      ?since=1h&as=aws-lambda
 *   #/f/NAME      one function
 *   #/i/RECORD    one invocation
 */
export const RANGES = [
	['15m', '15 min'],
	['1h', '1 h'],
	['24h', '24 h'],
	['7d', '7 d'],
	['all', 'all'],
];
const MS = { m: 60000, h: 3600000, d: 86400000 };

function remembered(name, fallback) {
	try {
		return localStorage.getItem(`oncpu.${name}`) ?? fallback;
	} catch {
		return fallback;
	}
}

export function remember(name, value) {
	try {
		if (value === null) localStorage.removeItem(`oncpu.${name}`);
		else localStorage.setItem(`oncpu.${name}`, value);
	} catch {
		/* storage is forbidden: forgotten with the tab */
	}
}

export function where(hash = location.hash) {
	const [path, search = ''] = hash.replace(/^#\/?/, '').split('?');
	const q = new URLSearchParams(search);
	const [kind, ...rest] = path.split('/');
	let name = '';
	try {
		name = decodeURIComponent(rest.join('/'));
	} catch {
		/* no such name */
	}
	const since = RANGES.some(([r]) => r === q.get('since')) ? q.get('since') : remembered('since', '1h');
	return {
		view: kind === 'f' && name ? 'function' : kind === 'i' && name ? 'invocation' : 'fleet',
		name,
		since: RANGES.some(([r]) => r === since) ? since : '1h',
		as: q.get('as') || remembered('as', null) /* null: the host's own policy */,
	};
}

export function link(view, name, at) {
	const path = view === 'fleet' ? '' : `${view === 'function' ? 'f' : 'i'}/${encodeURIComponent(name)}`;
	return `#/${path}?${new URLSearchParams({ since: at.since, ...(at.as ? { as: at.as } : {}) })}`;
}

/* Milliseconds of a range; Infinity for all. */
export function rangeMs(since) {
	return since === 'all' ? Infinity : Number(since.slice(0, -1)) * MS[since.slice(-1)];
}

/* As the API takes it; null = since ever. */
export function sinceParameter(since) {
	return since === 'all' ? null : since.endsWith('d') ? `${Number(since.slice(0, -1)) * 24}h` : since;
}
