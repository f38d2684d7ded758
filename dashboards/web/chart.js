/*
 * The two charts, on uPlot: bars of where wall time went, and a histogram. uPlot has the axes, the scales
 * and the pointer; the marks are drawn here, in the page's own colours, which come from its style sheet.
 */
import { count, moment, round } from './format.js';
import { logEdge } from './bins.js';
import uPlot from './uplot.esm.js';

/* As they are now: a canvas cannot choose between light and dark, an element can. */
const probe = document.createElement('i');
probe.hidden = true;
document.body.append(probe);

function colours() {
	const style = getComputedStyle(probe);
	return (name) => {
		probe.style.color = `var(--${name})`;
		return style.color;
	};
}

/* Frozen is hatched: it is time, and nothing happened in it. */
function paint(context, tone, colour, ratio) {
	if (tone !== 'frozen') return colour(`tone-${tone}`);
	const size = Math.round(6 * ratio),
		tile = document.createElement('canvas');
	tile.width = tile.height = size;
	const c = tile.getContext('2d');
	c.fillStyle = colour('tone-frozen');
	c.fillRect(0, 0, size, size);
	c.strokeStyle = colour('tone-frozen-line');
	c.lineWidth = ratio;
	c.beginPath();
	for (const o of [-size, 0, size]) {
		c.moveTo(o, size);
		c.lineTo(o + size, 0);
	}
	c.stroke();
	return context.createPattern(tile, 'repeat');
}

const FONT = '12px system-ui, sans-serif';

function axis(colour, more) {
	return {
		stroke: colour('ink-2'),
		font: FONT,
		labelFont: FONT,
		grid: { stroke: colour('line'), width: 1 },
		ticks: { show: false },
		...more,
	};
}

function base(host, height, more) {
	return {
		width: Math.max(200, host.clientWidth),
		height,
		pxAlign: 1,
		legend: { show: false },
		cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, focus: { prox: -1 } },
		padding: [10, 20, 0, 0],
		...more,
	};
}

/* Follows its host's width and the colours; returns what takes it away. */
function attach(host, plot, height, redraw) {
	const observer = new ResizeObserver(() => {
		const width = Math.max(200, host.clientWidth);
		if (width !== plot.width) plot.setSize({ width, height });
	});
	observer.observe(host);
	const onTheme = () => redraw();
	document.addEventListener('oncpu-theme', onTheme);
	return () => {
		observer.disconnect();
		document.removeEventListener('oncpu-theme', onTheme);
		plot.destroy();
	};
}

/*
 * Stacked bars. model(): { step, bins, tones, each } with bins as bins.js makes them; each: divided by the
 * bin's count. on.hover(i | null), on.choose(i).
 */
export function stackedBars(host, model, on) {
	const height = 260;
	let plot,
		stop,
		chosen = null;

	function value(bin, p) {
		const m = model();
		return m.each && bin.count ? bin.parts[p] / bin.count : bin.parts[p];
	}
	function data() {
		const { bins, step } = model();
		return [bins.map((b) => (b.t + step / 2) / 1000), bins.map((b) => b.parts.reduce((s, _, p) => s + value(b, p), 0))];
	}
	function draw(u, colour) {
		const { bins, step, tones } = model(),
			c = u.ctx,
			ratio = devicePixelRatio;
		const paints = tones.map((t) => paint(c, t, colour, ratio));
		const at = (ms) => u.valToPos(ms / 1000, 'x', true),
			y = (v) => u.valToPos(v, 'y', true);
		const floor = y(0);
		c.save();
		c.beginPath();
		c.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
		c.clip();
		bins.forEach((bin, i) => {
			let left = Math.round(at(bin.t)),
				right = Math.round(at(bin.t + step)),
				sum = 0,
				low = floor;
			const gap = right - left >= 4 * ratio ? ratio : 0;
			right = Math.max(left + 1, right - gap);
			if (i === chosen) {
				c.fillStyle = colour('chosen');
				c.fillRect(left, u.bbox.top, right - left, u.bbox.height);
			}
			for (let p = 0; p < tones.length; p++) {
				const v = value(bin, p);
				if (!v) continue;
				sum += v;
				const high = y(sum);
				c.fillStyle = paints[p];
				/* what there is is seen, be it a pixel */
				c.fillRect(left, Math.min(high, low - (p === 0 ? 1 : 0)), right - left, Math.max(low - high, p === 0 ? 1 : 0));
				low = high;
			}
			if (bin.cold) {
				/* a small mark on the upper edge */
				const x = (left + right) / 2,
					r = 4 * ratio;
				c.fillStyle = colour('ink-2');
				c.beginPath();
				c.moveTo(x - r, u.bbox.top);
				c.lineTo(x + r, u.bbox.top);
				c.lineTo(x, u.bbox.top + 1.5 * r);
				c.fill();
			}
		});
		c.restore();
	}
	function make() {
		const colour = colours();
		host.replaceChildren();
		plot = new uPlot(
			base(host, height, {
				scales: {
					x: {
						time: true,
						range: () => {
							const { bins, step } = model();
							return [bins[0].t / 1000, (bins[bins.length - 1].t + step) / 1000];
						},
					},
					y: { range: (_, __, max) => [0, max > 0 ? max * 1.06 : 1] },
				},
				series: [{}, { paths: () => null, points: { show: false } }],
				axes: [
					axis(colour, {
						space: 70,
						size: 28,
						values: (_, ticks, __, ___, incr) => ticks.map((s) => moment(s * 1000, incr * 1000)),
					}),
					axis(colour, { size: 70, space: 40, incrs: durationSteps(), values: (_, ticks) => ticks.map(round) }),
				],
				hooks: {
					draw: [(u) => draw(u, colour)],
					setCursor: [(u) => on.hover(u.cursor.left >= 0 ? (u.cursor.idx ?? null) : null)],
				},
			}),
			data(),
			host,
		);
		plot.over.addEventListener('click', () => {
			if (plot.cursor.idx !== null && plot.cursor.idx !== undefined) on.choose(plot.cursor.idx);
		});
		stop = attach(host, plot, height, () => {
			stop();
			make();
		});
	}
	make();
	return {
		update: () => plot.setData(data()),
		choose(i) {
			chosen = i;
			plot.redraw(false);
		},
		destroy: () => stop(),
	};
}

function durationSteps() {
	const steps = [];
	for (let power = 1; power < 1e15; power *= 10) steps.push(power, 2 * power, 5 * power);
	return steps;
}

const outline = (colour) => colour('ink-2');

/* Two counts over the same logarithmic bins: the first filled, the second as a line. */
export function histogramChart(host, model, on) {
	const height = 200;
	let plot, stop;

	function data() {
		const { first, counts } = model();
		return [counts[0].map((_, i) => (first + i + 0.5) / 10), ...counts];
	}
	function draw(u, colour) {
		const { first, counts } = model(),
			c = u.ctx,
			ratio = devicePixelRatio;
		const x = (i) => Math.round(u.valToPos((first + i) / 10, 'x', true)),
			y = (v) => u.valToPos(v, 'y', true),
			floor = y(0);
		c.save();
		c.fillStyle = colour('tone-running');
		counts[0].forEach((n, i) => {
			if (n)
				c.fillRect(
					x(i),
					Math.min(y(n), floor - ratio),
					Math.max(1, x(i + 1) - x(i) - ratio),
					Math.max(floor - y(n), ratio),
				);
		});
		c.strokeStyle = outline(colour);
		c.lineWidth = 2 * ratio;
		c.lineJoin = 'miter';
		c.beginPath();
		c.moveTo(x(0), floor);
		counts[1].forEach((n, i) => {
			c.lineTo(x(i), y(n));
			c.lineTo(x(i + 1), y(n));
		});
		c.lineTo(x(counts[1].length), floor);
		c.stroke();
		c.restore();
	}
	function make() {
		const colour = colours();
		host.replaceChildren();
		plot = new uPlot(
			base(host, height, {
				scales: {
					x: {
						time: false,
						range: () => {
							const { first, counts } = model();
							return [(first - 0.5) / 10, (first + counts[0].length + 0.5) / 10];
						},
					},
					y: { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] },
				},
				series: [{}, ...model().counts.map(() => ({ paths: () => null, points: { show: false } }))],
				axes: [
					axis(colour, {
						size: 28,
						space: 56,
						incrs: [0.1, 0.5, 1, 2, 3],
						values: (_, ticks) => ticks.map((t) => round(Math.round(10 ** t))),
						splits: (u, __, min, max) => wholeDecades(min, max, u.width),
					}),
					axis(colour, {
						size: 56,
						space: 34,
						incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5],
						values: (_, ticks) => ticks.map(count),
					}),
				],
				hooks: {
					draw: [(u) => draw(u, colour)],
					setCursor: [(u) => on.hover(u.cursor.left >= 0 ? (u.cursor.idx ?? null) : null)],
				},
			}),
			data(),
			host,
		);
		stop = attach(host, plot, height, () => {
			stop();
			make();
		});
	}
	make();
	return { update: () => plot.setData(data()), destroy: () => stop() };
}

/* 1, 10, 100 of each unit; with 2 and 5 where there is room. */
function wholeDecades(min, max, width) {
	const fine = (max - min) * 3 * 64 < width,
		ticks = [];
	for (let d = Math.floor(min); d <= max; d++)
		for (const m of fine ? [1, 2, 5] : [1]) {
			const t = d + Math.log10(m);
			if (t >= min && t <= max) ticks.push(t);
		}
	return ticks;
}

export function binWords(first, i) {
	return `${round(Math.ceil(logEdge(first + i) - 1e-6))} to ${round(Math.ceil(logEdge(first + i + 1) - 1e-6))}`;
}
