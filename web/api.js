// SPDX-License-Identifier: Apache-2.0
// The observer's answers (docs/openapi.yaml).

const TIMEOUT_MS = 15000;

/** An answer that says why there is none. */
export class Refused extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

async function ask(path, parameters, signal) {
	const query = new URLSearchParams();
	for (const [key, value] of Object.entries(parameters ?? {}))
		if (value !== null && value !== undefined) query.set(key, value);

	const late = AbortSignal.timeout(TIMEOUT_MS);
	const text = query.toString();
	const answer = await fetch(`${path}${text ? `?${text}` : ""}`, {
		signal: signal && AbortSignal.any ? AbortSignal.any([signal, late]) : late,
	});
	if (answer.ok) return answer.json();
	const body = await answer.json().catch(() => null);
	throw new Refused(answer.status, body?.error ?? answer.statusText);
}

/* Tenths of a millisecond: what the observer's own times have, and no more than a double holds. */
const instant = (seconds) => (seconds === null || seconds === undefined ? null : seconds.toFixed(4));

/** All tasks, now or at an instant, with the metrics named; null: with all. */
export function askTasks(at, metrics) {
	return ask("/api/v1/tasks", { at: instant(at), metrics: metrics?.join(",") });
}

/** The observer itself. */
export function askStatus(signal) {
	return ask("/api/v1/status", {}, signal);
}

/** The samples of a task or process, as columns, counters as rates. */
export function askHistory(task, { process, since, until, step, metrics }, signal) {
	return ask(
		`/api/v1/tasks/${encodeURIComponent(task)}/history`,
		{
			process,
			since: instant(since),
			until: instant(until),
			step: step ? `${Math.round(step * 1000)}ms` : null,
			metrics: metrics.join(","),
			rate: 1,
		},
		signal,
	);
}
