"use strict";
// The page is one file for all of its views; what it shows comes from below api/ and from Airflow's own API, with the
// log-in of whoever looks at it. Text only ever goes in as text.

const here = location.pathname.replace(/[^/]*$/, "");
const airflow = here.replace(/worker-tasks\/$/, "");
const view = location.pathname.slice(here.length) || "workers";
const query = new URLSearchParams(location.search);
const main = document.getElementById("main");

// --- the look ------------------------------------------------------------------------------------------------------

function parentRoot() {
  try {
    return window.parent !== window ? window.parent.document.documentElement : null;
  } catch {
    return null;
  }
}

function isDark() {
  const root = parentRoot();
  if (root && (root.classList.contains("dark") || root.classList.contains("light"))) return root.classList.contains("dark");
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") return chosen === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

const onTheme = [];
function applyTheme() {
  document.documentElement.classList.toggle("dark", isDark());
  for (const call of onTheme) call();
}
applyTheme();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
if (parentRoot()) new MutationObserver(applyTheme).observe(parentRoot(), { attributes: true, attributeFilter: ["class"] });

// --- parts ---------------------------------------------------------------------------------------------------------

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

const badge = (text) => (text ? el("span", { class: `badge ${text}` }, text) : "");
const note = (text, bad = false) => el("p", { class: bad ? "note bad" : "note", role: bad ? "alert" : "status" }, text);

function seconds(value) {
  if (value === null || value === undefined) return "";
  const whole = Math.round(value);
  if (whole < 60) return value < 10 ? `${value.toFixed(1)} s` : `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

const bytes = (value) => (value ? `${Math.round(value / 2 ** 20)} MiB` : "");

function table(titles, rows) {
  const cells = (row) => row.map((cell, index) => {
    const { value, num } = cell && cell.value !== undefined && !(cell instanceof Node) ? cell : { value: cell };
    const filled = Array.isArray(value) ? value : [value];
    const isEmpty = filled.every((item) => item === null || item === undefined || item === "");
    return el("td", { "data-label": titles[index], class: num ? "num" : null }, isEmpty ? [] : el("span", {}, ...filled));
  });
  return el("div", { class: "wrap" }, el("table", {},
    el("thead", {}, el("tr", {}, ...titles.map((title) => el("th", { scope: "col" }, title)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row))))));
}

// A link to Airflow itself leaves the frame that this page is in.
function toAirflow(path, ...text) {
  const href = airflow + path;
  return el("a", { href, onclick: (event) => {
    const root = parentRoot();
    if (!root || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const anchor = root.ownerDocument.createElement("a");
    anchor.href = href;
    root.ownerDocument.body.append(anchor);
    anchor.click();
    anchor.remove();
  } }, ...text);
}

function taskPath(key) {
  const path = `dags/${encodeURIComponent(key.dag_id)}/runs/${encodeURIComponent(key.run_id)}/tasks/${encodeURIComponent(key.task_id)}`;
  return key.map_index < 0 ? path : `${path}/mapped/${key.map_index}`;
}

function taskCell(key, tryNumber) {
  if (!key) return el("span", { class: "dim" }, "made by hand");
  const name = key.map_index < 0 ? key.task_id : `${key.task_id} [${key.map_index}]`;
  const attempt = tryNumber > 1 ? `, try ${tryNumber}` : "";
  return [toAirflow(taskPath(key), name), el("span", { class: "sub" }, `${key.run_id}${attempt}`)];
}

async function ask(path, options = {}) {
  const response = await fetch(path, { credentials: "same-origin", ...options });
  if (response.ok) return response.status === 204 ? null : response.json();
  let detail = response.statusText;
  try {
    const told = (await response.json()).detail;
    detail = typeof told === "string" ? told : told.map((fault) => `${fault.loc.at(-1)}: ${fault.msg}`).join(", ");
  } catch { /* it is no JSON */ }
  const hints = { 401: "You are not logged in any more. Load the page again to log in.", 403: "You may not see or do this." };
  throw Object.assign(new Error(hints[response.status] ?? `${detail} (${response.status})`), { status: response.status });
}

function show(...parts) {
  main.replaceChildren(...parts.flat().filter(Boolean));
}

function confirmed(title, text, yes) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-yes").textContent = yes;
  return new Promise((resolve) => {
    const end = (answer) => () => { dialog.close(); resolve(answer); };
    document.getElementById("ask-yes").onclick = end(true);
    document.getElementById("ask-no").onclick = end(false);
    dialog.oncancel = () => resolve(false);
    dialog.showModal();
  });
}

function copyLine(title, text) {
  const button = el("button", { type: "button", "aria-label": `Copy: ${title}`, onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch { // not on an address that browsers call secure
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } }, "Copy");
  const code = el("code", {}, text);
  return [el("div", { class: "dim" }, title), el("div", { class: "copy" }, code, button)];
}

// --- views ---------------------------------------------------------------------------------------------------------

let wanted = "";
let last = null;

async function workers(message = null) {
  let found;
  try {
    found = await ask("api/workers");
  } catch (error) {
    const isRefused = error.status === 401 || error.status === 403; // what was shown before is nobody's business now
    if (!last || message || isRefused) show(note(error.message, true));
    return;
  }
  last = found;
  drawWorkers(message);
}

function drawWorkers(message = null) {
  const order = ["orphaned", "running", "starting", "kept", "ending"];
  const text = (row) => JSON.stringify([row.name, row.node, row.place, row.key, row.status]).toLowerCase();
  const rows = last.workers
    .filter((row) => text(row).includes(wanted.toLowerCase()))
    .sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status) || (a.age ?? 0) - (b.age ?? 0));
  const counts = order.map((status) => [status, last.workers.filter((row) => row.status === status).length]).filter(([, count]) => count);
  const search = el("input", { type: "search", placeholder: "DAG, task, node, worker…", "aria-label": "Filter", value: wanted,
    oninput: (event) => { wanted = event.target.value; drawWorkers(); const again = main.querySelector("input"); again.focus(); again.setSelectionRange(wanted.length, wanted.length); } });
  show(
    message,
    last.notes.map((told) => note(told)),
    el("div", { class: "bar" }, search, ...counts.map(([status, count]) => badge(status) && el("span", { class: `badge ${status}` }, `${count} ${status}`)),
      el("span", { class: "grow" }), el("button", { type: "button", onclick: () => workers() }, "Refresh")),
    rows.length
      ? table(["Status", "Worker", "DAG", "Task", "Node", "Age", "Memory", ""], rows.map(workerRow))
      : el("p", { class: "empty" }, last.workers.length ? "No worker fits." : "No worker runs or is kept."),
    el("p", { class: "hint" }, `Workers of running tasks are shown wherever they run. Kept local workers are those of the machine of this API server, ${last.host}`,
      last.folder ? [", in ", el("span", { class: "mono" }, last.folder), "."] : ".", " You see what belongs to DAGs that you may see."),
  );
}

function workerRow(row) {
  const memory = [bytes(row.memory), row.limit ? (row.backend === "local" ? row.limit : `at most ${row.limit}`) : ""].filter(Boolean);
  const age = row.left !== null ? [seconds(row.age), el("span", { class: "sub" }, `kept for ${seconds(row.left)} more`)] : seconds(row.age);
  return [
    [badge(row.status), row.reason ? el("span", { class: "sub" }, row.reason) : ""],
    [el("span", { class: "mono" }, row.name), el("span", { class: "sub" }, row.place)],
    row.key ? toAirflow(`dags/${encodeURIComponent(row.key.dag_id)}`, row.key.dag_id) : "",
    taskCell(row.key, row.try_number),
    row.node,
    { value: age, num: true },
    { value: memory.length ? [memory[0], memory[1] ? el("span", { class: "sub" }, memory[1]) : ""] : "", num: true },
    row.action ? el("button", { type: "button", class: "danger", onclick: () => end(row) }, row.action === "fail" ? "End task" : "Terminate") : "",
  ];
}

async function end(row) {
  const fails = row.action === "fail";
  const text = fails
    ? `Airflow marks ${row.key.task_id} as failed, without trying it again, and ends its worker.`
    : `Its processes and its files are removed: ${row.place}.`;
  if (!(await confirmed(`${fails ? "End the task of" : "Terminate"} ${row.name}?`, text, fails ? "End task" : "Terminate"))) return;
  try {
    if (fails) {
      const mapped = row.key.map_index < 0 ? "" : `/${row.key.map_index}`;
      const path = `api/v2/dags/${encodeURIComponent(row.key.dag_id)}/dagRuns/${encodeURIComponent(row.key.run_id)}/taskInstances/${encodeURIComponent(row.key.task_id)}${mapped}`;
      await ask(airflow + path, { method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ new_state: "failed" }) });
    } else {
      await ask("api/workers/terminate", { method: "POST", headers: { "Content-Type": "application/json", "X-Worker-Tasks": "page" },
        body: JSON.stringify({ name: row.name, backend: row.backend, uid: row.uid }) });
    }
    await workers(note(fails ? `${row.key.task_id} is marked as failed; its worker ends within seconds.` : `${row.name} is gone.`));
  } catch (error) {
    await workers(note(error.message, true));
  }
}

function about() {
  return { dag_id: query.get("dag_id") ?? "", run_id: query.get("run_id") ?? "", task_id: query.get("task_id") ?? "", map_index: Number(query.get("map_index") ?? -1) };
}

function facts(pairs) {
  return el("dl", {}, ...pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, ...[value].flat())]));
}

async function worker() {
  const key = about();
  const found = await ask(`api/worker?${new URLSearchParams(key)}`);
  const { worker: told, outcome } = found;
  const ended = !["running", "deferred", "restarting", "queued", "scheduled"].includes(found.state);
  const head = facts([
    ["Task", [toAirflow(taskPath(key), key.task_id + (key.map_index < 0 ? "" : ` [${key.map_index}]`)), ` of ${key.dag_id}, ${key.run_id}`]],
    ["State", badge(found.state)],
    ["Node", told?.node ?? outcome?.node],
    ["Implementation", outcome?.implementation],
    ["Worker", told ? el("span", { class: "mono" }, told.name) : "none has started"],
    ["Backend", told?.backend],
    ["Size", told?.size],
    ["Failure", outcome?.category && outcome.status === "failure" ? el("a", { href: `failures#${encodeURIComponent(outcome.category)}` }, outcome.category) : ""],
    ["Message", outcome?.message],
    ["Peak memory", bytes(outcome?.peak_memory)],
    ["Time", outcome?.timeline ? Object.entries(outcome.timeline).map(([phase, took]) => `${phase} ${seconds(took)}`).join(", ") : ""],
    ["Python", outcome?.python],
    ["Notebook", found.has_notebook ? el("a", { href: `notebook?${new URLSearchParams(key)}` }, "the executed notebook") : ""],
  ]);
  const parts = [el("h2", {}, "Worker"), head];
  if (told) {
    parts.push(el("h2", {}, "Look into it"));
    if (ended && !told.kept) parts.push(note("The task has ended, and its worker is gone. terminate_on_completion=False in the settings of the worker keeps it."));
    if (told.backend === "local") parts.push(...copyLine(`Its folder, on ${told.host}`, `cd '${String(told.folder).replaceAll("'", "'\\''")}'`));
    for (const [title, line] of Object.entries(found.lines)) parts.push(...copyLine(title, line));
  }
  show(parts);
}

async function notebook() {
  const key = about();
  const frame = el("iframe", { class: "frame", title: "The executed notebook", sandbox: true });
  let theme = "";
  const load = () => {
    const now = isDark() ? "dark" : "light";
    if (now !== theme) frame.src = `notebook/content?${new URLSearchParams({ ...key, theme: now })}`;
    theme = now;
  };
  onTheme.push(load);
  load();
  main.classList.add("full");
  show(el("div", { class: "bar" }, el("b", {}, "Executed notebook of"), toAirflow(taskPath(key), key.task_id + (key.map_index < 0 ? "" : ` [${key.map_index}]`)),
    el("span", { class: "dim" }, `${key.dag_id}, ${key.run_id}`), el("span", { class: "grow" }), el("a", { href: `worker?${new URLSearchParams(key)}` }, "its worker")), frame);
}

const architecture = (node) => (node.architecture === "unknown" ? el("span", { class: "dim" }, "unknown") : node.architecture);

function properties(node) {
  const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
  return Object.entries(node.properties ?? {}).map(([name, value]) => el("span", { class: "property" }, el("span", { class: "dim" }, `${name} `), el("span", { class: "mono" }, text(value))));
}

async function nodes() {
  const chosen = query.get("dag_id") ?? "";
  const options = el("datalist", { id: "dags" });
  const input = el("input", { list: "dags", name: "dag_id", placeholder: "The id of a DAG", "aria-label": "DAG", value: chosen });
  const go = (event) => { event.preventDefault(); if (input.value) location.assign(`nodes?${new URLSearchParams({ dag_id: input.value })}`); };
  input.addEventListener("change", go);
  input.addEventListener("keydown", (event) => { if (event.key === "Enter") go(event); });
  const bar = el("div", { class: "bar" }, el("span", {}, "DAG"), input, options, el("button", { type: "button", onclick: go }, "Show"));
  show(bar);
  const known = ask(`${airflow}api/v2/dags?limit=100&order_by=dag_id`).then((found) => {
    options.replaceChildren(...found.dags.map((dag) => el("option", { value: dag.dag_id })));
  });
  if (!chosen) {
    main.append(el("p", { class: "hint" }, "Choose a DAG to see its nodes, and which of them got which implementation."));
    await Promise.all([known, nodeFile()]);
    return;
  }
  const asked = { dag_id: chosen, ...(query.get("run_id") ? { run_id: query.get("run_id") } : {}) };
  const found = await ask(`api/nodes?${new URLSearchParams(asked)}`);
  const when = found.run_id ? ["Run ", toAirflow(`dags/${encodeURIComponent(chosen)}/runs/${encodeURIComponent(found.run_id)}`, found.run_id)] : ["It has not run yet."];
  main.append(el("h2", {}, "Tasks"), el("p", { class: "hint" }, ...when));
  main.append(found.tasks.length
    ? table(["Node", "Task", "Implementation", "State", "Time", "Peak memory", "Worker"], found.tasks.map((row) => [
      row.node ?? el("span", { class: "dim" }, "none"),
      row.map_index < 0 ? row.task_id : `${row.task_id} [${row.map_index}]`,
      row.implementation ? el("span", { class: "mono" }, row.implementation) : el("span", { class: "dim" }, "known when it runs"),
      [badge(row.state), row.category && row.state === "failed" ? [" ", el("a", { href: `failures#${row.category}` }, row.category)] : ""].flat(),
      { value: seconds(row.seconds), num: true },
      { value: bytes(row.memory), num: true },
      row.worker && found.run_id ? el("a", { class: "mono", href: `worker?${new URLSearchParams({ dag_id: chosen, run_id: found.run_id, task_id: row.task_id, map_index: row.map_index })}` }, row.worker) : "",
    ]))
    : el("p", { class: "empty" }, "No task of this DAG runs in a worker."));
  if (found.nodes.length) {
    main.append(el("h2", {}, "Nodes"), table(["Name", "Architecture", "Properties"], found.nodes.map((node) => [
      node.name, architecture(node), properties(node),
    ])), el("p", { class: "hint" }, "The nodes as the DAG holds them: what it took from its node file when Airflow last read it."));
  }
  await known;
}

async function nodeFile() {
  main.append(el("h2", {}, "The node file"));
  let found;
  try {
    found = await ask("api/node-file");
  } catch (error) {
    main.append(error.status === 403 ? el("p", { class: "empty" }, "It belongs to no DAG: who may see the tasks of all DAGs sees it.") : note(error.message, true));
    return;
  }
  if (!found.path) {
    main.append(el("p", { class: "empty" }, "No node file is configured. ", el("span", { class: "mono" }, "[worker_tasks] node_file"), " in Airflow's configuration names the one that is shown here."));
    return;
  }
  main.append(el("p", { class: "hint" }, el("span", { class: "mono" }, found.path)), ...found.notes.map((told) => note(told, true)));
  if (found.nodes.length) {
    main.append(table(["Name", "Architecture", "Workers", "Properties"], found.nodes.map((node) => [
      node.up_to ? [`${node.name}-…`, el("span", { class: "sub" }, `as many as are asked for, numbered, at most ${node.up_to}`)] : node.name,
      architecture(node),
      [node.fault ? el("span", { class: "fault" }, node.fault) : node.backend ?? "",
        node.kubernetes_conn_id ? el("span", { class: "sub" }, `connection ${node.kubernetes_conn_id}`) : "",
        node.namespace ? el("span", { class: "sub" }, `namespace ${node.namespace}`) : "",
        node.worker ? el("span", { class: "sub" }, node.worker) : ""],
      properties(node),
    ])));
    if (found.more) main.append(note(`And ${found.more} more, which are not shown.`));
  } else if (!found.notes.length) main.append(el("p", { class: "empty" }, "The file holds no nodes."));
}

async function failures() {
  const found = await ask("api/failures"); // the package's own documentation
  const holder = el("article", { class: "doc" });
  holder.innerHTML = found.html;
  show(holder);
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target) location.replace(location.hash);
}

// --- start ---------------------------------------------------------------------------------------------------------

const views = { workers, worker, notebook, nodes, failures };
for (const link of document.querySelectorAll("nav a")) {
  if (link.dataset.page === view || (link.dataset.page === "workers" && view === "worker")) link.setAttribute("aria-current", "page");
}
const isShown = document.body.dataset.refused === undefined; // else the page says why
if (isShown) (views[view] ?? workers)().catch((error) => show(note(error.message, true)));
if (isShown && view === "workers") setInterval(() => { if (!document.hidden && !document.getElementById("ask").open && document.activeElement?.type !== "search") workers(); }, 5000);
