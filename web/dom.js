// SPDX-License-Identifier: Apache-2.0
// Elements. Whatever a task chose (its name, its processes) enters the page as text only.

/** Make an element: el("td.number", {title: "…", onclick: f}, "text", child). */
export function el(what, properties, ...children) {
	const [tag, ...classes] = what.split(".");
	const element = document.createElement(tag);

	if (classes.length) element.className = classes.join(" ");
	for (const [name, value] of Object.entries(properties ?? {})) {
		if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
		else if (value !== null && value !== undefined && value !== false)
			element.setAttribute(name, value === true ? "" : value);
	}
	element.append(...children.filter((child) => child !== null && child !== undefined));
	return element;
}

/** Set the text where it is another: nothing is laid out anew for what stays. */
export function setText(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

/** Set or, with null, remove an attribute where it is another. */
export function setAttribute(element, name, value) {
	if (value === null || value === undefined) element.removeAttribute(name);
	else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** The colours of the theme in force, by name of the custom property without its dashes. */
export function themeColours(...names) {
	const style = getComputedStyle(document.documentElement);
	return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

/** A canvas's context in CSS pixels, its bitmap as fine as the screen. */
export function canvasContext(canvas, width, height) {
	const ratio = window.devicePixelRatio || 1;
	const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];

	if (canvas.width !== w) canvas.width = w;
	if (canvas.height !== h) canvas.height = h;
	const context = canvas.getContext("2d");
	context.setTransform(ratio, 0, 0, ratio, 0, 0);
	context.clearRect(0, 0, width, height);
	return context;
}
