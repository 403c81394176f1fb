// SPDX-License-Identifier: Apache-2.0
// The curve on the time bar: CPU of all tasks together, where there are few enough to add up; and when
// tasks began and ended.

import { askHistory } from "./api.js";
import { stepFor } from "./series.js";

/* One request for each: more would be a burden just to look. */
const TASKS_MAX = 40;
const POINTS = 240;
const AT_ONCE = 3;
const REFRESH_PART = 60; // Of the window: how far it may move on before it is asked for anew.
const MARKS_MAX = 60;

export class Overview {
	#key = "";
	#to = 0;
	#busy = false;
	#onLoad;
	/** {times, values}, or null where there are too many tasks. */
	curve = null;

	constructor(onLoad) {
		this.#onLoad = onLoad;
	}

	/** Bring it up to date with a window and the tasks there are. */
	async update(tasks, window, interval) {
		const span = window.to - window.from;
		const names = tasks.map(({ task }) => task);
		const key = `${window.moves ? `live ${Math.round(span / 5)}` : `${window.from} ${window.to}`} ${names.join("\n")}`;
		const late = window.to - this.#to > Math.max(2 * interval, span / REFRESH_PART);

		if (names.length > TASKS_MAX || names.length === 0) {
			this.curve = null;
			this.#key = "";
			return;
		}
		if (this.#busy || (key === this.#key && !late)) return;
		this.#key = key;
		this.#to = window.to;
		this.#busy = true;
		try {
			this.curve = await this.#sum(names, window, interval);
			this.#onLoad();
		} catch {
			this.#key = "";
		} finally {
			this.#busy = false;
		}
	}

	/* Slots of equal length: a task without a sample in one adds nothing there. */
	async #sum(names, window, interval) {
		const span = window.to - window.from;
		const step = stepFor(span, POINTS, interval) || Math.max(interval, span / POINTS);
		const sums = new Map();
		const left = names.slice();
		const work = async () => {
			for (let name = left.pop(); name !== undefined; name = left.pop()) {
				const answer = await askHistory(name, { since: window.from, until: window.to, step, metrics: ["cpu_rate"] })
					.catch((error) => (error.status === 404 ? { times: [], series: { cpu_rate: [] } } : Promise.reject(error)));
				answer.times.forEach((time, i) => {
					const value = answer.series.cpu_rate[i];
					const slot = Math.floor(time / step);
					if (value !== null) sums.set(slot, (sums.get(slot) ?? 0) + value);
				});
			}
		};
		await Promise.all(Array.from({ length: AT_ONCE }, work));
		const slots = [...sums.keys()].sort((a, b) => a - b);
		const [times, values] = [[], []];
		slots.forEach((slot, i) => {
			if (i > 0 && slot - slots[i - 1] > 3) times.push((slots[i - 1] + 1) * step), values.push(null);
			times.push(Math.min(window.to, (slot + 0.5) * step));
			values.push(sums.get(slot));
		});
		return { times, values };
	}
}

/** When tasks began and ended, the latest first. */
export function marksOf(tasks) {
	const marks = [];
	for (const { started, ended } of tasks) {
		if (started) marks.push({ time: started, kind: "start" });
		if (ended) marks.push({ time: ended, kind: "end" });
	}
	return marks.sort((a, b) => b.time - a.time).slice(0, MARKS_MAX);
}
