// SPDX-License-Identifier: Apache-2.0
// The tasks of /api/v1/tasks as a table. Whatever a task chose (its name, its processes) is only ever
// put into the page as text.

const POLL_MS = 2000;

const status = document.getElementById("status");
const body = document.getElementById("tasks");
const empty = document.getElementById("empty");

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

function bytes(value) {
	if (value === null || value === undefined) return null;
	let unit = 0;
	while (value >= 1024 && unit < UNITS.length - 1) {
		value /= 1024;
		unit++;
	}
	return `${unit ? value.toFixed(1) : value} ${UNITS[unit]}`;
}

function cores(value) {
	return value === null ? null : value.toFixed(2);
}

function cell(text, reason, number) {
	const td = document.createElement("td");
	td.textContent = text ?? "–";
	if (text === null && reason) td.title = reason;
	if (number) td.className = "number";
	return td;
}

function row(name, state, figures, kind) {
	const missing = figures.missing ?? {};
	const tr = document.createElement("tr");
	tr.className = kind;
	tr.append(
		cell(name),
		cell(state),
		cell(cores(figures.cpu_rate), missing.cpu_user_seconds ?? "two samples make a rate", true),
		cell(bytes(figures.rss_bytes), missing.rss_bytes, true),
		cell(kind === "task" ? bytes(figures.disk_bytes) : "", missing.disk_bytes, true),
		cell(figures.pids === null ? null : String(figures.pids), missing.pids, true),
	);
	return tr;
}

function rowsOf(task) {
	const rows = [row(task.task, task.state, task, "task")];
	if (task.processes.length > 1)
		for (const process of task.processes)
			rows.push(row(process.process, process.life, process, "process"));
	return rows;
}

function show(answer) {
	const tasks = answer.tasks.filter((task) => task.ended === null || task.pids > 0);
	const stale = tasks.some((task) => task.stale);
	body.replaceChildren(...tasks.flatMap(rowsOf));
	empty.hidden = tasks.length > 0;
	status.className = stale ? "late" : "";
	status.textContent = stale
		? "The observer has stopped sampling: these figures are old."
		: `As of ${new Date(answer.time * 1000).toLocaleTimeString()}`;
}

async function poll() {
	try {
		const answer = await fetch("/api/v1/tasks");
		if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
		show(await answer.json());
	} catch (error) {
		status.className = "late";
		status.textContent = `No answer from the observer (${error.message}); trying again.`;
	}
	setTimeout(poll, POLL_MS);
}

poll();
