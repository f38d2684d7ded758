/* What is said of the record's fields, in one place. The flags' own sentences come from the agent. */

/* Where wall time goes: the record's `where`, in the order in which it is stacked. */
export const PARTS = [
	{ key: 'running_ns', name: 'running', tone: 'running', help: 'at least one thread was on a CPU' },
	{ key: 'run_queue_ns', name: 'run queue', tone: 'queue', help: 'ready, but no CPU was free' },
	{ key: 'throttled_ns', name: 'throttled', tone: 'throttled', help: 'ready, but its CPU quota was used up' },
	{ key: 'blocked_io_ns', name: 'blocked on I/O', tone: 'io', help: 'waiting for a disk or the like' },
	{ key: 'idle_ns', name: 'idle', tone: 'idle', help: 'waiting for an answer, a timer or a lock' },
	{ key: 'frozen_ns', name: 'frozen', tone: 'frozen', help: 'stopped by the host' },
	{ key: 'waiting_ns', name: 'waiting', tone: 'idle', help: 'not on a CPU; this record does not say why' },
];

/* A record's wall time by PARTS. Where it was not measured: on a CPU, and the rest; of one that was frozen on
 * its own wish the stretches awake are known even so. */
export function whereOf(record) {
	const w = record.where;
	if (w) return [w.running_ns, w.run_queue_ns, w.throttled_ns, w.blocked_io_ns, w.idle_ns, w.frozen_ns, 0];
	const awake = record.segments?.length ? record.segments.reduce((s, x) => s + x.wall_ns, 0) : record.wall_ns;
	const frozen = Math.max(0, record.wall_ns - awake);
	const running = Math.max(0, Math.min(record.cpu_ns, record.wall_ns - frozen));
	return [running, 0, 0, 0, 0, frozen, record.wall_ns - frozen - running];
}

/* What a record keeps of a policy's bill; null: nothing. */
export const billedNs = (record, policy) => {
	const b = record.billed?.[policy];
	return b === undefined ? null : (b.billed_ns ?? b.billed_ms * 1000000);
};

export const STATUS = {
	ok: 'answered',
	error: 'the function reported an error',
	timeout: 'ended by the host: its time was up',
	crashed: 'its process ended in the middle',
	suspended: 'suspended by itself: its caller has an answer, a later trigger goes on',
};

/* Parts of what was billed and not used, by the API's names; in this order and these colours. */
const WASTE = {
	waiting_ns: ['waiting', 'idle', 'until the answer: nothing of it on a CPU'],
	rounding_ns: ['rounding', 'queue', 'up to the next billing unit, or to the minimum'],
	init_ns: ['cold starts', 'io', 'initialisation that is billed'],
	after_response_ns: ['after the response', 'throttled', 'waiting that goes on after the answer'],
	between_ns: ['between invocations', 'frozen', 'an instance kept for the next trigger'],
};

/* Less than nothing: used, and not billed. */
const UNBILLED = {
	waiting_ns: 'threads ran at once: more was used than passed',
	after_response_ns: 'used after the answer, and not billed',
};

/* [name, tone, what it means] */
export function wasteWords(key, value) {
	const [name, tone, help] = WASTE[key] ?? [key.replace(/_ns$/, '').replaceAll('_', ' '), 'wall', ''];
	return [name, tone, Number(value) < 0 ? (UNBILLED[key] ?? 'used, and not billed') : help];
}

const BASIS = { wall: 'wall time', cpu: 'CPU time', life: 'life of the instance', floor: 'reserved or used CPU' };
export function basisWords(basis) {
	return BASIS[basis] ?? String(basis ?? '').replaceAll('_', ' ');
}

export function plural(n, one, many = `${one}s`) {
	return n === 1 ? one : many;
}
