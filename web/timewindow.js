// SPDX-License-Identifier: Apache-2.0
// The stretch of time on the time bar and on all charts: one axis for the whole page.

import { state } from "./state.js";

const LEAST_SECONDS = 60;
const DEFAULT_SECONDS = 3600;

/** Spans that can be chosen; Infinity: all there is. */
export const SPANS = [
	[300, "5 min"],
	[3600, "1 h"],
	[21600, "6 h"],
	[86400, "1 d"],
	[Infinity, "All"],
];

let frozen = null; // The window while a past instant is shown: it stands still then.

function spanOf(reach) {
	const whole = Math.max(LEAST_SECONDS, reach.last - reach.first);
	return Math.min(state.span ?? DEFAULT_SECONDS, whole);
}

function freeze(reach) {
	const span = spanOf(reach);
	const to = state.at < reach.last - span ? Math.min(reach.last, state.at + span / 2) : reach.last;
	return { from: to - span, to, moves: false, span: state.span };
}

/**
 * The window.
 *
 * @reach   {first, last}, seconds since the epoch.
 * @return  {from, to, moves}: whether it moves along with the present; null: nothing is known yet.
 */
export function timeWindow(reach) {
	if (reach.first === null || reach.last === null) return null;
	if (state.from !== null) return { from: state.from, to: state.to, moves: false };
	if (state.at === null) {
		frozen = null;
		return { from: reach.last - spanOf(reach), to: reach.last, moves: true };
	}
	if (!frozen || frozen.span !== state.span || state.at < frozen.from || state.at > frozen.to)
		frozen = freeze(reach);
	return frozen;
}
