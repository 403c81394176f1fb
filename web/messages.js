// SPDX-License-Identifier: Apache-2.0
// What stands in place of a table that has no rows, and what to do then.

import { el } from "./dom.js";
import { clock, dateTime } from "./format.js";
import { change } from "./state.js";

const code = (text) => el("pre", { tabindex: "0" }, text);
const button = (text, patch) => el("button", { type: "button", onclick: () => change(patch) }, text);

const loading = {
	key: "loading",
	make: () => [el("div.spinner", { "aria-hidden": "true" }), el("h2", {}, "Asking the observer…"),
		el("p", {}, "The figures of the newest tick come with its answer.")],
};

const noTask = {
	key: "no task",
	make: () => [
		el("h2", {}, "No task yet"),
		el("p", {}, "The observer runs, and knows no task. Name one when it is started: a process by its pid, or a folder of Thermos checkpoints."),
		code("tally observe --source pid:web=PID\ntally observe --source thermos:/var/run/thermos"),
		el("p", {}, "Sources that are watched show their tasks here by themselves, a second after they begin."),
	],
};

const nothingThen = (at, first) => ({
	key: `nothing ${at}`,
	make: () => [
		el("h2", {}, `Nothing ran at ${clock(at)}`),
		el("p", {}, first !== null && at < first
			? `The history begins at ${dateTime(first)}. Move the time bar to a later instant.`
			: "No task was sampled around that instant: none was there, or the observer was not running."),
		button("Back to the present", { at: null }),
	],
});

const noMatch = (filter) => ({
	key: `no match ${filter}`,
	make: () => [
		el("h2", {}, `No task matches “${filter}”`),
		el("p", {}, "The filter looks at names of tasks and of their processes, at sources and states."),
		button("Show all tasks", { filter: "" }),
	],
});

/** What to say instead of a table, or null when there are rows to show. */
export function emptyMessage({ answer, shown, filter, at, first }) {
	if (!answer) return loading;
	if (answer.tasks.length && shown) return null;
	if (filter && answer.tasks.length) return noMatch(filter);
	return at === null ? noTask : nothingThen(at, first);
}
