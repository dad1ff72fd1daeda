// The page in Debian's Chromium, against the real daemon: node run.js PATH_OF_VPO DIRECTORY_FOR_SCREENSHOTS
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";
import { library, ODD } from "./films.js";

const [vpo, shots] = [resolve(process.argv[2] ?? "target/debug/vpo"), resolve(process.argv[3] ?? "target/browser")];
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const home = mkdtempSync(join(tmpdir(), "vpo-browser-"));
const films = join(home, "films"), TOKEN = "correct-horse";
let database = join(home, "library.db");
mkdirSync(shots, { recursive: true });

const faults = [];
function check(is, what) {
  console.log(`${is ? "ok  " : "FAIL"} ${what}`);
  if (!is) faults.push(what);
}

async function until(what, limit, probe) {
  for (const end = Date.now() + limit; Date.now() < end; ) {
    if (await probe().catch(() => false)) return true;
    await new Promise((done) => setTimeout(done, 50));
  }
  check(false, `${what} within ${limit} ms`);
  return false;
}

function serve(variables) {
  const env = { PATH: process.env.PATH, HOME: home, ...variables };
  return spawn(vpo, ["serve", "--port", "0", "--database", database], { env, stdio: ["ignore", "ignore", "inherit"] });
}

async function address(daemon) {
  let found;
  await until("the daemon publishes its address", 20000, async () => {
    const [pid, url] = readFileSync(database + ".lock", "utf8").split("\n");
    found = url;
    return +pid === daemon.pid && url?.startsWith("http://");
  });
  return found;
}

const VIEWS = { overview: "", files: "files", mistake: "files?q=exists(audo)", nothing: "files?q=nothing+like+this", changes: "changes", jobs: "jobs", about: "about" };

/** A page whose console, requests and violations are checked. */
async function open(browser, origin, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (message) => check(false, `console: ${message.text()} at ${page.url()}`));
  page.on("pageerror", (error) => check(false, `error: ${error} at ${page.url()}`));
  page.on("request", (request) => request.url().startsWith(origin) || check(false, `a request to ${request.url()}`));
  page.on("dialog", () => check(false, "a dialog"));
  return page;
}

async function audit(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"] }));
  for (const one of violations) check(false, `axe, ${what}: ${one.id}: ${one.nodes.map((node) => node.html.slice(0, 120)).slice(0, 3).join(" | ")}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  check(wide <= 0, `${what} is as wide as the window`);
}

async function looks(browser, origin) {
  const file = await (await fetch(`${origin}/api/v1/files?limit=1`)).json();
  const views = { ...VIEWS, file: `file/${file.files[0].id}` };
  for (const javaScriptEnabled of [true, false]) {
    for (const colorScheme of ["light", "dark"]) {
      const widest = colorScheme === "light" ? [1920] : [];
      for (const width of javaScriptEnabled ? [360, 768, 1280, ...widest] : [360, 1280]) {
        const page = await open(browser, origin, { javaScriptEnabled, colorScheme, viewport: { width, height: 900 }, reducedMotion: "reduce" });
        for (const [name, path] of Object.entries(views)) {
          const what = `${name}-${colorScheme}-${width}${javaScriptEnabled ? "" : "-plain"}`;
          const answer = await page.goto(`${origin}/${path}`);
          check(answer.ok(), what);
          if (javaScriptEnabled) await audit(page, what);
          if (javaScriptEnabled || width === 1280 && colorScheme === "light") await page.screenshot({ path: join(shots, `${what}.png`), fullPage: width === 1280 && name !== "files" });
        }
        await page.context().close();
      }
    }
  }
}

async function keys(browser, origin) {
  const page = await open(browser, origin, { viewport: { width: 1280, height: 900 } });
  await page.goto(`${origin}/`);
  await page.keyboard.press("Tab");
  check(await page.evaluate(() => document.activeElement.className === "skip"), "the first key leads to the content");
  for (const view of ["Files", "Changes", "Jobs", "About", "Overview"]) {
    const at = () => page.evaluate(() => document.activeElement.textContent);
    for (let pressed = 0; pressed < 12 && (await at()) !== view; pressed++) await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await until(`${view} by keyboard alone`, 5000, () => page.locator(`nav [aria-current]:text-is("${view}")`).isVisible());
  }
  await page.keyboard.press("/");
  await page.keyboard.type("night ferry");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/files?q=night+ferry");
  check(await page.locator("tbody tr").count() > 0, "a search by keyboard alone");
  for (const odd of ODD) {
    await page.goto(`${origin}/files?q=${encodeURIComponent(odd.replace(/[^a-z ]+/g, " ").trim())}`);
    check(await page.locator("tbody tr").count() > 0, `an odd name is found: ${JSON.stringify(odd)}`);
  }
  await page.goto(`${origin}/files?q=${encodeURIComponent("f%FF%FEg")}`);
  check((await page.locator("tbody tr").textContent()).includes("f%FF%FEg.mkv"), "a name that is not UTF-8");
  await page.context().close();
}

async function lost(browser, origin) {
  const page = await open(browser, origin, { viewport: { width: 1280, height: 900 } });
  await page.goto(`${origin}/`);
  renameSync(database, database + ".aside");
  if (await until("the page says that the database is gone", 2500, () => page.locator(".note.bad").isVisible())) {
    check((await page.locator("#live").textContent()).includes("restore a backup"), "and what to do");
    check((await page.textContent("h1")).includes("cannot be read"), "the headline is not that of before");
    await audit(page, "lost");
    await page.screenshot({ path: join(shots, "lost.png") });
  }
  renameSync(database + ".aside", database);
  await until("the page heals", 5000, async () => !(await page.locator(".note.bad").count()) && (await page.textContent("h1")).includes("broken"));
  await page.context().close();
}

async function scanning(browser, origin) {
  const page = await open(browser, origin, { viewport: { width: 1280, height: 900 } });
  await page.goto(`${origin}/`);
  const before = await page.locator(".figures dd").first().textContent();
  library(join(films, "more"), 2000);
  await until("the scan is seen on the page", 20000, () => page.locator("progress").isVisible());
  await audit(page, "scanning");
  await page.screenshot({ path: join(shots, "scanning.png") });
  await until("the figures follow", 60000, async () => (await page.locator(".figures dd").first().textContent()) !== before);
  await page.context().close();
}

/** Pages that are not views: what does not exist, and, of a daemon with a token, the refusal. */
async function others(browser, origin) {
  for (const path of ["none", "no/such/page", "files/", "files?sort=foo"]) {
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${origin}/${path}`);
    check(await page.evaluate(() => document.styleSheets.length === 1), `${path} is styled`);
    await audit(page, path);
    await page.getByRole("link", { name: "Files" }).click();
    check(new URL(page.url()).pathname === "/files", `${path} leads back`);
    await page.context().close();
  }
}

/** A daemon that asks for a token, and has no roots. */
async function guarded(browser, origin) {
  // A browser shows it once its question is cancelled, which Chromium without a window does not do.
  const refused = await fetch(origin, { headers: { accept: "text/html" } });
  const page = await browser.newPage();
  await page.setContent(await refused.text());
  check(refused.status === 401 && (await page.textContent("h1")).includes("access token"), "the refusal");
  await audit(page, "401");
  await page.close();
  const { host } = new URL(origin);
  const known = await open(browser, origin, { httpCredentials: { username: "any", password: TOKEN } });
  await known.goto(`${origin}/`);
  check((await known.textContent("h1")).includes("no root is configured"), "no roots");
  await audit(known, "no-roots");
  await known.context().close();
  // The address holds the password: the script still fetches.
  const inAddress = await (await browser.newContext()).newPage();
  inAddress.on("pageerror", (error) => check(false, `error: ${error}`));
  await inAddress.goto(`http://any:${TOKEN}@${host}/`);
  const answer = await inAddress.waitForResponse((one) => one.url().endsWith("/live"), { timeout: 10000 }).catch(() => undefined);
  check(answer?.status() === 200, "live updates where the address holds the password");
  await inAddress.context().close();
}

async function rebinding(port, hosts, isRefused) {
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--host-resolver-rules=MAP evil.example 127.0.0.1"] });
  const page = await browser.newPage();
  await page.goto(`http://evil.example:${port}/livez`);
  const status = await page.evaluate(() => fetch("/api/v1/files").then((answer) => answer.status));
  check(status === (isRefused ? 421 : 200), `another name for this address, ${hosts}: ${status}`);
  await browser.close();
}

async function main() {
  library(films, 300);
  let daemon = serve({ VPO_SCAN_ROOTS: films });
  const origin = await address(daemon);
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  try {
    await until("the films are recorded", 60000, async () => (await (await fetch(`${origin}/api/v1/library`)).json()).files >= 309);
    await looks(browser, origin);
    await keys(browser, origin);
    await others(browser, origin);
    await lost(browser, origin);
    await scanning(browser, origin);
    await rebinding(new URL(origin).port, "not listed", true);
    daemon.kill();
    await new Promise((done) => daemon.on("exit", done));
    daemon = serve({ VPO_SERVER_HOSTS: "*" });
    await rebinding(new URL(await address(daemon)).port, "every name listed", false);
    daemon.kill();
    await new Promise((done) => daemon.on("exit", done));
    database = join(home, "empty.db");
    daemon = serve({ VPO_SERVER_AUTH_TOKEN: TOKEN });
    await guarded(browser, await address(daemon));
  } finally {
    await browser.close();
    daemon.kill();
    rmSync(home, { recursive: true, force: true });
  }
  console.log(faults.length ? `${faults.length} faults` : "no fault");
  process.exitCode = faults.length ? 1 : 0;
}

await main();
