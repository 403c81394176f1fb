// SPDX-License-Identifier: Apache-2.0
// Figures as people read them. What is absent is null, and stays so.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** Three significant digits: 1.23, 12.3, 123. */
function digits(value) {
	const size = Math.abs(value);
	return value.toFixed(size >= 100 || value === 0 ? 0 : size >= 10 ? 1 : 2);
}

export function bytes(value) {
	if (value === null || value === undefined) return null;
	let unit = 0;
	while (Math.abs(value) >= 1023.5 && unit < UNITS.length - 1) {
		value /= 1024;
		unit++;
	}
	return `${unit === 0 ? Math.round(value) : digits(value)} ${UNITS[unit]}`;
}

export function byteRate(value) {
	const text = bytes(value);
	return text === null ? null : `${text}/s`;
}

/** CPUs in use, or waited for. */
export function cores(value) {
	if (value === null || value === undefined) return null;
	return value > 0 && value < 0.005 ? "<0.01" : value.toFixed(value >= 100 ? 1 : 2);
}

const wholeNumbers = new Intl.NumberFormat("en-US"); // toLocaleString() makes one each time.

/** A part of the time: 1 is all of it. */
export function share(value) {
	if (value === null || value === undefined) return null;
	return value > 0 && value < 0.0005 ? "<0.1 %" : `${(value * 100).toFixed(value >= 0.1 ? 0 : 1)} %`;
}

export function count(value) {
	if (value === null || value === undefined) return null;
	return wholeNumbers.format(Math.round(value));
}

/** 1 task, 2 tasks. */
export function counted(value, one, many) {
	return `${count(value)} ${value === 1 ? one : many}`;
}

/** 0.42 s, 12.3 s, 4 min 12 s, 3 h 5 min, 2 d 4 h. */
export function duration(seconds) {
	if (seconds === null || seconds === undefined) return null;
	if (seconds < 60) return `${seconds < 10 ? digits(seconds) : Math.round(seconds)} s`;
	const whole = Math.round(seconds);
	const parts = [
		[Math.floor(whole / 86400), "d"],
		[Math.floor(whole / 3600) % 24, "h"],
		[Math.floor(whole / 60) % 60, "min"],
		[whole % 60, "s"],
	];
	const first = parts.findIndex(([number]) => number > 0);
	return parts
		.slice(first, first + 2)
		.filter(([number]) => number > 0)
		.map(([number, unit]) => `${number} ${unit}`)
		.join(" ");
}

/** "now", "12 s ago", "14 min ago": coarser than duration(), so that it can be read while it runs. */
export function ago(seconds) {
	if (seconds < 1) return "now";
	if (seconds < 60) return `${Math.round(seconds)} s ago`;
	if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
	if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
	return `${Math.round(seconds / 86400)} d ago`;
}

const two = (number) => String(number).padStart(2, "0");

/** Local time of day, "08:03:04"; with the date when that is not today. */
export function clock(seconds, now = Date.now() / 1000) {
	if (seconds === null || seconds === undefined) return null;
	const date = new Date(seconds * 1000);
	const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
	const today = new Date(now * 1000);
	return date.toDateString() === today.toDateString() ? time : `${day(date)} ${time}`;
}

function day(date) {
	const months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
	return `${months[date.getMonth()]} ${date.getDate()}`;
}

/** A label of a time axis: as fine as its step, and the date at midnight. */
export function tick(seconds, step) {
	const date = new Date(seconds * 1000);
	if (step >= 86400 || (date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0))
		return day(date);
	const minutes = `${two(date.getHours())}:${two(date.getMinutes())}`;
	return step >= 60 ? minutes : `${minutes}:${two(date.getSeconds())}`;
}

/** Local date and time in full, for titles. */
export function dateTime(seconds) {
	if (seconds === null || seconds === undefined) return null;
	const date = new Date(seconds * 1000);
	const date10 = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
	return `${date10} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800];

/** The shortest of the steps people count time in that is at least so long. */
export function niceStep(seconds) {
	return STEPS.find((step) => step >= seconds) ?? Math.ceil(seconds / 604800) * 604800;
}

/** Where a time axis has labels: [[seconds, text]], on round local times. */
export function timeTicks(from, to, most) {
	const step = niceStep((to - from) / Math.max(1, most));
	const zone = new Date(to * 1000).getTimezoneOffset() * 60;
	const ticks = [];
	for (let at = Math.ceil((from - zone) / step) * step + zone; at <= to; at += step)
		ticks.push([at, tick(at, step)]);
	return ticks;
}
