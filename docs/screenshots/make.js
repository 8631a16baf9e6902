// Makes the pictures of docs/ui.md, in a real Airflow with a run of the DAG worker_pages (tests/live/dags):
//
//     npm install playwright-core
//     node docs/screenshots/make.js http://127.0.0.1:8080 admin PASSWORD RUN_ID [CHROMIUM]
//
// Start the run with {"seconds": 600, "reports": "/tmp/reports"}, so that one of its tasks still runs, and Airflow with
// a node file in [worker_tasks] node_file.
const path = require("path");
const { chromium } = require("playwright-core");

const [base, user, password, run, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const of = `dag_id=worker_pages&run_id=${encodeURIComponent(run)}`;
const ours = "/plugin/worker-tasks/worker-tasks";
const task = `/dags/worker_pages/runs/${encodeURIComponent(run)}/tasks`;

const pictures = [
  ["links.png", "light", 1180, 560, `${task}/fails/details`, (page) => page.getByText("About this failure")],
  ["workers.png", "light", 1180, 420, "/plugin/worker-tasks", (page) => framed(page, "button.danger")],
  ["nodes.png", "light", 1180, 640, `${ours}/nodes?dag_id=worker_pages&run_id=${encodeURIComponent(run)}`, (page) => framed(page, "td")],
  ["node-file.png", "light", 1180, 520, `${ours}/nodes`, (page) => framed(page, "td")],
  ["notebook.png", "dark", 1180, 760, `${ours}/notebook?${of}&task_id=report&map_index=-1`, (page) => page.frameLocator("iframe").frameLocator("iframe").locator("h1").first()],
  ["narrow.png", "dark", 420, 620, "/plugin/worker-tasks", (page) => framed(page, "button.danger")],
];

function framed(page, selector) {
  return page.frameLocator("iframe").locator(selector).first();
}

async function main() {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  for (const [name, colorScheme, width, height, address, ready] of pictures) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme });
    const page = await context.newPage();
    page.setDefaultTimeout(90000);
    await page.goto(`${base}/auth/login/`);
    await page.fill("input[name=username]", user);
    await page.fill("input[name=password]", password);
    await page.click("button[type=submit]");
    await page.getByText("Dags").first().waitFor();
    await page.goto(base + address);
    await ready(page).waitFor();
    await page.waitForLoadState("networkidle").catch(() => {}); // the pages ask again every few seconds
    await page.screenshot({ path: path.join(__dirname, name) });
    await context.close();
  }
  await browser.close();
}

main();
