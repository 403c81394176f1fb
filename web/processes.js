// SPDX-License-Identifier: Apache-2.0
// The processes of a task as a table.

import { el, setText } from "./dom.js";
import { byteRate, bytes, clock, cores, count, dateTime, duration } from "./format.js";
import { putFigure } from "./tooltip.js";

/** More of them are counted, not listed. */
const ROWS_MAX = 200;

/* What a process ended with, or how it is. */
function stateText({ life, state, return_code }) {
	if (life === "failed" && return_code !== null && return_code !== undefined) return `failed, exit ${return_code}`;
	return [life, life === "active" ? state : null].filter(Boolean).join(", ") || null;
}

/** Of processes of the present or of an instant: rates. */
export const LIVE_COLUMNS = [
	{ label: "Process", text: (p) => p.process, head: true },
	{ label: "State", text: stateText, why: () => "this store does not know it" },
	{ label: "PID", key: "pid", format: (pid) => (pid ? String(pid) : null), number: true },
	{ label: "CPU", hint: "Cores in use", key: "cpu_rate", format: cores, number: true },
	{ label: "Memory", key: "rss_bytes", format: bytes, number: true },
	{ label: "I/O", key: "io_rate", format: byteRate, number: true },
	{ label: "Wait", hint: "Cores it could have used", key: "wait_rate", format: cores, number: true },
	{ label: "Processes", hint: "Of the system, alive", key: "pids", format: count, number: true },
	{ label: "Threads", key: "threads", format: count, number: true },
	{ label: "Files open", key: "fds", format: count, number: true },
	{ label: "Started", key: "started", format: (time) => clock(time), title: (p) => dateTime(p.started), number: true },
];

/** Of processes over a stretch of time: totals. */
export const TOTAL_COLUMNS = [
	{ label: "Process", text: (p) => p.process, head: true },
	{ label: "CPU time", key: "cpu_seconds", format: duration, number: true },
	{ label: "user", key: "cpu_user_seconds", format: duration, number: true },
	{ label: "system", key: "cpu_system_seconds", format: duration, number: true },
	{ label: "Wait", key: "run_queue_wait_seconds", format: duration, number: true },
	{ label: "Memory at most", key: "peak_rss_bytes", format: bytes, number: true },
	{ label: "Read", key: "io_read_bytes", format: bytes, number: true },
	{ label: "Written", key: "io_write_bytes", format: bytes, number: true },
	{ label: "Processes", hint: "Of the system, seen in all", key: "pids_started", format: count, number: true },
];

export class ProcessTable {
	#columns;
	#rows = new Map();
	#why;

	/**
	 * @columns  LIVE_COLUMNS or TOTAL_COLUMNS.
	 * @why      Called with (process, key): why a figure is absent.
	 */
	constructor(parent, caption, columns, why) {
		this.#columns = columns;
		this.#why = why;
		this.body = el("tbody");
		this.more = el("p.more", { hidden: true });
		parent.append(
			el(
				"div.table-box",
				{ tabindex: "0", role: "group", "aria-label": caption },
				el(
					"table.processes",
					{},
					el("caption", {}, caption),
					el("thead", {}, el("tr", {}, ...columns.map(({ label, hint, number }) =>
						el(`th${number ? ".number" : ""}`, { scope: "col", title: hint }, label)))),
					this.body,
				),
			),
			this.more,
		);
	}

	show(processes) {
		const seen = new Set();

		processes.slice(0, ROWS_MAX).forEach((process, i) => {
			const row = this.#row(process);
			seen.add(process.process);
			if (this.body.children[i] !== row.element) this.body.insertBefore(row.element, this.body.children[i] ?? null);
			this.#fill(row, process);
		});
		for (const [name, row] of this.#rows)
			if (!seen.has(name)) {
				row.element.remove();
				this.#rows.delete(name);
			}
		this.more.hidden = processes.length <= ROWS_MAX;
		setText(this.more, `and ${processes.length - ROWS_MAX} more`);
	}

	#row({ process }) {
		let row = this.#rows.get(process);
		if (!row) {
			const cells = this.#columns.map(({ head, number }) =>
				el(`${head ? "th" : "td"}${number ? ".number" : ""}`, head ? { scope: "row" } : {}));
			row = { cells, element: el("tr", {}, ...cells) };
			this.#rows.set(process, row);
		}
		return row;
	}

	#fill(row, process) {
		row.element.classList.toggle("over", Boolean(process.ended));
		this.#columns.forEach(({ key, format, text, title, why }, i) => {
			const shown = text ? text(process) : format(process[key] ?? null);
			putFigure(row.cells[i], shown, why ? why(process) : key ? this.#why(process, key) : null);
			if (title) row.cells[i].title = title(process) ?? "";
		});
	}
}
