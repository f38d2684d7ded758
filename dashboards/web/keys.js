/* Keyboard shortcuts, and the list of them. Single keys act only where no text is being entered. */
import { h, replace } from './dom.js';

const typing = (node) => node instanceof Element && node.closest('input, select, textarea, [contenteditable]');

export function handle(event, keys) {
	if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
	if (document.querySelector('dialog[open]')) return;
	if (typing(event.target)) {
		if (event.key === 'Escape') event.target.blur();
		return;
	}
	const found = keys.find(([key, , act]) => act && key === event.key);
	if (!found) return;
	event.preventDefault();
	found[2]();
}

export function shortcuts(dialog, keys) {
	replace(
		dialog,
		h(
			'form',
			{ method: 'dialog' },
			h('h2', { id: 'keys-title' }, 'Keyboard'),
			h(
				'dl',
				{ class: 'keys' },
				keys.map(([key, words]) =>
					h(
						'div',
						null,
						h(
							'dt',
							null,
							key.split(' ').map((k) => [h('kbd', null, k), ' ']),
						),
						h('dd', null, words),
					),
				),
			),
			h('p', null, h('button', { class: 'button', autofocus: true }, 'Close')),
		),
	);
	dialog.showModal();
}
