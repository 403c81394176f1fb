// SPDX-License-Identifier: Apache-2.0
// The keyboard. Fields that are typed in keep their keys.

const isField = (element) => element?.matches?.("input, select, textarea, [contenteditable]");

/**
 * Begin to listen.
 *
 * @actions  Key -> function(event); "Shift+ArrowLeft" where shift matters.
 */
export function startKeys(actions) {
	document.addEventListener("keydown", (event) => {
		if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
		if (document.querySelector("dialog[open]")) return;
		if (isField(event.target)) {
			if (event.key === "Escape") event.target.blur();
			return;
		}
		const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
		const action = (event.shiftKey && actions[`Shift+${name}`]) || actions[name];
		if (!action) return;
		event.preventDefault();
		action(event);
	});
}
