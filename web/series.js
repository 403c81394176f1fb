// SPDX-License-Identifier: Apache-2.0
// Columns of samples: of a task and of its processes, on one time axis.

import { niceStep } from "./format.js";

/** Metrics that the charts of a task are made of; counters come as rates. */
export const TASK_METRICS = [
	"cpu_rate", "cpu_user_seconds", "cpu_system_seconds", "run_queue_wait_seconds",
	"rss_bytes", "shared_bytes", "swap_bytes", "io_read_bytes", "io_write_bytes",
	"disk_bytes", "disk_files", "disk_deleted_bytes", "pids", "threads",
	"memory_working_set_bytes", "memory_limit_bytes", "cpu_throttled_seconds",
	"cpu_pressure_seconds", "memory_pressure_seconds", "io_pressure_seconds",
];
/** Of a process: what is stacked. */
export const PROCESS_METRICS = ["cpu_rate", "rss_bytes", "io_read_bytes", "io_write_bytes", "pids"];

/** How far apart points are: about `points` of them in a window; 0: samples as they were taken. */
export function stepFor(seconds, points, intervalSeconds) {
	const step = seconds / points;
	return step <= intervalSeconds ? 0 : niceStep(step);
}

/* Samples of one tick bear one time; with steps, those of one step belong together. */
function slot(time, step) {
	return step ? Math.floor(time / step) : Math.round(time * 1000);
}

/** Points of one series by slot. */
export class Column {
	#points = new Map(); // Slot -> [time, values].

	/** Take in an answer of the API; newer points replace older ones of the same slot. */
	merge(answer, metrics, step) {
		answer.times.forEach((time, i) =>
			this.#points.set(slot(time, step), [time, metrics.map((key) => answer.series[key]?.[i] ?? null)]),
		);
	}

	/** Forget what is before an instant. */
	trim(from) {
		for (const [key, [time]] of this.#points) {
			if (time < from) this.#points.delete(key);
		}
	}

	get(key) {
		return this.#points.get(key);
	}

	slots() {
		return [...this.#points.keys()].sort((a, b) => a - b);
	}

	get last() {
		let last = null;
		for (const [time] of this.#points.values()) if (last === null || time > last) last = time;
		return last;
	}
}

/*
 * Where no sample is for long, the line must break: a point without values says so. Long is three
 * times what is usual here.
 */
function withGaps(slots, times) {
	const gaps = times.slice(1).map((time, i) => time - times[i]);
	const usual = gaps.slice().sort((a, b) => a - b)[gaps.length >> 1] ?? 0;
	const rows = [];

	times.forEach((time, i) => {
		if (i > 0 && gaps[i - 1] > 3 * usual + 1) rows.push([null, times[i - 1] + usual]);
		rows.push([slots[i], time]);
	});
	return rows;
}

function aligned(column, metrics, rows) {
	return Object.fromEntries(
		metrics.map((key, m) => [key, rows.map(([at]) => (at === null ? null : (column.get(at)?.[1][m] ?? null)))]),
	);
}

/**
 * A task and its processes on the task's own times.
 *
 * @processes  Map of name to Column.
 * @return     {times, total: {KEY: […]}, processes: [{name, series: {KEY: […]}}]}
 */
export function align(total, processes) {
	const slots = total.slots();
	const rows = withGaps(slots, slots.map((key) => total.get(key)[0]));

	return {
		times: rows.map(([, time]) => time),
		total: aligned(total, TASK_METRICS, rows),
		processes: [...processes].map(([name, column]) => ({
			name,
			series: aligned(column, PROCESS_METRICS, rows),
		})),
	};
}

/** Sum of columns; absent where one of them is. */
export function sum(...columns) {
	return columns[0].map((_, i) =>
		columns.some((column) => column[i] === null) ? null : columns.reduce((all, column) => all + column[i], 0),
	);
}

/** A column less another, never below 0: they are read at slightly different times. */
export function less(column, other) {
	return column.map((value, i) => (value === null || other[i] === null ? null : Math.max(0, value - other[i])));
}
