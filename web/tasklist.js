// SPDX-License-Identifier: Apache-2.0
// The table of tasks. However many there are, only the rows that are seen are in the document.

import { COLUMNS, filterTasks, oomText, sortTasks } from "./columns.js";
import { el, setAttribute, setText } from "./dom.js";
import { metricsBehind, whyAbsent } from "./feed.js";
import { count, counted } from "./format.js";
import { Spark, Sparklines } from "./sparkline.js";
import { address, change, state } from "./state.js";
import { putFigure } from "./tooltip.js";

/** What the table needs of each task. */
export const METRICS = metricsBehind([...COLUMNS.map(({ key }) => key).filter(Boolean), "oom_kills"]);

const OVERSCAN = 6;
/* So long without scrolling is a rest. */
const REST_MS = 120;
const narrow = matchMedia("(max-width: 720px)");
const rowHeight = () => (narrow.matches ? 62 : 38);

class Row {
	constructor(onOpen) {
		this.link = el("a");
		this.note = el("span.note");
		this.spark = new Spark();
		this.cells = COLUMNS.slice(1).map(({ id, key }) =>
			el(`div.cell.c-${id}${key ? ".number" : ""}`, { role: "cell" }, id === "spark" ? this.spark.element : null),
		);
		this.element = el(
			"div.row",
			{ role: "row" },
			el("div.cell.c-task", { role: "rowheader" }, this.link, this.note),
			...this.cells,
		);
		this.element.addEventListener("click", (event) => {
			if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
			if (event.target.closest(".absent") || String(getSelection())) return;
			event.preventDefault();
			onOpen(this.id);
		});
	}

	fill(task, index, most) {
		this.id = task.task;
		setText(this.link, task.task);
		setAttribute(this.link, "href", address({ task: task.task }));
		setAttribute(this.link, "title", task.task);
		const oom = oomText(task);
		const usual = task.state === "active" || !task.state;
		setText(this.note, [usual ? task.source : task.state, oom].filter(Boolean).join(", "));
		this.note.classList.toggle("bad", task.state === "failed" || task.state === "lost" || oom !== null);
		this.element.classList.toggle("over", task.ended !== null);
		setAttribute(this.element, "aria-rowindex", index + 2);
		COLUMNS.slice(1).forEach((column, i) => this.#fillCell(this.cells[i], column, task, most));
	}

	/** Put it so many pixels below the top. */
	moveTo(top) {
		if (this.top !== top) this.element.style.transform = `translateY(${top}px)`;
		this.top = top;
	}

	#fillCell(cell, { id, key, format, bar }, task, most) {
		if (!key) return;
		putFigure(cell, format(task[key]), whyAbsent(task, key));
		if (!bar) return;
		const part = Math.round(100 * Math.min(1, (task[key] ?? 0) / (most[id] || 1))) / 100;
		if (cell.part !== part) cell.style.setProperty("--part", part);
		cell.part = part;
	}
}

export class TaskList {
	#tasks = [];
	#shown = [];
	#rows = new Map(); // Task -> Row.
	#spare = [];
	#most = {};
	#at = null;
	#frame = 0;
	#scrolled = -Infinity; // When it was last scrolled.
	#rest = 0;

	constructor(parent) {
		this.sparks = new Sparklines((task) => this.#drawSpark(task));
		this.summary = el("div.summary", { role: "group", "aria-label": "All tasks together" });
		this.filter = el("input", {
			type: "search", placeholder: "Filter tasks  ( / )", "aria-label": "Filter tasks",
			oninput: () => change({ filter: this.filter.value }),
		});
		this.found = el("span.found", { role: "status" });
		this.head = this.#makeHead();
		this.body = el("div.rows", { role: "rowgroup" });
		this.table = el("div.tasks", { role: "table", "aria-label": "Tasks" }, this.head, this.body);
		this.empty = el("div.empty", { hidden: true });
		this.element = el(
			"section.list",
			{ "aria-label": "All tasks" },
			this.summary,
			el("div.tools", {}, this.filter, this.found),
			this.table,
			this.empty,
		);
		parent.append(this.element);
		const later = () => {
			this.#frame ||= requestAnimationFrame(() => {
				this.#frame = 0;
				this.render();
			});
		};
		addEventListener("scroll", () => {
			this.#scrolled = performance.now();
			later();
		}, { passive: true });
		addEventListener("resize", later);
		this.body.addEventListener("keydown", (event) => this.#moveFocus(event));
	}

	#makeHead() {
		const cells = COLUMNS.map(({ id, label, hint, key }) => {
			const sorts = id === "task" || key;
			const button = el("button", { type: "button", title: hint, onclick: () => this.#sortBy(id) }, label);
			return el(`div.cell.c-${id}${key ? ".number" : ""}`, { role: "columnheader", "data-column": id },
				sorts ? button : el("span", { title: hint }, label));
		});
		return el("div.head", { role: "rowgroup" }, el("div.row", { role: "row", "aria-rowindex": 1 }, ...cells));
	}

	#sortBy(id) {
		const down = `-${id}`;
		if (state.sort === id || state.sort === down) change({ sort: state.sort === id ? down : id });
		else change({ sort: id === "task" ? id : down });
	}

	/** Focus the field that filters. */
	focusFilter() {
		this.filter.focus();
		this.filter.select();
	}

	/** Show tasks of an answer. */
	update(tasks, { window, at, interval, live }) {
		this.#tasks = tasks.filter((task) => task.ended === null || task.pids > 0);
		this.#at = at;
		if (window) this.sparks.setWindow(window, interval);
		if (live) this.sparks.append(tasks);
		this.arrange();
	}

	/** Sort and filter anew, as the state has it. */
	arrange() {
		if (this.filter.value !== state.filter) this.filter.value = state.filter;
		for (const cell of this.head.firstChild.children) {
			const { column } = cell.dataset;
			const sort = state.sort === column ? "ascending" : state.sort === `-${column}` ? "descending" : null;
			setAttribute(cell, "aria-sort", sort);
		}
		this.#shown = sortTasks(filterTasks(this.#tasks, state.filter), state.sort);
		this.#most = {};
		for (const { id, key, bar } of COLUMNS)
			if (bar) this.#most[id] = this.#tasks.reduce((most, task) => Math.max(most, task[key] ?? 0), 0);
		const all = counted(this.#tasks.length, "task", "tasks");
		setText(this.found, state.filter ? `${count(this.#shown.length)} of ${all}` : all);
		setAttribute(this.table, "aria-rowcount", this.#shown.length + 1);
		this.#summarise();
		this.render();
		this.#redrawSparks();
	}

	/* A sum of what is known is at least so much where something is not. */
	#summarise() {
		const figures = [
			...COLUMNS.filter(({ key }) => key).map((column) => [column, this.#sum(column.key)]),
		];
		if (!this.summary.children.length)
			for (const [{ id, label, unit, hint }] of figures)
				this.summary.append(el(`div.tile.t-${id}`, { title: hint }, el("span.label", {}, unit ? `${label}, ${unit}` : label), el("span.figure")));
		figures.forEach(([{ format, key }, { value, known, all }], i) => {
			const text = known ? `${known < all ? "≥ " : ""}${format(value)}` : null;
			const why = this.#tasks.map((task) => whyAbsent(task, key)).find((reason) => reason !== null);
			putFigure(this.summary.children[i].lastChild, text, why ?? "there is no task");
		});
	}

	#sum(key) {
		let [value, known] = [0, 0];
		for (const task of this.#tasks)
			if (task[key] !== null && task[key] !== undefined) {
				value += task[key];
				known++;
			}
		return { value, known, all: this.#tasks.length };
	}

	/** How many rows there are. */
	get count() {
		return this.#shown.length;
	}

	/** Say something in place of the table, or with null, show it. */
	say(content) {
		const appears = content === null && this.table.hidden;
		this.empty.hidden = content === null;
		this.table.hidden = this.summary.hidden = content !== null;
		if (content !== null && this.empty.said !== content.key) {
			this.empty.said = content.key;
			this.empty.replaceChildren(...content.make());
		}
		if (appears) this.render();
	}

	/* ---- rows ---- */

	#range() {
		const top = this.body.getBoundingClientRect().top;
		const height = rowHeight();
		const first = Math.max(0, Math.floor(-top / height) - OVERSCAN);
		const last = Math.min(this.#shown.length, Math.ceil((innerHeight - top) / height) + OVERSCAN);
		return [first, Math.max(first, last)];
	}

	/* A row that has the focus stays, wherever it is: the focus is somebody's place. */
	#needed() {
		const [first, last] = this.#range();
		const needed = new Map();
		const focused = this.#focusedTask();

		for (let i = first; i < last; i++) needed.set(this.#shown[i].task, i);
		if (focused !== null && !needed.has(focused)) {
			const index = this.#shown.findIndex(({ task }) => task === focused);
			if (index >= 0) needed.set(focused, index);
		}
		return needed;
	}

	#focusedTask() {
		const element = document.activeElement?.closest?.(".rows > .row");
		for (const [task, row] of this.#rows) if (row.element === element) return task;
		return null;
	}

	/** Put the rows that are seen into the document. */
	render() {
		if (this.element.hidden) return;
		const height = rowHeight();
		const needed = this.#needed();

		this.body.style.height = `${this.#shown.length * height}px`;
		for (const [task, row] of this.#rows)
			if (!needed.has(task)) {
				this.#rows.delete(task);
				row.id = null;
				this.#spare.push(row);
			}
		this.sparks.forgetWishes();
		for (const [task, index] of needed) {
			const known = this.#rows.get(task);
			const row = known ?? this.#spare.pop() ?? new Row((id) => change({ task: id }, { push: true }));
			if (!known) this.#rows.set(task, row);
			row.fill(this.#shown[index], index, this.#most);
			row.moveTo(index * height);
			if (!known || !this.sparks.get(task)) this.#drawSpark(task);
		}
		for (const row of this.#spare) row.element.remove();
		this.#order(needed);
		this.#fetchSoon();
	}

	/*
	 * As they are read from top to bottom. From the last one on: those that were scrolled away and come
	 * again at the other end are moved, and no other. What has the focus is not moved, it would lose it.
	 */
	#order(needed) {
		const wanted = [...needed].sort(([, a], [, b]) => a - b).map(([task]) => this.#rows.get(task).element);
		const at = wanted.findIndex((element) => element.contains(document.activeElement));
		const put = (element, next) => {
			if (element.parentNode !== this.body || element.nextSibling !== next) this.body.insertBefore(element, next);
		};

		for (let i = wanted.length - 1; i > at; i--) put(wanted[i], wanted[i + 1] ?? null);
		for (let i = at - 1; i >= 0; i--) put(wanted[i], wanted[i + 1]);
	}

	#drawSpark(task) {
		const row = this.#rows.get(task);
		if (row) this.sparks.draw(row.spark, task, this.#at);
	}

	#redrawSparks() {
		for (const task of this.#rows.keys()) this.#drawSpark(task);
		this.#fetchSoon();
	}

	/* Not while rows rush by: whoever scrolls on will not look at their curves. */
	#fetchSoon() {
		const rushes = performance.now() - this.#scrolled < REST_MS;

		clearTimeout(this.#rest);
		if (rushes) this.#rest = setTimeout(() => this.#fetchSoon(), REST_MS);
		else this.sparks.fetch();
	}

	#moveFocus(event) {
		const direction = { ArrowDown: 1, ArrowUp: -1 }[event.key];
		if (!direction) return;
		const index = this.#shown.findIndex(({ task }) => task === this.#focusedTask());
		const next = this.#shown[index + direction];
		event.preventDefault();
		if (next) this.#focus(next.task, index + direction);
	}

	#focus(task, index) {
		const height = rowHeight();
		const top = this.body.getBoundingClientRect().top + index * height;
		const least = this.head.getBoundingClientRect().bottom;
		if (top < least) scrollBy(0, top - least);
		else if (top + height > innerHeight) scrollBy(0, top + height - innerHeight);
		this.render();
		this.#rows.get(task)?.link.focus({ preventScroll: true });
	}

	/** Focus the first row. */
	focusFirst() {
		if (this.#shown.length) this.#focus(this.#shown[0].task, 0);
	}
}
