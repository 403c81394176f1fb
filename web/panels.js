// SPDX-License-Identifier: Apache-2.0
// Which charts a task has, and what each of them stacks: kinds of use, or processes.

import { byteRate, bytes, cores, count, share } from "./format.js";
import { less, sum } from "./series.js";

/** Processes that get a colour of their own; what is left is "others". */
export const PARTS_MAX = 8;

/* A limit far above what is used would press everything else to the ground. */
const NEAR = 4;

const layer = (label, values, key, more) => ({ label, values, key, ...more });

const line = (label, values, key) => layer(label, values, key, { line: true });
const most = (values) => values.reduce((so_far, value) => Math.max(so_far, value ?? 0), 0);
const known = (values) => values.some((value) => value !== null);

/* What only a task that is a cgroup has. */
function groupMemory({ memory_working_set_bytes: used, memory_limit_bytes: limit }) {
	if (!known(used)) return [];
	const near = known(limit) && most(limit) <= NEAR * most(used);
	return [
		line("working set", used, "memory_working_set_bytes"),
		...(near ? [line("limit", limit, "memory_limit_bytes")] : []),
	];
}

/**
 * @optional  Not shown at all where nothing of it is known.
 * @kinds  Layers of the task's own columns, bottom first; `line` ones are not stacked, `right` ones
 *         have an axis of their own.
 * @part   Column of a process that is stacked; without it a chart shows kinds always.
 * @whole  The task's column that the processes add up to.
 * @key    Metric that tells why a process's part is absent.
 * @least  A smaller maximum is not blown up.
 */
export const PANELS = [
	{
		id: "cpu", title: "CPU", unit: "cores", format: cores, least: 0.1,
		kinds: (total) => [
			layer("user", total.cpu_user_seconds, "cpu_user_seconds"),
			layer("system", total.cpu_system_seconds, "cpu_system_seconds"),
			layer("wait", total.run_queue_wait_seconds, "run_queue_wait_seconds"),
		],
		part: (series) => series.cpu_rate, key: "cpu_rate",
		whole: (total) => total.cpu_rate,
	},
	{
		id: "memory", title: "Memory", unit: "bytes", format: bytes, least: 1 << 20, binary: true,
		kinds: (total) => [
			layer("private", less(total.rss_bytes, total.shared_bytes), "rss_bytes"),
			layer("shared", total.shared_bytes, "shared_bytes"),
			layer("swap", total.swap_bytes, "swap_bytes"),
			...groupMemory(total),
		],
		part: (series) => series.rss_bytes, key: "rss_bytes",
		whole: (total) => total.rss_bytes,
	},
	{
		id: "io", title: "I/O", unit: "bytes per second", format: byteRate, least: 4096, binary: true,
		kinds: (total) => [
			layer("read", total.io_read_bytes, "io_read_bytes"),
			layer("written", total.io_write_bytes, "io_write_bytes"),
		],
		part: (series) => sum(series.io_read_bytes, series.io_write_bytes), key: "io_read_bytes",
		whole: (total) => sum(total.io_read_bytes, total.io_write_bytes),
	},
	{
		id: "disk", title: "Disk", unit: "bytes; files on the right", format: bytes, least: 1 << 16, binary: true,
		kinds: (total) => [
			layer("in files", total.disk_bytes, "disk_bytes"),
			layer("deleted, still open", total.disk_deleted_bytes, "disk_deleted_bytes"),
			layer("entries", total.disk_files, "disk_files", { line: true, right: true, format: count }),
		],
	},
	{
		id: "pids", title: "Processes", unit: "processes of the system", format: count, least: 4,
		kinds: (total) => [
			layer("processes", total.pids, "pids"),
			layer("threads", total.threads, "threads", { line: true }),
		],
		part: (series) => series.pids, key: "pids",
		whole: (total) => total.pids,
	},
	{
		id: "pressure", title: "Pressure", unit: "part of the time", format: share, least: 0.1, optional: true,
		kinds: (total) => [
			line("waits for CPU", total.cpu_pressure_seconds, "cpu_pressure_seconds"),
			line("for memory", total.memory_pressure_seconds, "memory_pressure_seconds"),
			line("for I/O", total.io_pressure_seconds, "io_pressure_seconds"),
			line("held back by its CPU limit", total.cpu_throttled_seconds, "cpu_throttled_seconds"),
		],
	},
];

/* What the task has beyond those processes that are shown. */
function others(whole, shown) {
	return whole.map((value, i) =>
		value === null ? null : Math.max(0, value - shown.reduce((all, { values }) => all + (values[i] ?? 0), 0)),
	);
}

/**
 * The layers of a chart.
 *
 * @data  As align() gives it.
 * @by    "kind" or "process".
 *         Until those of processes have come, and where there are none, kinds are shown.
 * @more  Whether the task has processes beyond those in `data`.
 */
export function layersOf(panel, data, by, more) {
	if (by !== "process" || !panel.part || data.processes.length === 0) return panel.kinds(data.total);
	const shown = data.processes
		.slice(0, PARTS_MAX)
		.map(({ name, series }) => layer(name, panel.part(series), panel.key, { process: name }));

	if (more || data.processes.length > PARTS_MAX)
		shown.push(layer("others", others(panel.whole(data.total), shown), panel.key, { rest: true }));
	return shown;
}
