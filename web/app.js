// SPDX-License-Identifier: Apache-2.0
// The page: joins what is known (feed), what is wanted (state) and what shows it.

import { setText } from "./dom.js";
import { Feed } from "./feed.js";
import { clock, counted, duration } from "./format.js";
import { startKeys } from "./keys.js";
import { emptyMessage } from "./messages.js";
import { Overview, marksOf } from "./overview.js";
import { change, onChange, state } from "./state.js";
import { METRICS, TaskList } from "./tasklist.js";
import { TaskView } from "./taskview.js";
import { onTheme, startTheme } from "./theme.js";
import { TimeBar } from "./timebar.js";
import { timeWindow } from "./timewindow.js";
import { startTooltips } from "./tooltip.js";

const ZOOM = 2;

const byId = (id) => document.getElementById(id);
const main = byId("main");
const feed = new Feed(showAnswer, showHealth);
const bar = new TimeBar(byId("timebar"), {
	onPick: (at) => change({ at }),
	onSpan: (span) => change({ span, from: null, to: null }),
});
const list = new TaskList(main);
const view = new TaskView(main);
const overview = new Overview(() => drawBar());

/* ---- showing ---- */

function isStale() {
	return feed.health.kind === "stale" || feed.health.kind === "lost";
}

function drawBar() {
	const window = timeWindow(feed.reach);
	if (!window) return;
	const chosen = state.from !== null ? null : (state.span ?? 3600);
	bar.update({
		window, at: state.at, now: feed.now, first: feed.reach.first,
		interval: feed.intervalSeconds, stale: isStale(),
	});
	bar.markSpan(chosen);
	const tasks = feed.answer?.tasks ?? [];
	if (state.task === null) bar.setCurve(overview.curve, marksOf(tasks));
	else bar.setCurve(view.curve, marksOf(tasks.find(({ task }) => task === state.task)?.processes ?? []));
}

function drawList(window) {
	const tasks = feed.answer?.tasks ?? [];
	list.update(tasks, { window, at: state.at, interval: feed.intervalSeconds, live: feed.live });
	list.say(emptyMessage({
		answer: feed.answer, shown: list.count, filter: state.filter, at: state.at, first: feed.reach.first,
	}));
	if (window) overview.update(tasks, window, feed.intervalSeconds);
}

function drawTask(window) {
	view.update(state.task, {
		task: feed.answer?.tasks.find(({ task }) => task === state.task) ?? null,
		loaded: feed.answer !== null,
		window, at: state.at, now: feed.now, interval: feed.intervalSeconds,
	});
}

function draw() {
	const window = timeWindow(feed.reach);
	list.element.hidden = state.task !== null;
	view.element.hidden = state.task === null;
	feed.want(state.task === null ? METRICS : null);
	document.title = state.task === null ? "Tally" : `${state.task} – Tally`;
	if (state.task === null) drawList(window);
	else drawTask(window);
	drawBar();
}

function showAnswer() {
	draw();
	showHealth();
}

function showHealth() {
	const { kind, message, quiet } = feed.health;
	const status = byId("status");
	const alarm = byId("alarm");
	const known = feed.status;

	document.body.classList.toggle("is-stale", isStale());
	const bad = isStale();
	alarm.hidden = !bad;
	if (bad) {
		const last = feed.reach.last;
		setText(alarm, last === null ? `${message}.` : `${message}. The newest figures are of ${clock(last)}.`);
	}
	status.className = bad ? "late" : kind;
	if (kind === "loading") setText(status, "Asking the observer…");
	else if (bad) setText(status, quiet > 2 ? `${duration(Math.round(quiet))} old` : "not fresh");
	else if (known)
		setText(
			status,
			`${counted(known.tasks, "task", "tasks")} · ${counted(known.pids, "process", "processes")} · ${known.collector}`,
		);
	drawBar();
}

/* ---- changing ---- */

onChange((changed) => {
	if (changed.has("at")) feed.show(state.at);
	const leaves = changed.has("task");
	draw();
	if (leaves) scrollTo(0, 0);
});

onTheme(() => {
	view.retheme();
	drawBar();
});

function zoomBy(factor) {
	const window = timeWindow(feed.reach);
	if (!window) return;
	const span = (window.to - window.from) * factor;
	const middle = state.at ?? window.to;
	const to = Math.min(feed.now, middle + span / 2);
	const from = Math.max(feed.reach.first, to - span);
	if (to - from < 2) return;
	if (factor > 1 && to - from >= feed.now - feed.reach.first - 1) change({ from: null, to: null, span: Infinity });
	else change({ from, to });
}

/* The head of the table stays below what stays at the top. */
new ResizeObserver(([{ target }]) => document.documentElement.style.setProperty("--top", `${target.offsetHeight}px`))
	.observe(document.querySelector(".top"));
startTooltips();
startTheme(byId("theme"));
byId("help-button").addEventListener("click", () => byId("help").showModal());
startKeys({
	ArrowLeft: () => bar.step(-1),
	ArrowRight: () => bar.step(1),
	"Shift+ArrowLeft": () => bar.step(-1, true),
	"Shift+ArrowRight": () => bar.step(1, true),
	ArrowDown: () => state.task === null && list.focusFirst(),
	l: () => change({ at: null }),
	"+": () => zoomBy(1 / ZOOM),
	"=": () => zoomBy(1 / ZOOM),
	"-": () => zoomBy(ZOOM),
	0: () => change({ from: null, to: null, span: null }),
	p: () => state.task !== null && change({ by: state.by === "kind" ? "process" : "kind" }),
	"/": () => state.task === null && list.focusFilter(),
	"?": () => byId("help").showModal(),
	Escape: () => state.task !== null && view.close(),
});
feed.start(state.at);
draw();
