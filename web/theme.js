// SPDX-License-Identifier: Apache-2.0
// Light or dark: as the system has it, until somebody says otherwise.

const KEY = "tally-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set();

/* Reports opened from disk, and private windows, may have no storage. */
function remembered() {
	try {
		return localStorage.getItem(KEY);
	} catch {
		return null;
	}
}

function remember(theme) {
	try {
		if (theme) localStorage.setItem(KEY, theme);
		else localStorage.removeItem(KEY);
	} catch {
		// It is in force for this page, then.
	}
}

export function isDark() {
	const chosen = document.documentElement.dataset.theme;
	return chosen ? chosen === "dark" : dark.matches;
}

function tell() {
	for (const listener of listeners) listener();
}

/** Call when the colours have changed. */
export function onTheme(listener) {
	listeners.add(listener);
}

/** Make a button switch between light and dark. */
export function startTheme(button) {
	const label = () => {
		button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
		button.dataset.shows = isDark() ? "sun" : "moon";
	};
	const chosen = remembered();

	if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
	button.addEventListener("click", () => {
		const next = isDark() ? "light" : "dark";
		const system = dark.matches ? "dark" : "light";
		document.documentElement.dataset.theme = next;
		remember(next === system ? null : next);
		tell();
	});
	dark.addEventListener("change", tell);
	onTheme(label);
	label();
}
