// SPDX-License-Identifier: Apache-2.0
// An observer with real loads, and a browser that looks at it. All that a test starts ends with it.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, rmdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const TALLY = process.env.TALLY ?? join(ROOT, "build/src/cli/tally");
export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const require = createRequire(join(ROOT, "web/package.json"));

// A test that hangs is ended; nothing takes this long, not on a machine that is busy either.
export const PATIENCE = 60_000;

const FLAGS = [
	"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
	"--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** Why the tests cannot run here, or false. */
export const unable = !existsSync(CHROMIUM) ? `${CHROMIUM} is not there`
	: !existsSync(join(ROOT, "web/node_modules/playwright-core")) ? "run `npm ci` in web/"
	: !existsSync(TALLY) ? `${TALLY} is not there` : false;

export async function until(what, ask, patience = PATIENCE) {
	const end = Date.now() + patience;
	for (;;) {
		const answer = await ask();
		if (answer) return answer;
		if (Date.now() > end) throw new Error(`it did not come to pass: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 100));
	}
}

const folders = [];
const children = new Set();

export function folder() {
	const made = mkdtempSync(join(tmpdir(), "tally-web-"));
	folders.push(made);
	return made;
}

/** Start a process that is ended with the tests. */
export function start(command, ...words) {
	const child = spawn(command, words, { stdio: ["pipe", "pipe", "pipe"] });
	children.add(child);
	child.text = "";
	for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (child.text += data));
	child.stdin.on("error", () => null);
	child.on("error", () => null);
	child.on("exit", () => children.delete(child));
	return child;
}

export async function end(child, signal = "SIGTERM") {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const gone = new Promise((resolve) => child.once("exit", resolve));
	child.kill("SIGCONT");
	child.kill(signal);
	await gone;
}

export async function endAll() {
	for (const child of [...children].reverse()) await end(child, "SIGKILL");
	for (const made of folders) rmSync(made, { recursive: true, force: true });
}

/** Run the program to its end; what it wrote to standard output. */
export function tally(...words) {
	return execFileSync(TALLY, words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: PATIENCE });
}

export class Observer {
	static async start(sources, { port = 0, interval = "250ms", home = folder() } = {}) {
		const self = new Observer();
		self.home = home;
		self.store = join(home, "history.db");
		self.child = start(
			TALLY, "observe", "--listen", `127.0.0.1:${port}`, "--socket", join(home, "tally.sock"),
			"--collector", "procfs", "--interval", interval, "--store", self.store,
			...sources.flatMap((source) => ["--source", source]),
		);
		await until("the observer starts", () => {
			if (self.child.exitCode !== null) throw new Error(self.child.text);
			return self.child.text.includes("answers at");
		});
		self.url = /http:\/\/[\d.]+:\d+/.exec(self.child.text)[0];
		self.port = Number(self.url.split(":")[2]);
		return self;
	}

	async ask(path) {
		const answer = await fetch(this.url + path);
		if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
		return answer.json();
	}

	async task(id, at) {
		const { tasks } = await this.ask(`/api/v1/tasks${at === undefined ? "" : `?at=${at}`}`);
		return tasks.find(({ task }) => task === id) ?? null;
	}
}

/**
 * A process that sleeps until it is told to work, by a line on its standard input: then it takes
 * 64 MiB and computes. It ends by itself after half an hour, or with who started it.
 */
export function startLoad() {
	return start("/usr/bin/python3", "-c", `
import os, sys, threading, time
threading.Timer(1800, lambda: os._exit(0)).start()
if not sys.stdin.readline(): os._exit(0)
held = bytearray(os.urandom(1 << 20)) * 64
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
while True:
    end = time.time() + 0.2
    while time.time() < end: pass
    time.sleep(0.2)
`);
}

/**
 * A cgroup of version 2 with the same path in version 1's memory hierarchy where there is one, its
 * memory limited to 64 MiB where that can be done; null where none can be made.
 */
export function makeGroup() {
	const name = `tally-web-${process.pid}`;
	const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
	const mountOf = (test) => mounts.find(test)?.split(" ")[4];
	const unified = mountOf((line) => line.includes(" - cgroup2 "));
	const memory = mountOf((line) => / - cgroup .*[ ,]memory/.test(line));
	const made = [];

	if (!unified) return null;
	try {
		for (const mount of [unified, memory].filter(Boolean)) {
			mkdirSync(`${mount}/${name}`);
			made.push(`${mount}/${name}`);
		}
	} catch {
		for (const path of made) rmdirSync(path);
		return null;
	}
	for (const path of made)
		for (const file of ["memory.max", "memory.limit_in_bytes"])
			if (existsSync(`${path}/${file}`)) writeFileSync(`${path}/${file}`, String(64 << 20));
	return {
		name,
		start: (...words) => start("/bin/sh", "-c",
			`for path in ${made.join(" ")}; do echo $$ > $path/cgroup.procs; done; exec "$@"`, "sh", ...words),
		remove: () => until("the cgroup is empty", () => {
			for (const path of made.slice()) {
				if (readFileSync(`${path}/cgroup.procs`, "utf8")) return false;
				rmdirSync(path);
				made.splice(made.indexOf(path), 1);
			}
			return true;
		}),
	};
}

export function work(load) {
	load.stdin.write("work\n");
}

/* ---- the browser ---- */

export class Browser {
	/** What pages complained of, and asked of others than the observer. */
	complaints = [];

	static async start() {
		const self = new Browser();
		const { chromium } = require("playwright-core");
		self.chromium = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS, timeout: PATIENCE });
		self.version = self.chromium.version();
		return self;
	}

	/**
	 * Open an address.
	 *
	 * @forgive  Complaints that match are expected: of an observer that was ended, say.
	 */
	async open(url, { width = 1280, height = 800, dark = false, forgive = null } = {}) {
		const context = await this.chromium.newContext({
			viewport: { width, height }, colorScheme: dark ? "dark" : "light", reducedMotion: "reduce",
		});
		const page = await context.newPage();
		const origin = url.startsWith("file:") ? "file://" : new URL(url).origin;
		const complain = (text) => (forgive?.test(text) ? null : this.complaints.push(`${url}: ${text}`));

		page.setDefaultTimeout(PATIENCE);
		page.on("console", (message) => ["error", "warning"].includes(message.type()) && complain(message.text()));
		page.on("pageerror", (error) => complain(error.stack));
		page.on("request", (request) => {
			const to = request.url();
			if (!to.startsWith(origin) && !to.startsWith("data:")) complain(`asked ${to}`);
		});
		await page.goto(url);
		return page;
	}

	/** Serious and critical findings of axe-core. */
	async axe(page) {
		// By the debugger: the policy of the page refuses scripts of others, as it should.
		await page.evaluate(readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
		const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"], preload: false }));
		return violations
			.filter(({ impact }) => ["serious", "critical"].includes(impact))
			.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("\n")}`);
	}

	async end() {
		await this.chromium.close();
	}
}

/** The rows of the table of tasks as {task, cpu, memory, …} of texts. */
export function rows(page) {
	return page.$$eval(".rows > .row", (elements) =>
		elements.map((row) => ({
			task: row.querySelector("a").textContent,
			...Object.fromEntries([...row.querySelectorAll(".cell")].map((cell) =>
				[/c-(\w+)/.exec(cell.className)[1], cell.querySelector("a")?.textContent ?? cell.textContent])),
		})));
}

/** Wait until a row says what it should; the row. */
export function rowWhere(page, task, test, what) {
	return until(what ?? `a row of ${task}`, async () => {
		const row = (await rows(page)).find((one) => one.task === task);
		return row && test(row) ? row : null;
	});
}

/** "12.3 MiB" in bytes. */
export function bytesOf(text) {
	const [, number, unit] = /^(?:≥ )?([\d.]+) (\w+)/.exec(text) ?? [];
	return Number(number) * 1024 ** ["B", "KiB", "MiB", "GiB"].indexOf(unit);
}
