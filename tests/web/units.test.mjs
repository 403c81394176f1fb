// SPDX-License-Identifier: Apache-2.0
// Parts of the page that need no browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { filterTasks, sortTasks } from "../../web/columns.js";
import * as format from "../../web/format.js";
import { PANELS, layersOf } from "../../web/panels.js";
import { Column, TASK_METRICS, align, less, stepFor, sum } from "../../web/series.js";
import { ROOT } from "./harness.mjs";

test("bytes have three digits and a binary unit, and what is absent stays absent", () => {
	assert.equal(format.bytes(0), "0 B");
	assert.equal(format.bytes(1023), "1023 B");
	assert.equal(format.bytes(1024), "1.00 KiB");
	assert.equal(format.bytes(1048575), "1.00 MiB");
	assert.equal(format.bytes(129.4 * 1024 * 1024), "129 MiB");
	for (const name of ["bytes", "byteRate", "cores", "count", "duration", "clock", "dateTime"])
		assert.equal(format[name](null), null, name);
});

test("a little CPU is not shown as none", () => {
	assert.equal(format.cores(0), "0.00");
	assert.equal(format.cores(0.001), "<0.01");
	assert.equal(format.cores(1.237), "1.24");
});

test("durations name at most two units", () => {
	assert.equal(format.duration(0.123), "0.12 s");
	assert.equal(format.duration(252), "4 min 12 s");
	assert.equal(format.duration(3600), "1 h");
	assert.equal(format.duration(183840), "2 d 3 h");
});

test("labels of a time axis lie on round times, and are no more than there is room for", () => {
	for (const span of [10, 60, 3600, 86400, 2592000]) {
		const ticks = format.timeTicks(1795500000, 1795500000 + span, 8);
		assert.ok(ticks.length >= 1 && ticks.length <= 9, `${span}: ${ticks.length}`);
	}
});

test("what is absent is sorted last, up and down", () => {
	const tasks = [["a", 1], ["b", null], ["c", 3]].map(([task, rss_bytes]) => ({ task, rss_bytes }));
	const order = (by) => sortTasks(tasks, by).map(({ task }) => task).join("");
	assert.equal(order("-memory"), "cab");
	assert.equal(order("memory"), "acb");
	assert.equal(order("-task"), "cba");
});

test("a filter needs all of its words, in names of processes too", () => {
	const tasks = [
		{ task: "shop/3", source: "pid", state: "active", processes: [{ process: "web" }] },
		{ task: "db", source: "pid", state: "active", processes: [{ process: "postgres" }] },
	];
	const found = (text) => filterTasks(tasks, text).map(({ task }) => task);
	assert.deepEqual(found("SHOP web"), ["shop/3"]);
	assert.deepEqual(found("post"), ["db"]);
	assert.deepEqual(found("shop post"), []);
	assert.equal(found("  ").length, 2);
});

test("a sum of columns is absent where one of them is, and a difference is never negative", () => {
	assert.deepEqual(sum([1, null, 3], [1, 1, 1]), [2, null, 4]);
	assert.deepEqual(less([5, 1, null], [2, 3, 1]), [3, 0, null]);
});

test("a step gives about so many points, and none where samples are fewer", () => {
	assert.equal(stepFor(60, 500, 1), 0);
	assert.equal(stepFor(3600, 500, 1), 10);
	assert.equal(stepFor(86400, 60, 1), 1800);
});

function answer(times, value) {
	return { times, series: Object.fromEntries(TASK_METRICS.map((key) => [key, times.map(() => value)])) };
}

test("a newer point takes the place of an older one of the same step", () => {
	const column = new Column();
	column.merge(answer([10, 12], 1), TASK_METRICS, 5);
	column.merge(answer([13, 16], 2), TASK_METRICS, 5);
	const { times, total } = align(column, new Map());
	assert.deepEqual(times, [13, 16]);
	assert.deepEqual(total.pids, [2, 2]);
});

test("a curve breaks where nothing was sampled for long", () => {
	const column = new Column();
	column.merge(answer([1, 2, 3, 60, 61], 1), TASK_METRICS, 0);
	assert.deepEqual(align(column, new Map()).total.pids, [1, 1, 1, null, 1, 1]);
});

test("others are what the task has beyond the processes that are shown", () => {
	const panel = PANELS.find(({ id }) => id === "memory");
	const series = { rss_bytes: [10, null] };
	const layers = layersOf(panel, {
		total: { rss_bytes: [100, 50] },
		processes: [{ name: "web", series }],
	}, "process", true);
	assert.deepEqual(layers.map(({ label, values }) => [label, values]), [["web", [10, null]], ["others", [90, 50]]]);
});

test("the charts' library is that of the lock file", { skip: readable() ? false : "run `npm ci` in web/" }, () => {
	for (const file of ["uPlot.iife.min.js", "uPlot.min.css"])
		assert.equal(
			readFileSync(join(ROOT, "web/vendor", file), "utf8"),
			readFileSync(join(ROOT, "web/node_modules/uplot/dist", file), "utf8"), file);
	const lock = JSON.parse(readFileSync(join(ROOT, "web/package-lock.json"), "utf8"));
	const head = readFileSync(join(ROOT, "web/vendor/uPlot.iife.min.js"), "utf8").slice(0, 200);
	assert.ok(head.includes(`v${lock.packages["node_modules/uplot"].version}`));
});

function readable() {
	try {
		readFileSync(join(ROOT, "web/node_modules/uplot/package.json"));
		return true;
	} catch {
		return false;
	}
}
