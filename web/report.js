// SPDX-License-Identifier: Apache-2.0
// A report: what one task consumed over a stretch of time, from the data within the file.

import { Chart } from "./charts.js";
import { el, setText } from "./dom.js";
import { oomText } from "./columns.js";
import { bytes, clock, count, dateTime, duration } from "./format.js";
import { PANELS, PARTS_MAX, layersOf } from "./panels.js";
import { ProcessTable, TOTAL_COLUMNS } from "./processes.js";
import { Column, PROCESS_METRICS, TASK_METRICS, align } from "./series.js";
import { onTheme, startTheme } from "./theme.js";
import { putFigure, startTooltips } from "./tooltip.js";

const data = JSON.parse(document.getElementById("data").textContent);
const { facts, totals } = data;

/* As many are named that are absent for one reason; the others are counted. */
const KEYS_MAX = 4;

const whyMissing = (part, key) => part.missing?.[key.replace(/^peak_/, "").replace(/^cpu_seconds$/, "cpu_user_seconds")] ?? null;

/* Samples of processes are put on the task's own times: by their step, or as they were taken. */
function columnOf(part, metrics, step) {
	const column = new Column();
	column.merge(part, metrics, step);
	return column;
}

function aligned() {
	const step = facts.step_seconds ?? 0;
	const parts = data.processes
		.filter(({ times }) => times)
		.map((part) => [part.process, columnOf(part, PROCESS_METRICS, step)]);
	return align(columnOf(data, TASK_METRICS, step), new Map(parts));
}

/* ---- what it says ---- */

function ending() {
	if (facts.timed_out) return ["ended by the time limit", "failed"];
	if (facts.signal) return [`ended by signal ${facts.signal}`, "failed"];
	if (facts.exit_code === null || facts.exit_code === undefined) return [null, null];
	return [`exit ${facts.exit_code}`, facts.exit_code === 0 ? "success" : "failed"];
}

function header() {
	const [end, kind] = ending();
	const [first, last] = [data.times[0], data.times.at(-1)];
	const lines = [
		["took", facts.wall_seconds === undefined ? null : duration(facts.wall_seconds)],
		["from", first === undefined ? null : dateTime(first)],
		["to", last === undefined ? null : dateTime(last)],
		["collector", facts.collector],
		["deleted, still open, at most", totals.peak_disk_deleted_bytes ? bytes(totals.peak_disk_deleted_bytes) : null],
		["memory limit", bytes(totals.peak_memory_limit_bytes)],
		["held back by its CPU limit", totals.cpu_throttled_seconds ? duration(totals.cpu_throttled_seconds) : null],
		["samples", facts.samples === undefined ? null : `${count(facts.samples)}, one every ${duration(facts.interval_seconds)}`],
	].filter(([, value]) => value);
	return el(
		"header", {},
		el("h2", {}, data.task),
		end ? el(`span.badge.is-${kind}`, {}, end) : null,
		oomText(totals) ? el("span.badge.is-failed", {}, oomText(totals)) : null,
		el("dl.facts", {}, ...lines.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
	);
}

const TILES = [
	["CPU time", "cpu_seconds", duration],
	["Wait", "run_queue_wait_seconds", duration],
	["Memory at most", "peak_rss_bytes", bytes],
	["Read", "io_read_bytes", bytes],
	["Written", "io_write_bytes", bytes],
	["Disk at most", "peak_disk_bytes", bytes],
];

function tiles() {
	return el("div.summary", { role: "group", "aria-label": "The task as a whole" },
		...TILES.map(([label, key, format]) => {
			const figure = el("span.figure");
			putFigure(figure, format(totals[key]), whyMissing(totals, key) ?? "nothing was sampled");
			return el("div.tile", {}, el("span.label", {}, label), figure);
		}));
}

function listed(keys) {
	return keys.length > KEYS_MAX ? `${keys.slice(0, KEYS_MAX - 1).join(", ")} and ${keys.length - KEYS_MAX + 1} more` : keys.join(", ");
}

/* Each reason once, with all it is the reason of. */
function absences() {
	const reasons = new Map();
	for (const [key, reason] of Object.entries(totals.missing ?? {}))
		reasons.set(reason, [...(reasons.get(reason) ?? []), key]);
	if (!reasons.size) return null;
	return el("section.absences", {},
		el("h3", {}, "What is not known, and why"),
		el("dl", {}, ...[...reasons].map(([reason, keys]) =>
			el("div", {}, el("dt", { title: keys.join(", ") }, listed(keys)), el("dd", {}, reason)))));
}

/* ---- charts ---- */

class Charts {
	#by = data.process_count > 1 ? "process" : "kind";
	#window;
	#whole;
	#shown = aligned();

	constructor(parent) {
		const [first, last] = [data.times[0] ?? 0, data.times.at(-1) ?? 1];
		this.#whole = this.#window = { from: first, to: Math.max(last, first + 1) };
		this.choice = el("div.choice", { role: "group", "aria-label": "Stack charts by" });
		for (const [by, label] of [["kind", "By kind"], ["process", "By process"]])
			this.choice.append(el("button", { type: "button", "data-by": by, onclick: () => this.#choose(by) }, label));
		this.unzoom = el("button", { type: "button", hidden: true, onclick: () => this.#zoom(this.#whole) }, "Reset zoom");
		const grid = el("div.charts");
		parent.append(el("div.tools", {}, this.choice, this.unzoom, el("span.hint", {}, "Drag on a chart to zoom")), grid);
		const hooks = {
			sync: "tally",
			onZoom: (from, to) => this.#zoom({ from, to }),
			onReset: () => this.#zoom(this.#whole),
		};
		this.charts = PANELS.map((panel) => new Chart(grid, panel, hooks));
		this.#draw();
	}

	#choose(by) {
		this.#by = by;
		this.#draw();
	}

	#zoom(window) {
		this.#window = window;
		this.#draw();
	}

	retheme() {
		for (const chart of this.charts) chart.retheme();
	}

	#marks() {
		const parts = data.process_count > 1 ? data.processes : [];
		return parts.flatMap(({ process, first, last }) => [
			...(first > this.#whole.from + 0.001 ? [{ time: first, kind: "start", label: process }] : []),
			...(last < this.#whole.to - 0.001 ? [{ time: last, kind: "end", label: process }] : []),
		]);
	}

	#draw() {
		for (const button of this.choice.children)
			button.setAttribute("aria-pressed", String(button.dataset.by === this.#by));
		this.unzoom.hidden = this.#window === this.#whole;
		PANELS.forEach((panel, i) =>
			this.charts[i].show({
				window: this.#window, at: null, marks: this.#marks(), times: this.#shown.times,
				layers: layersOf(panel, this.#shown, this.#by, data.process_count > PARTS_MAX),
				why: (layer) => whyMissing(totals, layer.key),
			}));
	}
}

/* ---- all of it ---- */

const section = el("section.task", { "aria-label": "Report" });
document.getElementById("main").append(section);
document.title = `${data.task} – Tally report`;
setText(document.getElementById("status"), `Report of ${clock(data.made)}, made by Tally ${data.version}`);
startTooltips();
startTheme(document.getElementById("theme"));
section.append(header());
if (facts.command) section.append(el("pre.command", { tabindex: "0" }, facts.command.join(" ")));
section.append(tiles());
const charts = new Charts(section);
new ProcessTable(section, "Processes", TOTAL_COLUMNS, whyMissing).show(data.processes);
const missing = absences();
if (missing) section.append(missing);
onTheme(() => charts.retheme());
