// SPDX-License-Identifier: Apache-2.0
// Why a figure is absent: shown where it would stand, for the mouse, the keyboard and those who listen.

import { el } from "./dom.js";

const MARK = "–";
let bubble = null;

function place(target) {
	const box = target.getBoundingClientRect();
	const width = bubble.offsetWidth;
	const left = Math.max(8, Math.min(box.left + box.width / 2 - width / 2, innerWidth - width - 8));
	const above = box.top - bubble.offsetHeight - 6;

	bubble.style.left = `${left}px`;
	bubble.style.top = `${above > 4 ? above : box.bottom + 6}px`;
}

function show(event) {
	const target = event.target.closest?.("[data-why]");
	if (!target) return hide();
	bubble.textContent = target.dataset.why;
	bubble.hidden = false;
	place(target);
}

function hide() {
	bubble.hidden = true;
}

/** Begin to show reasons; once for a page. */
export function startTooltips() {
	bubble = el("div.tooltip", { "aria-hidden": "true", hidden: true });
	document.body.append(bubble);
	for (const event of ["pointerover", "focusin"]) document.addEventListener(event, show);
	for (const event of ["focusout", "scroll"]) document.addEventListener(event, hide, true);
	document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
}

/**
 * Put a figure into an element, or a dash that tells why there is none.
 *
 * @text    null: absent.
 * @reason  Why; a dash without one cannot be focused.
 */
export function putFigure(element, text, reason) {
	const known = text !== null && text !== undefined;
	const why = known ? null : (reason ?? null);
	const shown = known ? text : MARK;
	if (element.figureShown === shown && element.figureWhy === why) return;

	element.figureShown = shown;
	element.figureWhy = why;
	if (known || !why) element.textContent = shown;
	else element.replaceChildren(absent(why));
}

/** The dash itself. */
export function absent(why) {
	return el("span.absent", { tabindex: "0", role: "img", "aria-label": `not known: ${why}`, "data-why": why }, MARK);
}
