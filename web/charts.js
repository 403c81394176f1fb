// SPDX-License-Identifier: Apache-2.0
// One chart: layers on a time axis (uPlot), a legend that tells the figures under the cursor, and
// marks where processes began and ended.

import { el, setAttribute, setText, themeColours } from "./dom.js";
import { clock, tick } from "./format.js";
import { putFigure } from "./tooltip.js";

const { uPlot } = globalThis;

const GUTTER = 72;
const RIGHT = 52;
const HEIGHT = 190;
const BINARY = Array.from({ length: 50 }, (_, i) => 2 ** i);
const MARKS_NAMED = 6;

/* Opaque, so that layers may be drawn one over the other, the highest first. */
function mix(colour, over, part) {
	const parse = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
	const [a, b] = [parse(colour), parse(over)];
	return `rgb(${a.map((value, i) => Math.round(value * part + b[i] * (1 - part))).join(" ")})`;
}

function palette() {
	const names = Array.from({ length: 8 }, (_, i) => `s${i}`);
	const colours = themeColours(...names, "rest", "surface", "line", "dim", "text", "start", "end");
	return { ...colours, series: names.map((name) => colours[name]) };
}

/* Each layer upon the sum of those below it. Where one is absent it has a gap, not the others. */
function stack(layers) {
	const below = layers[0]?.values.map(() => 0) ?? [];
	return layers.map(({ line, values }) =>
		line ? values : values.map((value, i) => (value === null ? null : (below[i] += value))),
	);
}

export class Chart {
	#panel;
	#hooks;
	#plot = null;
	#signature = "";
	#shown = null; // What show() was given.
	#at = null;
	#dragged = false;

	/**
	 * @panel  Of PANELS.
	 * @hooks  {onZoom(from, to), onReset(), onPick(time), sync}: the last three may be missing.
	 */
	constructor(parent, panel, hooks) {
		this.#panel = panel;
		this.#hooks = hooks;
		this.place = el("div.plot", { role: "img" });
		this.nothing = el("p.nothing", { hidden: true });
		this.legend = el("ul.legend");
		this.when = el("span.chart-when");
		const id = `chart-${panel.id}`;
		this.element = el(
			"figure.chart",
			{ "aria-labelledby": id, "data-chart": panel.id },
			el("figcaption", {}, el("h3", { id }, panel.title), el("span.unit", {}, panel.unit), this.when),
			el("div.plot-box", {}, this.place, this.nothing),
			this.legend,
		);
		parent.append(this.element);
		this.observer = new ResizeObserver(() => this.#resize());
		this.observer.observe(this.place);
	}

	destroy() {
		this.observer.disconnect();
		this.#plot?.destroy();
		this.element.remove();
	}

	/**
	 * Show layers.
	 *
	 * @window  {from, to}.
	 * @times   Of all layers.
	 * @layers  As layersOf() gives them.
	 * @marks   [{time, kind: "start"|"end", label}].
	 * @at      Instant to mark, or null.
	 * @why     Called with a layer: why it is absent, or null.
	 */
	show(what) {
		this.#shown = what;
		this.#at = what.at;
		const signature = what.layers.map(({ label, line }) => `${label}${line ? "|" : ""}`).join("\n");
		if (signature !== this.#signature || !this.#plot) {
			this.#signature = signature;
			this.#make();
		} else {
			this.#plot.setData(this.#data(), false);
			this.#rescale();
		}
		this.#tellNothing();
		this.#tell(this.#plot?.cursor.idx ?? null);
	}

	/* An empty chart says why it is empty. */
	#tellNothing() {
		const { layers, why } = this.#shown;
		const empty = layers.every(({ values }) => values.every((value) => value === null));
		this.element.hidden = empty && Boolean(this.#panel.optional);
		this.nothing.hidden = !empty;
		if (empty) setText(this.nothing, why?.(layers[0]) ?? "Nothing was sampled in this time");
	}

	/** Mark another instant. */
	mark(at) {
		this.#at = at;
		this.#plot?.redraw(false);
		this.#tell(this.#plot?.cursor.idx ?? null);
	}

	/** Colours have changed. */
	retheme() {
		if (this.#shown) this.#make();
	}

	/* ---- uPlot ---- */

	/* uPlot draws in order; the highest of the stack has to come first, lines last. */
	#order() {
		const layers = this.#shown.layers.map((_, i) => i);
		const isLine = (i) => Boolean(this.#shown.layers[i].line);
		return [...layers.filter((i) => !isLine(i)).reverse(), ...layers.filter(isLine)];
	}

	#data() {
		const stacked = stack(this.#shown.layers);
		return [this.#shown.times, ...this.#order().map((i) => stacked[i])];
	}

	#rescale() {
		const { from, to } = this.#shown.window;
		this.#plot.batch(() => {
			this.#plot.setScale("x", { min: from, max: to });
		});
	}

	#make() {
		this.colours = palette();
		this.#plot?.destroy();
		this.#plot = null;
		this.#makeLegend();
		if (!this.place.clientWidth) return; // Not laid out yet: #resize() comes.
		this.#plot = new uPlot(this.#options(), this.#data(), this.place);
		this.#rescale();
		this.#listen();
	}

	#resize() {
		const width = this.place.clientWidth;
		if (!width || !this.#shown) return;
		if (!this.#plot) this.#make();
		else if (this.#plot.width !== width) this.#plot.setSize({ width, height: HEIGHT });
	}

	#colourOf(i) {
		const { layers } = this.#shown;
		if (layers[i].rest) return this.colours.rest;
		return this.colours.series[i % this.colours.series.length];
	}

	#options() {
		const { layers } = this.#shown;
		const right = layers.some((layer) => layer.right);
		const least = this.#panel.least;
		return {
			width: this.place.clientWidth,
			height: HEIGHT,
			padding: [10, right ? 0 : RIGHT / 2, 0, 0],
			legend: { show: false },
			cursor: {
				sync: this.#hooks.sync && {
					key: this.#hooks.sync,
					setSeries: false,
					filters: { pub: (type) => type === "mousemove" || type === "mouseleave" },
				},
				drag: { x: true, y: false, setScale: false, dist: 5 },
				points: { size: 6 },
				y: false,
				bind: { dblclick: () => () => null },
			},
			scales: {
				x: { time: true },
				y: { range: (_, __, most) => [0, Math.max(least, (most ?? 0) * 1.08)] },
				right: { range: (_, __, most) => [0, Math.max(4, (most ?? 0) * 1.08)] },
			},
			axes: this.#axes(right),
			series: [{}, ...this.#order().map((i) => this.#series(i))],
			hooks: {
				draw: [(plot) => this.#drawMarks(plot)],
				setCursor: [(plot) => this.#tell(plot.cursor.idx)],
				setSelect: [(plot) => this.#zoomed(plot)],
			},
		};
	}

	#axes(right) {
		const font = `11px ${getComputedStyle(this.place).fontFamily}`;
		const common = {
			font, stroke: this.colours.dim, grid: { stroke: this.colours.line, width: 1 },
			ticks: { stroke: this.colours.line, width: 1, size: 4 },
		};
		const { format } = this.#panel;
		const axes = [
			{ ...common, size: 28, space: 78, grid: { show: false }, values: (_, at, __, ___, step) => at.map((t) => tick(t, step)) },
			{
				...common, size: GUTTER, space: 34, values: (_, at) => at.map((v) => (v === 0 ? "0" : format(v))),
				...(this.#panel.binary ? { incrs: BINARY } : {}),
			},
		];
		if (right)
			axes.push({
				...common, scale: "right", side: 1, size: RIGHT, grid: { show: false },
				values: (_, at) => at.map((v) => (Number.isInteger(v) ? v.toLocaleString("en-US") : "")),
			});
		return axes;
	}

	#series(i) {
		const { line, right } = this.#shown.layers[i];
		const colour = this.#colourOf(i);
		return {
			label: this.#shown.layers[i].label,
			scale: right ? "right" : "y",
			stroke: colour,
			width: line ? 1.5 : 1.25,
			dash: line ? [5, 4] : undefined,
			fill: line ? undefined : mix(colour, this.colours.surface, 0.38),
			points: { show: (_, __, first, last) => last - first < 2, size: 5 },
		};
	}

	#listen() {
		const { over } = this.#plot;
		over.addEventListener("mousedown", () => (this.#dragged = false));
		over.addEventListener("click", (event) => {
			if (this.#dragged || event.detail > 1) return;
			this.#hooks.onPick?.(this.#plot.posToVal(event.offsetX, "x"));
		});
		over.addEventListener("dblclick", () => this.#hooks.onReset?.());
	}

	#zoomed(plot) {
		const { left, width } = plot.select;
		if (width < 5) return;
		this.#dragged = true;
		const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
		plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
		this.#hooks.onZoom(from, to);
	}

	/* ---- marks ---- */

	#drawMarks(plot) {
		const { ctx, bbox } = plot;
		const ratio = uPlot.pxRatio;
		const { from, to } = this.#shown.window;
		const marks = this.#shown.marks.filter(({ time }) => time >= from && time <= to);

		ctx.save();
		ctx.font = `${10 * ratio}px ${getComputedStyle(this.place).fontFamily}`;
		for (const { time, kind, label } of marks) {
			const x = Math.round(plot.valToPos(time, "x", true));
			const way = kind === "start" ? 1 : -1;
			ctx.fillStyle = ctx.strokeStyle = this.colours[kind];
			ctx.setLineDash([2 * ratio, 3 * ratio]);
			ctx.beginPath();
			ctx.moveTo(x, bbox.top);
			ctx.lineTo(x, bbox.top + bbox.height);
			ctx.stroke();
			ctx.beginPath();
			ctx.moveTo(x, bbox.top);
			ctx.lineTo(x + way * 7 * ratio, bbox.top + 4 * ratio);
			ctx.lineTo(x, bbox.top + 8 * ratio);
			ctx.fill();
			if (marks.length > MARKS_NAMED) continue;
			ctx.textAlign = way > 0 ? "left" : "right";
			ctx.textBaseline = "top";
			ctx.fillText(label.slice(0, 24), x + way * 10 * ratio, bbox.top);
		}
		if (this.#at !== null && this.#at >= from && this.#at <= to) {
			ctx.setLineDash([]);
			ctx.fillStyle = this.colours.text;
			ctx.fillRect(Math.round(plot.valToPos(this.#at, "x", true)), bbox.top, ratio, bbox.height);
		}
		ctx.restore();
	}

	/* ---- legend ---- */

	#makeLegend() {
		this.items = this.#shown.layers.map(({ label, line }, i) => {
			const swatch = el(`i.swatch${line ? ".dashed" : ""}`);
			swatch.style.setProperty("--colour", this.#colourOf(i));
			return el("li", {}, swatch, el("span.name", { title: label }, label), " ", el("b.value"));
		});
		this.legend.replaceChildren(...this.items);
	}

	/* The point under the cursor; without one that of the instant shown, or the last. */
	#indexAt(cursor) {
		const { times } = this.#shown;
		if (cursor !== null && cursor !== undefined) return cursor;
		if (this.#at === null) return times.length - 1;
		let best = -1;
		times.forEach((time, i) => {
			if (best < 0 || Math.abs(time - this.#at) < Math.abs(times[best] - this.#at)) best = i;
		});
		return best;
	}

	#tell(cursor) {
		if (!this.#shown || !this.items) return;
		const { times, layers, why } = this.#shown;
		const index = this.#indexAt(cursor);
		const said = layers.map((layer, i) => {
			const text = (layer.format ?? this.#panel.format)(layer.values[index] ?? null);
			putFigure(this.items[i].lastChild, text, why?.(layer) ?? "nothing was sampled then");
			return `${layer.label} ${text ?? "not known"}`;
		});
		setText(this.when, cursor === null || cursor === undefined ? "" : clock(times[index]));
		if (cursor === null || cursor === undefined)
			setAttribute(this.place, "aria-label", `${this.#panel.title}, ${this.#panel.unit}: ${said.join(", ")}`);
	}
}
