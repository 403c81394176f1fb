// SPDX-License-Identifier: Apache-2.0
// What the page shows, and the same in its address: a link shows a colleague the same moment.

/* Browsers refuse an address that changes all the time, as it would while the time bar is dragged. */
const WRITE_MS = 150;

const DEFAULTS = {
	at: null, // Seconds since the epoch; null: live.
	span: null, // Seconds on the time bar; null: as much as there is, up to an hour.
	from: null, // Both: a stretch zoomed into.
	to: null,
	task: null,
	by: "kind", // How charts are stacked: "kind" or "process".
	sort: "-cpu",
	filter: "",
};

export const state = { ...DEFAULTS };
const listeners = new Set();
let timer = 0;

function readTime(text) {
	if (!text) return null;
	const number = /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Date.parse(text) / 1000;
	return Number.isFinite(number) ? number : null;
}

function writeTime(seconds) {
	return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}

function read() {
	const query = new URLSearchParams(location.search);
	const span = query.get("span") === "all" ? Infinity : Number(query.get("span"));
	const [from, to] = [readTime(query.get("from")), readTime(query.get("to"))];

	Object.assign(state, DEFAULTS, {
		at: readTime(query.get("at")),
		span: span > 0 ? span : null,
		task: query.get("task"),
		by: query.get("by") === "process" ? "process" : "kind",
		sort: query.get("sort") ?? DEFAULTS.sort,
		filter: query.get("filter") ?? "",
	});
	if (from !== null && to !== null && to > from) Object.assign(state, { from, to });
}

/** The address of the page with some of its state changed. */
export function address(patch = {}) {
	const wanted = { ...state, ...patch };
	const query = new URLSearchParams();

	for (const [key, value] of Object.entries(wanted)) {
		if (value === DEFAULTS[key] || value === null) continue;
		if (key === "at" || key === "from" || key === "to") query.set(key, writeTime(value));
		else query.set(key, value === Infinity ? "all" : value);
	}
	const text = query.toString();
	return text ? `?${text}` : location.pathname;
}

function write() {
	clearTimeout(timer);
	timer = 0;
	history.replaceState(null, "", address());
}

function tell(changed) {
	for (const listener of listeners) listener(changed);
}

/**
 * Change what is shown.
 *
 * @push  Make it a step that "back" undoes.
 */
export function change(patch, { push = false } = {}) {
	const changed = Object.keys(patch).filter((key) => state[key] !== patch[key]);
	if (changed.length === 0) return;

	if (push) {
		write();
		history.pushState(null, "", address(patch));
	}
	Object.assign(state, patch);
	if (!push && !timer) timer = setTimeout(write, WRITE_MS);
	tell(new Set(changed));
}

/** Call with the set of keys that have changed. */
export function onChange(listener) {
	listeners.add(listener);
}

read();
addEventListener("popstate", () => {
	clearTimeout(timer);
	timer = 0;
	read();
	tell(new Set(Object.keys(DEFAULTS)));
});
