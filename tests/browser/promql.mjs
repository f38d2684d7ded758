// SPDX-License-Identifier: GPL-2.0
/* Lines of PromQL on standard input → a line of JSON each: {"metrics":[…],"error":null | "where"}. By the grammar
 * of Prometheus's own editor, so that a misspelt metric is found even where an `or` hides it. */
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.cwd()}/build/browser/`);
const { parser } = require('@prometheus-io/lezer-promql');

for await (const line of createInterface({ input: process.stdin })) {
	const query = JSON.parse(line),
		metrics = new Set();
	let error = null;
	parser.parse(query).iterate({
		enter(node) {
			if (node.type.isError) error ??= `at ${node.from}: ${query.slice(node.from, node.from + 20) || 'its end'}`;
			if (node.name === 'VectorSelector') {
				const name = node.node.getChild('Identifier');
				if (name) metrics.add(query.slice(name.from, name.to));
				else error ??= `at ${node.from}: a selector without a metric`;
			}
		},
	});
	console.log(JSON.stringify({ metrics: [...metrics], error }));
}
