/* Before the first paint: the colours chosen last time. No choice is the system's. */
try {
	const chosen = localStorage.getItem('oncpu.theme');
	if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
} catch {
	/* storage is forbidden: the system's colours */
}
