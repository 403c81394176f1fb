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

let edge = null; // Right end of the window while a past instant is shown: it stands still then.

function spanOf(reach) {
	const whole = Math.max(LEAST_SECONDS, reach.last - reach.first);
	return Math.min(state.span ?? DEFAULT_SECONDS, whole);
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

	const span = spanOf(reach);
	if (state.at === null) {
		edge = null;
		return { from: reach.last - span, to: reach.last, moves: true };
	}
	if (edge === null || state.at > edge) edge = reach.last;
	if (state.at < edge - span) edge = Math.min(reach.last, state.at + span / 2);
	return { from: edge - span, to: edge, moves: false };
}
