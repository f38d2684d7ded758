/*
 * Many invocations as few numbers: bins of time, a histogram, quantiles. Sums are of whole nanoseconds and
 * exact up to 2^53 (104 days in one bin). Pure.
 */
const STEPS = [
	1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000, 900000,
	1800000, 3600000, 7200000, 10800000, 21600000, 43200000, 86400000, 172800000, 604800000,
];

/* The smallest step that needs no more than `most` bins. */
export function stepFor(spanMs, most) {
	return STEPS.find((s) => spanMs / s <= most) ?? Math.ceil(spanMs / most / 604800000) * 604800000;
}

/*
 * rows: { t (ms), parts: [ns …], cold, bad }, any order. Bins of one step from `from` to `to` (ms), aligned
 * to the step. Each: { t, count, cold, bad, wall, parts }.
 */
export function timeBins(rows, from, to, most, partCount) {
	const step = stepFor(Math.max(1, to - from), most);
	const first = Math.floor(from / step),
		last = Math.max(first, Math.floor(to / step));
	const bins = Array.from({ length: last - first + 1 }, (_, i) => ({
		t: (first + i) * step,
		count: 0,
		cold: 0,
		bad: 0,
		wall: 0,
		parts: new Array(partCount).fill(0),
	}));
	for (const row of rows) {
		const bin = bins[Math.floor(row.t / step) - first];
		if (!bin) continue;
		bin.count++;
		bin.cold += row.cold;
		bin.bad += row.bad;
		for (let p = 0; p < partCount; p++) {
			bin.parts[p] += row.parts[p];
			bin.wall += row.parts[p];
		}
	}
	return { step, bins };
}

/* Ten bins a decade, so that microseconds and minutes stand on one axis. */
const PER_DECADE = 10;
export const logBin = (ns) => Math.floor(Math.log10(Math.max(1, ns)) * PER_DECADE + 1e-9);
export const logEdge = (bin) => 10 ** (bin / PER_DECADE);

/* columns: arrays of ns. Counts of each over the same bins: { first, counts: [[…] …] }. */
export function histogram(columns) {
	let first = Infinity,
		last = -Infinity;
	const found = columns.map((values) => {
		const counts = new Map();
		for (const v of values) {
			const b = logBin(v);
			counts.set(b, (counts.get(b) ?? 0) + 1);
			first = Math.min(first, b);
			last = Math.max(last, b);
		}
		return counts;
	});
	if (first > last) return { first: 0, counts: columns.map(() => []) };
	return { first, counts: found.map((c) => Array.from({ length: last - first + 1 }, (_, i) => c.get(first + i) ?? 0)) };
}

/* The value that a share q of them does not exceed (nearest rank); null of none. */
export function quantiles(values, shares) {
	const sorted = Float64Array.from(values).sort();
	return shares.map((q) => (sorted.length ? sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] : null));
}
