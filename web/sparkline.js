// SPDX-License-Identifier: Apache-2.0
// The small curves of CPU in the table of tasks: fetched for the rows that are seen, a few at a time.

import { askHistory } from "./api.js";
import { setAttribute } from "./dom.js";
import { stepFor } from "./series.js";

const POINTS = 60;
const AT_ONCE = 4;
/* A task at rest is a flat line, not noise blown up. */
const LEAST_CORES = 0.1;
/* The plane of a curve; it is stretched to the place it has. */
const SPARK_WIDTH = 120;
const SPARK_HEIGHT = 24;

export class Sparklines {
	#known = new Map(); // Task -> {times, values, loaded}.
	#wanted = new Set();
	#busy = 0;
	#window = null;
	#step = 0;
	#key = "";
	#onLoad;

	/** @onLoad  Called with a task whose curve has come. */
	constructor(onLoad) {
		this.#onLoad = onLoad;
	}

	/** Say which window is shown. Another one, not one that merely moves on, begins anew. */
	setWindow(window, intervalSeconds) {
		const span = Math.round(window.to - window.from);
		const step = stepFor(span, POINTS, intervalSeconds);
		const grows = this.#window?.moves && window.moves && step === this.#step;
		const key = window.moves ? `live ${step}` : `${window.from} ${window.to}`;

		this.#window = window;
		this.#step = step;
		if (key !== this.#key && !grows) this.#known.clear();
		this.#key = key;
	}

	/** Points of a task, or null: they are on their way. */
	get(task) {
		const known = this.#known.get(task);
		if (!known?.loaded) this.#wanted.add(task);
		return known?.loaded ? known : null;
	}

	/** Fetch what was asked for by get() since the last call, and nothing else. */
	fetch() {
		while (this.#busy < AT_ONCE && this.#wanted.size) {
			const [task] = this.#wanted;
			this.#wanted.delete(task);
			if (!this.#known.get(task)) this.#load(task);
		}
	}

	/** Forget wishes: other rows are seen now. */
	forgetWishes() {
		this.#wanted.clear();
	}

	async #load(task) {
		const entry = { times: [], values: [], loaded: false };
		const { from, to } = this.#window;

		this.#known.set(task, entry);
		this.#busy++;
		try {
			const answer = await askHistory(task, { since: from, until: to, step: this.#step, metrics: ["cpu_rate"] });
			entry.times = answer.times;
			entry.values = answer.series.cpu_rate;
			entry.loaded = true;
			if (this.#known.get(task) === entry) this.#onLoad(task);
		} catch {
			this.#known.delete(task); // Asked again when it is drawn again.
		} finally {
			this.#busy--;
			this.fetch();
		}
	}

	/** Go on with the newest figures, without asking for each. */
	append(tasks) {
		if (!this.#window?.moves) return;
		for (const { task, time, cpu_rate } of tasks) {
			const entry = this.#known.get(task);
			if (!entry?.loaded || time <= (entry.times.at(-1) ?? 0)) continue;
			const slot = (t) => Math.floor(t / (this.#step || 0.001));
			if (entry.times.length && slot(entry.times.at(-1)) === slot(time)) {
				entry.times.pop();
				entry.values.pop();
			}
			entry.times.push(time);
			entry.values.push(cpu_rate);
			while (entry.times[0] < this.#window.from) {
				entry.times.shift();
				entry.values.shift();
			}
		}
	}

	/** Draw a task's curve in a Spark; `at` is the instant to mark, or null. */
	draw(spark, task, at) {
		if (!this.#window) return;
		const points = this.get(task);
		const size = { width: SPARK_WIDTH, height: SPARK_HEIGHT, least: LEAST_CORES };
		spark.put(points && curvePaths(points, this.#window, size), at === null ? null : scaleX(at, this.#window, SPARK_WIDTH));
	}
}

/** A curve of a row, as shapes: a bitmap for each row would be a layer of its own to put together. */
export class Spark {
	constructor() {
		[this.area, this.line, this.mark] = ["area", "line", "mark"].map((name) => shape("path", { class: name }));
		this.element = shape("svg", {
			class: "spark", viewBox: `0 0 ${SPARK_WIDTH} ${SPARK_HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true",
		});
		this.element.append(this.area, this.line, this.mark);
	}

	/** Show paths of curvePaths(), or null: none; and a mark at x, or null. */
	put(paths, x) {
		setAttribute(this.area, "d", paths?.area || null);
		setAttribute(this.line, "d", paths?.line || null);
		setAttribute(this.mark, "d", x === null ? null : `M${x.toFixed(1)} 0V${SPARK_HEIGHT}`);
	}
}

function shape(name, attributes) {
	const element = document.createElementNS("http://www.w3.org/2000/svg", name);
	for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
	return element;
}

export function scaleX(time, window, width) {
	return ((time - window.from) / (window.to - window.from)) * width;
}

/** A line and the area under it as SVG paths, {line, area}; they break where there is nothing. */
export function curvePaths({ times, values }, window, { width, height, least }) {
	const top = values.reduce((most, value) => Math.max(most, value ?? 0), least) * 1.05;
	const x = (i) => scaleX(times[i], window, width).toFixed(1);
	const y = (i) => (height - 1 - (values[i] / top) * (height - 2)).toFixed(1);
	const pieces = [];
	let piece = null;

	values.forEach((value, i) => {
		if (value === null) piece = null;
		else if (piece) piece.push(i);
		else pieces.push((piece = [i]));
	});
	const lines = pieces.map((points) => `M${points.map((i) => `${x(i)} ${y(i)}`).join("L")}`);
	const areas = pieces.map((points, n) => `${lines[n]}L${x(points.at(-1))} ${height}L${x(points[0])} ${height}Z`);
	return { line: lines.join(""), area: areas.join("") };
}

/** Draw a curve on a canvas so large. */
export function drawCurve(context, points, window, { width, height, colours, least }) {
	const { line, area } = curvePaths(points, window, { width, height, least });

	context.lineWidth = 1.25;
	context.lineJoin = "round";
	context.fillStyle = colours.fill;
	context.fill(new Path2D(area));
	context.strokeStyle = colours.line;
	context.stroke(new Path2D(line));
}
