// SPDX-License-Identifier: Apache-2.0
// One task: its figures, its charts, its processes.

import { Refused, askHistory } from "./api.js";
import { Chart } from "./charts.js";
import { COLUMNS, oomText } from "./columns.js";
import { el, setAttribute, setText } from "./dom.js";
import { bytes, clock, cores, dateTime, duration } from "./format.js";
import { whyAbsent } from "./feed.js";
import { PANELS, PARTS_MAX, layersOf } from "./panels.js";
import { LIVE_COLUMNS, ProcessTable } from "./processes.js";
import { Column, PROCESS_METRICS, TASK_METRICS, align, stepFor } from "./series.js";
import { address, change, state } from "./state.js";
import { putFigure } from "./tooltip.js";

const POINTS = 500;
const LEAST_ZOOM_SECONDS = 2;

/** The columns of one task in a window, extended as time goes on. */
class TaskHistory {
	#task;
	#key = "";
	#total = new Column();
	#parts = new Map();
	#busy = false;
	data = null;
	step = 0;

	constructor(task) {
		this.#task = task;
	}

	/**
	 * Fetch what is missing of a window.
	 *
	 * @names   Processes to fetch, too.
	 * @return  Whether there is something new; false also while a fetch is under way.
	 */
	async refresh(window, interval, names) {
		if (this.#busy) return false;
		this.#busy = true;
		try {
			this.step = stepFor(window.to - window.from, POINTS, interval);
			const key = window.moves ? `live ${this.step}` : `${window.from} ${window.to}`;
			if (key !== this.#key || (window.moves && this.#from > window.from + this.step + interval)) this.#forget(key);
			const had = this.data;
			const total = this.#fetch(this.#total, null, TASK_METRICS, window);
			const parts = names.map((name) => this.#fetch(this.#part(name), name, PROCESS_METRICS, window));
			const changed = (await Promise.all([total, ...parts])).some(Boolean);
			if (changed || !had || names.length !== had.processes.length) this.#align(names);
			this.#from = this.#from ?? window.from;
			return true;
		} finally {
			this.#busy = false;
		}
	}

	#from = null;

	#forget(key) {
		this.#key = key;
		this.#from = null;
		this.#total = new Column();
		this.#parts.clear();
	}

	#part(name) {
		if (!this.#parts.has(name)) this.#parts.set(name, new Column());
		return this.#parts.get(name);
	}

	#align(names) {
		this.data = align(this.#total, new Map(names.map((name) => [name, this.#part(name)])));
	}

	/* What was sampled since; all of the window the first time. */
	async #fetch(column, process, metrics, window) {
		const { last } = column;
		if (!window.moves && column.fetched) return false;
		const since = last === null ? window.from : Math.max(window.from, last - this.step);
		const answer = await askHistory(this.#task, {
			process, since, until: window.moves ? null : window.to, step: this.step, metrics,
		});
		column.merge(answer, metrics, this.step);
		column.trim(window.from - 2 * this.step - 1);
		column.fetched = true;
		return answer.times.length > 0;
	}
}

export class TaskView {
	#history = null;
	#task = null; // Id.
	#known = null; // The task as it was last seen: its names outlive an instant without it.
	#view = null; // What update() was given.
	#error = "";

	constructor(parent) {
		this.title = el("h2");
		this.state = el("span.badge");
		this.oom = el("span.badge.is-failed", { title: "Processes that the kernel ended for want of memory" });
		this.facts = el("dl.facts");
		this.notice = el("p.notice", { role: "status", hidden: true });
		this.tiles = el("div.summary", { role: "group", "aria-label": "The task as a whole" });
		this.by = el("div.choice", { role: "group", "aria-label": "Stack charts by" });
		for (const [by, label] of [["kind", "By kind"], ["process", "By process"]])
			this.by.append(el("button", { type: "button", "data-by": by, onclick: () => change({ by }) }, label));
		this.unzoom = el("button", { type: "button", hidden: true, onclick: () => this.resetZoom() }, "Reset zoom");
		this.grid = el("div.charts");
		this.element = el(
			"section.task", { "aria-label": "Task", hidden: true },
			el("div.crumb", {}, el("a.back", { href: "/", onclick: (event) => this.#back(event) }, "← All tasks")),
			el("header", {}, this.title, this.state, this.oom, this.facts),
			this.notice,
			this.tiles,
			el("div.tools", {}, this.by, this.unzoom,
				el("span.hint", {}, "Drag on a chart to zoom, click to go to that moment")),
			this.grid,
		);
		const hooks = {
			sync: "tally",
			onZoom: (from, to) => this.zoom(from, to),
			onReset: () => this.resetZoom(),
			onPick: (time) => change({ at: Math.round(time * 10) / 10 }),
		};
		this.charts = PANELS.map((panel) => new Chart(this.grid, panel, hooks));
		this.processes = new ProcessTable(this.element, "Processes", LIVE_COLUMNS, whyAbsent);
		for (const { id, label, unit, hint, key } of COLUMNS)
			if (key) this.tiles.append(el(`div.tile.t-${id}`, { title: hint }, el("span.label", {}, unit ? `${label}, ${unit}` : label), el("span.figure")));
		parent.append(this.element);
	}

	#back(event) {
		if (event.ctrlKey || event.metaKey || event.shiftKey) return;
		event.preventDefault();
		this.close();
	}

	/** Back to all tasks. */
	close() {
		change({ task: null, from: null, to: null }, { push: true });
	}

	zoom(from, to) {
		if (to - from >= LEAST_ZOOM_SECONDS) change({ from, to });
	}

	resetZoom() {
		change({ from: null, to: null });
	}

	retheme() {
		for (const chart of this.charts) chart.retheme();
	}

	/**
	 * Show a task.
	 *
	 * @id    Its id.
	 * @view  {task: its figures or null, window, at, interval, loaded}.
	 */
	update(id, view) {
		if (id !== this.#task) {
			this.#task = id;
			this.#history = new TaskHistory(id);
			this.#known = null;
			this.#error = "";
		}
		this.#view = view;
		if (view.task) this.#known = view.task;
		this.#header(id, view);
		this.#figures(view.task);
		this.#controls();
		this.draw();
		this.#refresh();
	}

	#header(id, { task, at, loaded, now }) {
		setText(this.title, id);
		const back = this.element.querySelector(".back");
		setAttribute(back, "href", address({ task: null, from: null, to: null }));
		setText(this.state, task?.state ?? (task ? "" : "not there"));
		this.state.className = `badge ${task ? `is-${task.state}` : "is-gone"}`;
		setText(this.oom, oomText(task) ?? "");
		const facts = [
			["source", task?.source], ["sandbox", task?.sandbox],
			["started", task?.started ? `${clock(task.started, now)}, ${duration(Math.max(0, (at ?? now) - task.started))} before` : null],
			["ended", task?.ended ? clock(task.ended, now) : null],
			["disk by", task?.disk_method],
			["deleted, still open", task?.disk_deleted_bytes ? bytes(task.disk_deleted_bytes) : null],
			["memory at most", bytes(task?.memory_peak_bytes)], ["memory limit", bytes(task?.memory_limit_bytes)],
			["CPU limit", task?.cpu_limit_seconds ? `${cores(task.cpu_limit_seconds)} cores` : null],
			["held back by it", task?.cpu_throttled_seconds ? duration(task.cpu_throttled_seconds) : null],
		].filter(([, value]) => value);
		const text = JSON.stringify(facts);
		if (this.facts.said !== text)
			this.facts.replaceChildren(...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { title: value }, value))));
		this.facts.said = text;
		const gone = loaded && !task;
		this.notice.hidden = !gone && !this.#error;
		setText(this.notice, this.#error || (gone ? `${id} was not there ${at === null ? "in the newest sample" : `at ${dateTime(at)}`}. Its history is below; move the time bar into it.` : ""));
	}

	#figures(task) {
		COLUMNS.filter(({ key }) => key).forEach(({ key, format }, i) =>
			putFigure(this.tiles.children[i].lastChild, task ? format(task[key]) : null,
				task ? whyAbsent(task, key) : "it was not there at this instant"));
		this.processes.show(task?.processes ?? []);
	}

	#controls() {
		for (const button of this.by.children) setAttribute(button, "aria-pressed", String(button.dataset.by === state.by));
		this.unzoom.hidden = state.from === null;
	}

	/* Those that take most, for there are not colours enough for all. */
	#names() {
		const most = (process) => [process.cpu_seconds ?? 0, process.rss_bytes ?? 0];
		const processes = (this.#known?.processes ?? []).slice();
		if (state.by !== "process") return [];
		if (processes.length > PARTS_MAX)
			processes.sort((a, b) => most(b)[0] - most(a)[0] || most(b)[1] - most(a)[1]);
		return processes.slice(0, PARTS_MAX).map(({ process }) => process);
	}

	async #refresh() {
		const { window, interval } = this.#view;
		const history = this.#history;
		if (!window) return;
		try {
			if (!(await history.refresh(window, interval, this.#names()))) return;
			this.#error = "";
		} catch (error) {
			if (history !== this.#history) return;
			this.#error = error instanceof Refused && error.status === 404
				? `The observer knows no task ${this.#task}. It may have been another machine's, or its history is over.`
				: ""; // The page's own status says that there is no answer.
			if (this.#error) this.#header(this.#task, this.#view);
			return;
		}
		if (history !== this.#history) return;
		this.draw();
		if (!this.#view.window.moves && `${window.from}` !== `${this.#view.window.from}`) this.#refresh();
	}

	#marks() {
		const marks = [];
		for (const { process, started, ended } of this.#known?.processes ?? []) {
			if (started) marks.push({ time: started, kind: "start", label: process });
			if (ended) marks.push({ time: ended, kind: "end", label: process });
		}
		return marks;
	}

	#why(layer) {
		const task = this.#view.task;
		const part = layer.process ? task?.processes.find(({ process }) => process === layer.process) : task;
		return part ? whyAbsent(part, layer.key) : null;
	}

	/** CPU over time, for the time bar. */
	get curve() {
		const data = this.#history?.data;
		return data ? { times: data.times, values: data.total.cpu_rate } : null;
	}

	draw() {
		const data = this.#history?.data;
		const { window, at } = this.#view;
		if (!data || !window) return;
		const more = (this.#known?.processes.length ?? 0) > PARTS_MAX;
		const marks = this.#marks();

		PANELS.forEach((panel, i) =>
			this.charts[i].show({
				window, at, marks, times: data.times,
				layers: layersOf(panel, data, state.by, more),
				why: (layer) => this.#why(layer),
			}));
	}

	/** The instant has changed, and nothing else. */
	mark(at) {
		for (const chart of this.charts) chart.mark(at);
	}
}
