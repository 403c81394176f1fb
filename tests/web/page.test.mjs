// SPDX-License-Identifier: Apache-2.0
// The page in a real browser, against a live observer with real loads.

import assert from "node:assert/strict";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { pathToFileURL } from "node:url";
import {
	Browser, Observer, bytesOf, end, endAll, folder, makeGroup, rowWhere, rows, start, startLoad, tally, unable, until, work,
} from "./harness.mjs";

const MANY = 1000;
/** How long it is calm before the load begins, in seconds: a place on the bar is known to one or two. */
const CALM = 4;
const skip = { skip: unable };

let browser, observer, load, quiet;
// Instants: before the load began, and when it had all its memory.
let calm, busy;

before(async () => {
	if (unable) return;
	load = startLoad();
	quiet = start("sleep", "1800");
	observer = await Observer.start([
		`pid:shop/web=${load.pid}`, `pid:shop/cache=${quiet.pid}`, `pid:idle=${quiet.pid}`, `pid:tests=${process.pid}`,
	]);
	browser = await Browser.start();
	await until("the first samples", async () => (await observer.ask("/api/v1/status")).ticks > 8);
	calm = (await observer.ask("/api/v1/status")).last_tick;
	await until("it has been calm", async () => (await observer.ask("/api/v1/status")).last_tick > calm + CALM);
	work(load);
	let before = 0;
	busy = await until("the load works, and takes no more", async () => {
		const { rss_bytes, time } = await observer.task("shop");
		const steady = rss_bytes > 64 << 20 && rss_bytes === before;
		before = rss_bytes;
		return steady && time + 2;
	});
	await until("it has worked for a while", async () => (await observer.ask("/api/v1/status")).last_tick > busy + 2);
});

after(async () => {
	await browser?.end();
	await endAll();
});

const iso = (seconds) => new Date(seconds * 1000).toISOString();
const open = (path = "/", options = {}) => browser.open(observer.url + path, options);
const attribute = (page, selector, name) => page.getAttribute(selector, name);
const when = (page) => page.textContent(".when");

/** Where on the time bar an instant is: [x, y]. */
async function placeOf(page, seconds) {
	const box = await page.locator(".track").boundingBox();
	const [least, most] = await Promise.all(
		["aria-valuemin", "aria-valuemax"].map(async (name) => Number(await attribute(page, ".track", name))));
	return [box.x + ((seconds - least) / (most - least)) * box.width, box.y + 20];
}

/** The instant in the address; null: live. */
const addressAt = (page) => {
	const at = new URL(page.url()).searchParams.get("at");
	return at === null ? null : Date.parse(at) / 1000;
};

test("it shows the tasks, and the present goes on", skip, async () => {
	const page = await open();
	await rowWhere(page, "shop", (row) => row.memory !== "–");
	const first = await when(page);
	assert.deepEqual((await rows(page)).map(({ task }) => task).sort(), ["idle", "shop", "tests"]);
	assert.equal(await attribute(page, ".live", "aria-pressed"), "true");
	await until("the time goes on", async () => (await when(page)) !== first);
	assert.equal(addressAt(page), null);
	await page.close();
});

test("figures on the page are those of the API", skip, async () => {
	const at = busy;
	const page = await open(`/?at=${iso(at)}`);
	for (const id of ["shop", "idle", "tests"]) {
		const task = await observer.task(id, at);
		const row = await rowWhere(page, id, ({ wait }) => wait !== "–");
		assert.ok(Math.abs(bytesOf(row.memory) / task.rss_bytes - 1) < 0.01, `${row.memory} ${task.rss_bytes}`);
		assert.equal(row.pids, String(task.pids));
		const cores = row.cpu === "<0.01" ? 0.0025 : Number(row.cpu);
		assert.ok(Math.abs(cores - task.cpu_rate) < 0.006, `${row.cpu} ${task.cpu_rate}`);
		assert.equal(row.disk, "–");
		assert.equal(task.disk_bytes, null);
	}
	await page.close();
});

test("the time bar goes back to before a load began, and forth to the present", skip, async () => {
	const page = await open();
	const now = await rowWhere(page, "shop", ({ memory }) => bytesOf(memory) > 64 << 20);
	await until("the bar reaches back", async () => Number(await attribute(page, ".track", "aria-valuemin")) <= calm);

	await page.mouse.move(...(await placeOf(page, busy)));
	await page.mouse.down();
	const [x, y] = await placeOf(page, calm);
	await page.mouse.move(x + 4, y, { steps: 5 });
	await page.mouse.move(x, y);
	await page.mouse.up();

	const at = await until("the address has the instant", () => {
		const told = addressAt(page);
		return told !== null && Math.abs(told - calm) < 2 && told;
	});
	const task = await observer.task("shop", at);
	const then = await rowWhere(page, "shop", ({ memory }) => Math.abs(bytesOf(memory) / task.rss_bytes - 1) < 0.01,
		"the page shows the past");
	assert.ok(bytesOf(then.memory) < bytesOf(now.memory) / 2, `${then.memory} then, ${now.memory} now`);

	await page.click(".live");
	await rowWhere(page, "shop", ({ memory }) => bytesOf(memory) > 64 << 20, "the page is live again");
	await until("the address is live again", () => addressAt(page) === null);
	await page.close();
});

test("a link to an instant reopens it", skip, async () => {
	const page = await open();
	await rowWhere(page, "shop", ({ memory }) => memory !== "–");
	await page.mouse.click(...(await placeOf(page, calm)));
	const before = await rowWhere(page, "shop", ({ memory }) => bytesOf(memory) < 64 << 20);
	const link = await until("the address has the instant", () => addressAt(page) && page.url());

	const other = await browser.open(link);
	const after = await rowWhere(other, "shop", ({ memory }) => bytesOf(memory) < 64 << 20);
	await until("its curve is drawn", () => other.$eval(".rows .spark .line", (line) =>
		line.getTotalLength() > 10));
	assert.equal(after.memory, before.memory);
	assert.equal(await when(other), await when(page));
	await other.waitForTimeout(1500);
	assert.equal((await rows(other)).find(({ task }) => task === "shop").memory, before.memory, "it stays there");
	await Promise.all([page.close(), other.close()]);
});

test("the keyboard steps through time, and L comes back", skip, async () => {
	const page = await open();
	await rowWhere(page, "shop", ({ memory }) => memory !== "–");
	await page.keyboard.press("ArrowLeft");
	const first = await until("a step back", () => addressAt(page));
	for (let i = 0; i < 4; i++) await page.keyboard.press("ArrowLeft");
	const second = await until("more steps back", () => addressAt(page) < first - 0.5 && addressAt(page));
	await page.keyboard.press("ArrowRight");
	await until("a step forth", () => addressAt(page) > second);
	await page.keyboard.press("l");
	await until("live", () => addressAt(page) === null);
	await page.focus(".track");
	await page.keyboard.press("Home");
	await until("the beginning", () => addressAt(page) !== null && addressAt(page) < calm);
	assert.match(await attribute(page, ".track", "aria-valuetext"), /ago/);
	await page.keyboard.press("End");
	await until("the end", () => addressAt(page) === null);
	await page.close();
});

test("it sorts by a column, up and down, and filters", skip, async () => {
	const page = await open();
	await rowWhere(page, "shop", ({ memory }) => memory !== "–");
	const order = async () => (await rows(page)).map(({ task }) => task).join(" ");
	const task = ".head [data-column=task]";

	await page.click(`${task} button`);
	await until("by name", async () => (await order()) === "idle shop tests");
	assert.equal(await attribute(page, task, "aria-sort"), "ascending");
	await page.click(`${task} button`);
	await until("by name, downwards", async () => (await order()) === "tests shop idle");
	await page.click(".head [data-column=memory] button");
	await until("by memory", async () => {
		const sizes = (await rows(page)).map(({ memory }) => bytesOf(memory));
		return sizes.length === 3 && sizes.every((size, i) => i === 0 || size <= sizes[i - 1] * 1.01);
	});
	await page.keyboard.press("/");
	await page.keyboard.type("cache");
	await until("only those with such a process", async () => (await order()) === "shop");
	await until("the address has it", () => page.url().includes("filter=cache"));
	await page.fill("input[type=search]", "no such task");
	await page.getByText("No task matches").waitFor();
	await page.click("text=Show all tasks");
	await until("all again", async () => (await rows(page)).length === 3);
	await page.close();
});

test("a task is opened by keyboard; its legend is what the API says of the instant", skip, async () => {
	const at = busy;
	const page = await open(`/?at=${iso(at)}`);
	await rowWhere(page, "shop", ({ memory }) => memory !== "–");
	await page.keyboard.press("ArrowDown");
	for (let i = 0; i < 3 && (await page.evaluate(() => document.activeElement.textContent)) !== "shop"; i++)
		await page.keyboard.press("ArrowDown");
	await page.keyboard.press("Enter");
	await page.getByRole("heading", { name: "shop" }).waitFor();

	const task = await observer.task("shop", at);
	const legend = (chart) => page.$$eval(`[data-chart=${chart}] .legend li`, (items) =>
		items.map((item) => [item.querySelector(".name").textContent, item.querySelector(".value").textContent]));
	const memory = await until("the charts are there", async () => {
		const found = Object.fromEntries(await legend("memory"));
		return found.private && found.private !== "–" ? found : null;
	});
	assert.ok(Math.abs(bytesOf(memory.private) / (task.rss_bytes - task.shared_bytes) - 1) < 0.01, memory.private);
	assert.ok(Math.abs(bytesOf(memory.shared) / task.shared_bytes - 1) < 0.01, memory.shared);
	assert.deepEqual((await legend("cpu")).map(([name]) => name), ["user", "system", "wait"]);

	await page.keyboard.press("p");
	const parts = await until("stacked by process", async () => {
		const found = await legend("memory");
		return found.length === 2 && found.every(([, value]) => value !== "–") ? Object.fromEntries(found) : null;
	});
	for (const { process, rss_bytes } of task.processes)
		assert.ok(Math.abs(bytesOf(parts[process]) / rss_bytes - 1) < 0.01, `${process} ${parts[process]}`);
	await until("the address has it, too", () => page.url().includes("by=process"));
	assert.deepEqual(await page.$$eval("tbody th", (cells) => cells.map((cell) => cell.textContent)), ["web", "cache"]);
	await page.keyboard.press("Escape");
	await until("all tasks again", async () => (await rows(page)).length === 3);
	assert.ok(addressAt(page) !== null, "and still of that instant");
	await page.goBack();
	await page.getByRole("heading", { name: "shop" }).waitFor();
	await page.close();
});

/** The chart's drawing area, in pixels of the page. */
const plotOf = async (page, chart) => page.locator(`[data-chart=${chart}] .u-over`).boundingBox();

test("charts are drawn, their cursors go together, and dragging zooms into all of them", skip, async () => {
	const page = await open("/?task=shop");
	await page.locator("[data-chart=cpu] .u-over").waitFor();
	await until("something is drawn", () =>
		page.$eval("[data-chart=memory] canvas", (canvas) => {
			const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
			const seen = new Set();
			for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) seen.add(`${data[i]} ${data[i + 1]} ${data[i + 2]}`);
			return seen.size > 5;
		}));

	const cpu = await plotOf(page, "cpu");
	await page.mouse.move(cpu.x + cpu.width * 0.5, cpu.y + 60);
	await page.mouse.move(cpu.x + cpu.width * 0.6, cpu.y + 60);
	const times = await until("all charts tell the time under the cursor", async () => {
		const found = await page.$$eval(".chart-when", (all) => all.map((one) => one.textContent));
		return found.every((text) => text) ? found : null;
	});
	assert.equal(new Set(times).size, 1, times.join());

	await page.mouse.down();
	await page.mouse.move(cpu.x + cpu.width * 0.9, cpu.y + 60, { steps: 6 });
	await page.mouse.up();
	const query = await until("the address has the stretch", () => {
		const { searchParams } = new URL(page.url());
		return searchParams.has("from") && searchParams;
	});
	const from = Date.parse(query.get("from")) / 1000;
	assert.ok(from < Date.parse(query.get("to")) / 1000);
	await until("the bar has it, too", async () =>
		Math.abs(Number(await attribute(page, ".track", "aria-valuemin")) - from) <= 1);
	await page.click("text=Reset zoom");
	await until("the zoom is gone", () => !page.url().includes("from="));
	await page.keyboard.press("+");
	await until("the keyboard zooms, too", () => page.url().includes("from="));
	await page.close();
});

test("why a figure is absent is told on hovering and on focus", skip, async () => {
	const { missing } = await observer.task("shop");
	const page = await open();
	await rowWhere(page, "shop", ({ memory }) => memory !== "–");
	const dash = page.locator(".rows .c-disk .absent").first();
	assert.match(await dash.getAttribute("aria-label"), /^not known: /);
	await dash.hover();
	await until("the reason is shown", async () => (await page.textContent(".tooltip")) === missing.disk_bytes);
	assert.ok(await page.isVisible(".tooltip"));
	await page.mouse.move(5, 5);
	await until("it goes away", () => page.isHidden(".tooltip"));
	await dash.focus();
	await until("it is shown on focus", () => page.isVisible(".tooltip"));
	await page.close();
});

test("a task that is a cgroup has its memory, limits and pressure", skip, async (t) => {
	const group = makeGroup();
	if (!group) return t.skip("no cgroup can be made here");
	try {
		const child = group.start("/usr/bin/python3", "-c", "import time\nheld = bytearray(24 << 20)\nwhile True:\n  end = time.process_time() + .05\n  while time.process_time() < end: pass\n  time.sleep(.05)");
		const one = await Observer.start([`cgroup:${group.name}`, `pid:idle=${quiet.pid}`]);
		const page = await browser.open(`${one.url}/?task=${encodeURIComponent(group.name)}`);
		const task = await until("it was sampled", async () => {
			const found = await one.task(group.name);
			return found?.cpu_rate > 0 && found;
		});
		const facts = async () => Object.fromEntries(await page.$$eval("header .facts div", (all) =>
			all.map((fact) => [fact.querySelector("dt").textContent, fact.querySelector("dd").textContent])));
		const seen = [];
		if (task.memory_peak_bytes !== null) {
			await until("its peak", async () => bytesOf((await facts())["memory at most"] ?? "") > 16 << 20);
			await page.locator("[data-chart=memory] .name", { hasText: "working set" }).waitFor();
			seen.push("memory");
		}
		if (task.memory_limit_bytes !== null) {
			assert.equal(bytesOf((await facts())["memory limit"]), task.memory_limit_bytes);
			await page.locator("[data-chart=memory] .name", { hasText: "limit" }).waitFor();
			seen.push("limit");
		}
		if (task.cpu_pressure_seconds !== null) {
			await page.locator("[data-chart=pressure] .u-over").waitFor();
			await until("its pressure", async () => / %$/.test(await page.textContent("[data-chart=pressure] .value")));
			seen.push("pressure");
		}
		t.diagnostic(`this kernel tells of a cgroup: ${seen.join(", ") || "nothing"}`);
		await page.goto(`${one.url}/?task=idle`);
		await page.locator("[data-chart=pids] .u-over").waitFor();
		assert.ok(await page.isHidden("[data-chart=pressure]"), "what is no cgroup has no such chart");
		await page.close();
		await end(one.child);
		await end(child, "SIGKILL");
	} finally {
		await group.remove();
	}
});

const darkness = (page) => page.evaluate(() => {
	const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\d+/g).map(Number);
	return r + g + b < 200;
});

test("it is dark where the system is, or where somebody says so, and remembers that", skip, async () => {
	const dark = await open("/", { dark: true });
	assert.equal(await darkness(dark), true);
	await dark.close();
	const page = await open();
	assert.equal(await darkness(page), false);
	await page.click("#theme");
	assert.equal(await darkness(page), true);
	await page.reload();
	await rowWhere(page, "shop", () => true);
	assert.equal(await darkness(page), true);
	await page.close();
});

test("it fits into 360 pixels", skip, async () => {
	for (const path of ["/", "/?task=shop"]) {
		const page = await open(path, { width: 360, height: 740 });
		if (path === "/") await rowWhere(page, "shop", ({ memory }) => memory !== "–");
		else await page.locator("[data-chart=cpu] .u-over").waitFor();
		const wide = await page.evaluate(() => document.documentElement.scrollWidth);
		assert.ok(wide <= 360, `${path} is ${wide} wide`);
		if (path === "/") {
			const cut = await page.$$eval(".rows .c-memory, .rows .c-cpu", (cells) =>
				cells.filter((cell) => cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.textContent));
			assert.deepEqual(cut, []);
		}
		await page.close();
	}
});

test("axe-core finds nothing serious", skip, async () => {
	for (const path of ["/", "/?task=shop&by=process"]) {
		const page = await open(path);
		if (path === "/") await rowWhere(page, "shop", ({ memory }) => memory !== "–");
		else await page.locator("[data-chart=pids] .u-over").waitFor();
		assert.deepEqual(await browser.axe(page), [], path);
		await page.emulateMedia({ colorScheme: "dark" });
		await until("it is dark", () => darkness(page));
		assert.deepEqual(await browser.axe(page), [], `${path}, dark`);
		await page.setViewportSize({ width: 360, height: 740 });
		assert.deepEqual(await browser.axe(page), [], `${path}, narrow`);
		if (path === "/") {
			await page.keyboard.press("?");
			await page.getByRole("heading", { name: "Keys" }).waitFor();
			assert.deepEqual(await browser.axe(page), [], "the keys");
		}
		await page.close();
	}
});

test("an instant at which nothing ran says so, and the way back", skip, async () => {
	const page = await open(`/?at=${iso(calm - 86400)}`);
	await page.getByText("Nothing ran at").waitFor();
	await page.click("text=Back to the present");
	await rowWhere(page, "shop", ({ memory }) => memory !== "–");
	await page.close();
});

test("a task that is not known says so", skip, async () => {
	const page = await open("/?task=no-such-task", { forgive: /404/ });
	await page.getByText("The observer knows no task no-such-task").waitFor();
	await page.click("text=← All tasks");
	await rowWhere(page, "shop", ({ memory }) => memory !== "–");
	await page.close();
});

test("an observer without tasks says what to do", skip, async () => {
	const alone = await Observer.start([`thermos:${folder()}`]);
	const page = await browser.open(alone.url);
	await page.getByText("No task yet").waitFor();
	await page.getByText("tally observe --source").first().waitFor();
	assert.deepEqual(await browser.axe(page), []);
	await page.close();
	await end(alone.child);
});

test("it says when figures are old, and goes on by itself when the observer is back", skip, async () => {
	const one = await Observer.start([`pid:idle=${quiet.pid}`]);
	const page = await browser.open(one.url, { forgive: /ERR_|Failed to load/ });
	await rowWhere(page, "idle", ({ memory }) => memory !== "–");
	assert.ok(await page.isHidden("#alarm"));

	await end(one.child);
	await page.locator("#alarm", { hasText: "No answer from the observer" }).waitFor();
	assert.match(await page.textContent("#alarm"), /The newest figures are of/);
	assert.ok(await page.isVisible(".rows .row"), "the last figures stay");

	const again = await Observer.start([`pid:idle=${quiet.pid}`], { port: one.port, home: one.home });
	await page.locator("#alarm").waitFor({ state: "hidden" });
	await until("it is live", async () => (await page.textContent(".rest")) === "live");
	await page.close();
	await end(again.child);
});

test("of a thousand tasks only the rows that are seen are in the document", skip, async (t) => {
	const name = (i) => `task-${String(i).padStart(4, "0")}`;
	const sources = Array.from({ length: MANY }, (_, i) => `pid:${name(i)}=${quiet.pid}`);
	const many = await Observer.start(sources, { interval: "1s" });
	const page = await browser.open(`${many.url}/?sort=task`);
	await until("the first row", async () => (await rows(page))[0]?.task === "task-0000");
	await until("it counts them", async () => (await page.textContent(".found")) === `${MANY.toLocaleString("en")} tasks`);
	const most = () => page.$$eval(".rows > .row", (all) => all.length);
	assert.ok((await most()) < 60, `${await most()} rows`);
	assert.equal(await attribute(page, ".tasks", "aria-rowcount"), String(MANY + 1));

	load.kill("SIGSTOP"); // The rate shall not tell of the loads of other tests.
	const { frames, seconds, rowsMost } = await page.evaluate(async () => {
		const height = document.documentElement.scrollHeight - innerHeight;
		const begun = performance.now();
		let [frames, rowsMost] = [0, 0];
		while (performance.now() - begun < 3000) {
			scrollTo(0, (height * (performance.now() - begun)) / 3000);
			await new Promise(requestAnimationFrame);
			frames++;
			if (frames % 10 === 1) rowsMost = Math.max(rowsMost, document.querySelectorAll(".rows > .row").length);
		}
		scrollTo(0, height);
		return { frames, seconds: (performance.now() - begun) / 1000, rowsMost };
	});
	load.kill("SIGCONT");
	t.diagnostic(`scrolled ${MANY} tasks at ${(frames / seconds).toFixed(0)} frames a second, at most ${rowsMost} rows`);
	assert.ok(rowsMost < 60, `${rowsMost} rows while scrolling`);
	await until("the last row", async () => (await rows(page)).at(-1)?.task === name(MANY - 1));
	await page.keyboard.press("/");
	await page.keyboard.type("0777");
	await until("one is found", async () => (await rows(page)).map(({ task }) => task).join() === "task-0777");
	await page.close();
	await end(many.child);
});

const REPORT_CHARTS = ["CPU", "Memory", "I/O", "Disk", "Processes"];

async function checkReport(path, name) {
	const page = await browser.open(pathToFileURL(path).href);
	await page.getByRole("heading", { name, exact: true }).waitFor();
	assert.deepEqual(await page.$$eval(".chart:not([hidden]) h3", (all) => all.map((one) => one.textContent)), REPORT_CHARTS);
	await page.locator("[data-chart=memory] .u-over").waitFor();
	for (const colorScheme of ["light", "dark"]) {
		await page.emulateMedia({ colorScheme });
		assert.deepEqual(await browser.axe(page), [], colorScheme);
	}
	return page;
}

test("tally run --report writes a page that opens from disk, with its figures", skip, async () => {
	const home = folder();
	const [html, json, svg] = ["r.html", "r.json", "r.svg"].map((name) => join(home, name));
	tally("run", "--quiet", "--interval", "50ms", "--collector", "procfs", "--name", "</script><b>x", "--report", html,
		"--json", json, "--svg", svg, "--", "/bin/sh", "-c",
		"/usr/bin/python3 -c 'import time; held = bytearray(48 << 20); time.sleep(0.6)'");
	const page = await checkReport(html, "</script><b>x");
	const facts = await page.textContent("header .facts");
	assert.match(await page.textContent(".badge"), /exit 0/);
	assert.match(facts, /procfs/);
	assert.match(await page.textContent(".command"), /held = bytearray/);
	assert.match(await page.textContent(".absences"), /pss_bytes/);
	const tile = await page.textContent(".tile:nth-child(3) .figure");
	assert.ok(bytesOf(tile) > 48 << 20, tile);
	const picture = await browser.open(pathToFileURL(svg).href);
	assert.match(await picture.textContent("title"), /exit 0 after/);
	await Promise.all([page.close(), picture.close()]);
});

test("tally report writes the same of a task in a store", skip, async () => {
	const html = join(folder(), "r.html");
	tally("report", "shop", "--store", observer.store, "--since", String(calm - 2), "--until", String(busy), "--output", html);
	const page = await checkReport(html, "shop");
	assert.deepEqual(await page.$$eval("tbody th", (all) => all.map((one) => one.textContent)), ["web", "cache"]);
	await page.click("text=By process");
	await until("stacked by process", async () =>
		(await page.$$eval("[data-chart=memory] .legend .name", (all) => all.map((one) => one.textContent).join())) === "web,cache");
	await page.close();
});

test("no page complained, broke its policy or asked another host", skip, () => {
	assert.deepEqual(browser.complaints, []);
});
