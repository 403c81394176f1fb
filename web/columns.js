// SPDX-License-Identifier: Apache-2.0
// The columns of the table of tasks: what they show, what they are sorted by.

import { byteRate, bytes, cores, count, counted } from "./format.js";

/** What of a column: key of the figure, how it is read, and whether a bar shows its part. */
export const COLUMNS = [
	{ id: "task", label: "Task" },
	{ id: "cpu", label: "CPU", unit: "cores", hint: "Cores in use", key: "cpu_rate", format: cores, bar: true },
	{ id: "spark", label: "Over time", hint: "CPU over time" },
	{ id: "memory", label: "Memory", hint: "Resident memory", key: "rss_bytes", format: bytes, bar: true },
	{ id: "io", label: "I/O", hint: "Storage read and written, per second", key: "io_rate", format: byteRate },
	{ id: "wait", label: "Wait", unit: "cores", hint: "Cores it could have used, had they been free", key: "wait_rate", format: cores },
	{ id: "disk", label: "Disk", hint: "Disk usage of its sandbox", key: "disk_bytes", format: bytes },
	{ id: "pids", label: "Processes", hint: "Live operating-system processes", key: "pids", format: count },
];

/** "2 OOM kills"; null: none that is known of. */
export function oomText(figures) {
	const kills = figures?.oom_kills ?? 0;
	return kills > 0 ? counted(kills, "OOM kill", "OOM kills") : null;
}

function compareValues(a, b) {
	if (typeof a === "string") return a < b ? -1 : a > b ? 1 : 0;
	return a - b;
}

/**
 * Tasks in an order as "-cpu" (most first) or "task"; what is absent comes last in both.
 */
export function sortTasks(tasks, order) {
	const down = order.startsWith("-");
	const column = COLUMNS.find(({ id }) => id === order.replace("-", "")) ?? COLUMNS[0];
	const value = (task) => (column.id === "task" ? task.task : task[column.key]);

	return tasks.slice().sort((one, other) => {
		const [a, b] = [value(one), value(other)];
		const absent = (a === null || a === undefined) - (b === null || b === undefined);
		if (absent) return absent;
		const by = a === null || a === undefined ? 0 : compareValues(a, b);
		return (down ? -by : by) || compareValues(one.task, other.task);
	});
}

/** Tasks that have all the words in their name, their processes', source or state. */
export function filterTasks(tasks, text) {
	const words = text.toLowerCase().split(/\s+/).filter(Boolean);
	if (words.length === 0) return tasks;
	return tasks.filter((task) => {
		const names = task.processes.map((process) => process.process);
		const all = [task.task, task.source, task.state, ...names].join("\n").toLowerCase();
		return words.every((word) => all.includes(word));
	});
}
