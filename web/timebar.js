// SPDX-License-Identifier: Apache-2.0
// The time bar: the history under the hand. Everything below it shows the instant it stands at.

import { canvasContext, el, setAttribute, setText, themeColours } from "./dom.js";
import { ago, clock, dateTime, timeTicks } from "./format.js";
import { drawCurve, scaleX } from "./sparkline.js";
import { SPANS } from "./timewindow.js";

const AXIS_HEIGHT = 18;
const TICK_WIDTH = 90;
/* So near to the right end means the present. */
const LIVE_PIXELS = 6;

/** Steps of the keys, in parts of the window or intervals of sampling. */
const BIG_PART = 1 / 20;

export class TimeBar {
	#onPick;
	#onSpan;
	#window = null;
	#at = null;
	#now = 0;
	#first = null;
	#interval = 1;
	#curve = null;
	#marks = [];
	#dragging = false;

	/**
	 * @parent  Where it is put.
	 * @onPick  Called with an instant, or null for the present.
	 * @onSpan  Called with a span in seconds.
	 */
	constructor(parent, { onPick, onSpan }) {
		this.#onPick = onPick;
		this.#onSpan = onSpan;
		this.when = el("strong.when");
		this.rest = el("span.rest");
		this.liveButton = el("button.live", { type: "button", onclick: () => onPick(null) }, "Live");
		this.spans = el("div.choice", { role: "group", "aria-label": "Time on the bar" });
		for (const [seconds, label] of SPANS)
			this.spans.append(el("button", { type: "button", onclick: () => this.#onSpan(seconds) }, label));
		this.canvas = el("canvas", { "aria-hidden": "true" });
		this.thumb = el("div.thumb");
		this.track = el(
			"div.track",
			{ role: "slider", tabindex: "0", "aria-label": "Instant shown", "aria-orientation": "horizontal" },
			this.canvas,
			this.thumb,
		);
		const step = (name, label, direction) =>
			el("button.step", { type: "button", "aria-label": name, title: name, onclick: () => this.step(direction) }, label);
		parent.append(
			el(
				"div.bar-line",
				{},
				step("One step back (←)", "‹", -1),
				step("One step forward (→)", "›", 1),
				this.when,
				this.rest,
				el("span.stretch"),
				this.spans,
				this.liveButton,
			),
			this.track,
		);
		this.#listen();
	}

	#listen() {
		this.track.addEventListener("pointerdown", (event) => {
			if (event.button !== 0) return;
			this.track.setPointerCapture(event.pointerId);
			this.#dragging = true;
			this.#pickAt(event.clientX);
		});
		this.track.addEventListener("pointermove", (event) => this.#dragging && this.#pickAt(event.clientX));
		for (const name of ["pointerup", "pointercancel"])
			this.track.addEventListener(name, () => (this.#dragging = false));
		this.track.addEventListener("keydown", (event) => {
			if (event.key === "Home" && this.#first !== null) this.#pick(Math.max(this.#first, this.#window.from));
			else if (event.key === "End") this.#onPick(null);
			else if (event.key === "PageUp") this.step(1, true);
			else if (event.key === "PageDown") this.step(-1, true);
			else return;
			event.preventDefault();
		});
		new ResizeObserver(() => this.draw()).observe(this.track);
	}

	#pickAt(clientX) {
		if (!this.#window) return;
		const box = this.track.getBoundingClientRect();
		const part = Math.min(1, Math.max(0, (clientX - box.left) / box.width));
		const end = this.#now <= this.#window.to + this.#interval;
		if (end && clientX > box.right - LIVE_PIXELS) return this.#onPick(null);
		this.#pick(this.#window.from + part * (this.#window.to - this.#window.from));
	}

	/* To what was sampled: not before it, and what is later than the last sample is the present. */
	#pick(seconds) {
		if (seconds >= this.#now) return this.#onPick(null);
		const least = this.#first ?? seconds;
		this.#onPick(Math.round(Math.max(least, seconds) * 10) / 10);
	}

	/** Go a step forth (1) or back (-1): one interval, or a big part of the bar. */
	step(direction, big = false) {
		if (!this.#window) return;
		const span = this.#window.to - this.#window.from;
		const size = big ? span * BIG_PART : Math.max(this.#interval, span / 3600);
		this.#pick((this.#at ?? this.#now) + direction * size);
	}

	/** Show a window, an instant (null: the present) and what is known around it. */
	update({ window, at, now, first, interval, stale }) {
		this.#window = window;
		this.#at = at;
		this.#now = now;
		this.#first = first;
		this.#interval = interval;
		const shown = at ?? now;
		setText(this.when, clock(shown, now));
		setText(this.rest, at === null ? (stale ? "not fresh" : "live") : ago(now - at));
		this.rest.classList.toggle("is-live", at === null && !stale);
		setAttribute(this.liveButton, "aria-pressed", String(at === null));
		setAttribute(this.track, "aria-valuemin", Math.floor(Math.min(window.from, shown)));
		setAttribute(this.track, "aria-valuemax", Math.ceil(Math.max(window.to, shown)));
		setAttribute(this.track, "aria-valuenow", Math.round(shown));
		setAttribute(this.track, "aria-valuetext", at === null ? "live" : `${dateTime(at)}, ${ago(now - at)}`);
		this.draw();
	}

	/** Mark the chosen span; null: a stretch that is none of them. */
	markSpan(seconds) {
		SPANS.forEach(([span], i) =>
			setAttribute(this.spans.children[i], "aria-pressed", String(span === seconds)),
		);
	}

	/** The curve behind the bar ({times, values}, or null), and beginnings and ends to mark. */
	setCurve(curve, marks) {
		this.#curve = curve;
		this.#marks = marks;
		this.draw();
	}

	draw() {
		const width = this.track.clientWidth;
		const height = this.track.clientHeight;
		if (!this.#window || !width) return;
		const context = canvasContext(this.canvas, width, height);
		const colours = themeColours("accent", "accent-soft", "dim", "line", "hatch", "start", "end");
		const plot = height - AXIS_HEIGHT;

		this.#drawUnknown(context, plot, width, colours);
		if (this.#curve)
			drawCurve(context, this.#curve, this.#window, {
				width, height: plot, least: 0.05,
				colours: { line: colours.accent, fill: colours["accent-soft"] },
			});
		this.#drawMarks(context, plot, width, colours);
		this.#drawAxis(context, plot, width, colours);
		const at = Math.min(width, Math.max(0, scaleX(this.#at ?? this.#window.to, this.#window, width)));
		this.thumb.style.transform = `translateX(${at}px)`;
		this.thumb.hidden = this.#at === null && this.#now > this.#window.to + this.#interval;
		this.thumb.classList.toggle("is-live", this.#at === null);
	}

	/* Before the first sample there is nothing, which is not the same as zero. */
	#drawUnknown(context, plot, width, colours) {
		const until = this.#first === null ? 0 : scaleX(this.#first, this.#window, width);
		if (until < 1) return;
		context.save();
		context.beginPath();
		context.rect(0, 0, until, plot);
		context.clip();
		context.strokeStyle = colours.hatch;
		for (let x = -plot; x < until; x += 7) {
			context.beginPath();
			context.moveTo(x, plot);
			context.lineTo(x + plot, 0);
			context.stroke();
		}
		context.restore();
	}

	#drawMarks(context, plot, width, colours) {
		for (const { time, kind } of this.#marks) {
			if (time < this.#window.from || time > this.#window.to) continue;
			const x = scaleX(time, this.#window, width);
			context.fillStyle = colours[kind];
			context.beginPath();
			if (kind === "start") context.moveTo(x, 0), context.lineTo(x + 6, 3.5), context.lineTo(x, 7);
			else context.moveTo(x, 0), context.lineTo(x - 6, 3.5), context.lineTo(x, 7);
			context.fill();
		}
	}

	#drawAxis(context, plot, width, colours) {
		context.fillStyle = colours.line;
		context.fillRect(0, plot, width, 1);
		context.font = `11px ${getComputedStyle(this.track).fontFamily}`;
		context.textBaseline = "middle";
		for (const [time, text] of timeTicks(this.#window.from, this.#window.to, width / TICK_WIDTH)) {
			const x = scaleX(time, this.#window, width);
			context.fillStyle = colours.line;
			context.fillRect(x, plot, 1, 4);
			context.fillStyle = colours.dim;
			context.textAlign = x < 20 ? "left" : x > width - 20 ? "right" : "center";
			context.fillText(text, x, plot + 11);
		}
	}
}
