// SPDX-License-Identifier: Apache-2.0
// What the page shows, kept fresh: the newest figures while it is live, those of an instant when it
// is not. Says how it stands with the observer, and tries again by itself.

import { askStatus, askTasks } from "./api.js";

const STATUS_MS = 2000;
const LEAST_MS = 1000;
const RETRY_MOST_MS = 5000;

/* A rate needs an earlier sample. Long ago they lie as far apart as a minute. */
const GAPS = [2, 130];

/** How far apart two readings may be for a rate to mean the present, in intervals. */
const RATES = {
	io_read_rate: "io_read_bytes",
	io_write_rate: "io_write_bytes",
	wait_rate: "run_queue_wait_seconds",
};

function rate(now, before, seconds, key) {
	const [a, b] = [now[key], before[key]];
	if (a === null || a === undefined || b === null || b === undefined || a < b) return null;
	return (a - b) / seconds;
}

function putRates(now, before, seconds) {
	for (const [name, key] of Object.entries(RATES))
		now[name] = before && seconds > 0 ? rate(now, before, seconds, key) : null;
	const [read, write] = [now.io_read_rate, now.io_write_rate];
	now.io_rate = read === null || write === null ? null : read + write;
}

/** Put the rates that come of two answers into the newer one's tasks and processes. */
export function deriveRates(answer, earlier) {
	const before = new Map((earlier?.tasks ?? []).map((task) => [task.task, task]));
	for (const task of answer.tasks) {
		const was = before.get(task.task);
		const seconds = was ? task.time - was.time : 0;
		const parts = new Map((was?.processes ?? []).map((process) => [process.process, process]));

		putRates(task, was, seconds);
		for (const process of task.processes) putRates(process, parts.get(process.process), seconds);
	}
}

/** Metrics that a table of tasks needs, by its keys. */
export function metricsBehind(keys) {
	const counters = (key) => (key === "io_rate" ? ["io_read_bytes", "io_write_bytes"] : [RATES[key] ?? key]);
	return [...new Set([...keys.flatMap(counters), ...(keys.includes("cpu_rate") ? ["cpu_user_seconds"] : [])])];
}

/** Why a figure of a task or process is absent. */
export function whyAbsent(figures, key) {
	if (key === "io_rate") return whyAbsent(figures, "io_read_rate") ?? whyAbsent(figures, "io_write_rate");
	const counter = RATES[key] ?? (key === "cpu_rate" ? "cpu_user_seconds" : key);
	if (figures[key] !== null && figures[key] !== undefined) return null;
	if (!(key in figures)) return "it is being asked for";
	return figures.missing?.[counter] ?? "two samples make a rate, and there is one so far";
}

export class Feed {
	/** Newest or chosen answer of /api/v1/tasks, with rates; null before the first. */
	answer = null;
	/** Answer of /api/v1/status; null before the first. */
	status = null;
	/** What there is of history, seconds since the epoch; null: not known yet. */
	reach = { first: null, last: null };
	/** "loading", "fine", "stale" or "lost"; the last two bear a message. */
	health = { kind: "loading", message: "" };

	#at = null;
	#metrics = null; // Wanted; null: all.
	#newest = null; // The last live answer, and `metrics`: those it was asked for.
	#advanced = performance.now(); // When a newer tick was last seen.
	#statusAt = -Infinity;
	#failures = 0;
	#failing = "";
	#wake = null;
	#seeking = null;
	#onAnswer;
	#onHealth;

	/** @onAnswer  Called when another answer is shown. @onHealth  Called when health changes. */
	constructor(onAnswer, onHealth) {
		this.#onAnswer = onAnswer;
		this.#onHealth = onHealth;
	}

	get intervalSeconds() {
		return this.status?.interval_seconds || 1;
	}

	get live() {
		return this.#at === null;
	}

	/** When the newest tick was taken, as the observer's clock has it. */
	get now() {
		return this.reach.last ?? this.answer?.time ?? Date.now() / 1000;
	}

	start(at) {
		this.#at = at;
		setInterval(() => this.#judge(), 1000);
		document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
		addEventListener("online", () => this.#hurry());
		this.#loop();
		if (at !== null) this.#seek();
	}

	/** Show an instant, or with null the present. */
	show(at) {
		if (at === this.#at) return;
		this.#at = at;
		if (at === null) {
			if (this.#newest) this.#put(this.#newest);
			this.#hurry();
		} else {
			this.#seek();
		}
	}

	/** Ask for these metrics alone from now on, by one and the same array; null: all. */
	want(metrics) {
		if (metrics === this.#metrics) return;
		this.#metrics = metrics;
		if (metrics !== null) return; // What there is has more than that.
		if (this.live) this.#hurry();
		else this.#seek();
	}

	#put(answer) {
		this.answer = answer;
		this.#onAnswer();
	}

	/* ---- the present ---- */

	async #loop() {
		for (;;) {
			const begun = performance.now();
			try {
				await this.#poll(begun);
				this.#failures = 0;
			} catch (error) {
				this.#failures++;
				this.#failing = error.name === "TimeoutError" ? "it took too long" : error.message;
			}
			this.#judge();
			await this.#pause(this.#delay() - (performance.now() - begun));
		}
	}

	#delay() {
		if (this.#failures) return Math.min(RETRY_MOST_MS, LEAST_MS * 2 ** (this.#failures - 1));
		return Math.max(LEAST_MS, this.intervalSeconds * 1000);
	}

	#pause(milliseconds) {
		return new Promise((resolve) => {
			const timer = setTimeout(resolve, Math.max(50, milliseconds));
			this.#wake = () => {
				clearTimeout(timer);
				resolve();
			};
		});
	}

	#hurry() {
		this.#wake?.();
	}

	async #poll(begun) {
		if (!this.status || begun - this.#statusAt >= STATUS_MS || this.#failures) {
			this.#takeStatus(await askStatus());
			this.#statusAt = begun;
		}
		if (!this.live) return;
		const metrics = this.#metrics;
		const answer = await askTasks(null, metrics);
		const last = this.#newest;
		if (answer.time === last?.time && (metrics === last.metrics || last.metrics === null)) return;
		deriveRates(answer, last?.time < answer.time ? last : await this.#earlier(answer, null, metrics));
		answer.metrics = metrics;
		this.#newest = answer;
		this.#reachTo(answer.time);
		if (this.live) this.#put(answer);
	}

	#takeStatus(status) {
		this.status = status;
		this.reach.first = status.history.first ?? status.started;
		if (status.last_tick !== null) this.#reachTo(status.last_tick);
	}

	#reachTo(time) {
		if (this.reach.last !== null && time <= this.reach.last) return;
		this.reach.last = time;
		this.#advanced = performance.now();
	}

	/* ---- the past ---- */

	/* One question at a time, and then the newest wish: a dragged bar asks for more than can be had. */
	async #seek() {
		if (this.#seeking !== null) return;
		const wish = () => `${this.#at} ${this.#metrics}`;
		while (this.#at !== null && this.#seeking !== wish()) {
			const [at, metrics] = [this.#at, this.#metrics];
			this.#seeking = wish();
			try {
				const answer = await askTasks(at, metrics);
				deriveRates(answer, await this.#earlier(answer, at, metrics));
				if (this.#at !== null) this.#put(answer);
			} catch (error) {
				this.#failures++;
				this.#failing = error.message;
				this.#judge();
				await new Promise((resolve) => setTimeout(resolve, LEAST_MS));
				this.#seeking = "";
			}
		}
		this.#seeking = null;
	}

	async #earlier(answer, at, metrics) {
		const time = at ?? answer.time;
		let earlier = null;

		if (answer.tasks.length === 0) return null;
		for (const gap of GAPS) {
			earlier = await askTasks(time - Math.max(gap, 2 * this.intervalSeconds), metrics);
			const times = new Map(earlier.tasks.map((task) => [task.task, task.time]));
			if (answer.tasks.some((task) => times.has(task.task) && times.get(task.task) < task.time)) break;
		}
		return earlier;
	}

	/* ---- health ---- */

	#judge() {
		const quiet = (performance.now() - this.#advanced) / 1000;
		const patience = Math.max(3 * this.intervalSeconds, 3) + 1;
		let health = { kind: this.answer ? "fine" : "loading", message: "" };

		if (this.#failures)
			health = { kind: "lost", message: `No answer from the observer (${this.#failing}). Trying again` };
		else if (this.status && (this.status.stale || quiet > patience))
			health = { kind: "stale", message: "The observer has stopped sampling" };
		health.quiet = quiet;
		this.health = health;
		this.#onHealth();
	}
}
