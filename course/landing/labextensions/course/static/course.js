// An extension of JupyterLab, small enough to need no build.
//
// A landing page that is open shows what has been passed meanwhile: `check` writes the page again, and
// JupyterLab looks at a file only when it opens it. So the page is read again when its tab or the browser's
// window comes to the front.
//
// A notebook opened again, without the kernel that made its controls, shows their picture alone and not
// “Error displaying widget: model not found”: that line is the only text that such an output ever holds itself.
// Where the kernel still runs, the picture among the controls takes the place of the one that can no longer
// change (course/reload.py).
//
// A page that was loaded while a cell runs says so once: that cell's output can no longer reach it.
//
// What JupyterLab and its widgets leave out is added: a name for the knob of a slider and for its number, a text
// for a picture, a word where a typed number was moved, colours that can be read, and Escape, which leads from a
// control back to its cell.
//
// nbgrader's button and its dialogs speak English alone; they get the words of course/landing/buttons.*.yaml. The
// button says which cell runs (course/landing/validating.py).
const PAGES = ["START.md", "EMPIEZA.md"]; // as in course/landing/__init__.py
const STYLE = `
  .jp-OutputArea-output.jupyter-widgets:not(:has(*)) { display: none; }
  .jp-OutputArea-child:has(.course-revived) ~ .jp-OutputArea-child:has(.jp-RenderedImage) { display: none; }
  .course-note:empty { display: none; }
  .jp-RenderedHTMLCommon table.course-map tr { background: none !important; }
  .course-map td { overflow-wrap: anywhere; }
  @media (max-width: 1000px) { .course-map td { font-size: 88%; } }
  .jp-RenderedImage img { max-width: 100%; height: auto; }
  body[data-jp-theme-light="true"] .ansi-green-fg { color: #00703a; }
  body[data-jp-theme-light="true"] .ansi-yellow-fg { color: #7a5c00; }
  body[data-jp-theme-light="true"] .ansi-red-fg { color: #b3261e; }
  body[data-jp-theme-light="false"] .ansi-red-fg { color: #ffb4ab; }`;
const SETTLED = 300; // milliseconds after which a slider shows what became of a typed number
const told = new Set(); // notebooks that were looked at since the page was loaded
const SAME = 0.005; // a share: what the rounding of a shown number changes
const VALIDATING = "Validating...";
const A_SECOND = 1000; // milliseconds between two looks at how far Validate is
let buttons = {}; // nbgrader's words by their English
let names = {}; // what JupyterLab tells screen readers in English, by it

function readAgain(widget) {
  const context = widget?.context;
  if (context?.isReady && PAGES.includes(context.path) && !context.model.dirty) {
    context.revert();
  }
}

/** Of a notebook that the page opened as it was loaded: is one of its cells running already? */
async function tellOfRunning(app, widget) {
  const path = widget?.context?.sessionContext && widget.context.path;
  if (!path || told.has(path)) return;
  told.add(path);
  // The server knows at once; the page hears nothing of a kernel that is busy.
  const answer = await fetch(`${wordsOfThePage("baseUrl") ?? "/"}api/sessions`);
  const sessions = answer.ok ? await answer.json() : [];
  const busy = sessions.some((one) => one.path === path && one.kernel?.execution_state === "busy");
  const message = wordsOfThePage("courseStillRunning");
  if (busy && message) {
    app.commands.execute("apputils:notify", { message, type: "warning", options: { autoClose: false } });
  }
}

function nameControls() {
  for (const slider of document.querySelectorAll(".widget-slider")) {
    const name = slider.querySelector(".widget-label")?.textContent;
    for (const part of slider.querySelectorAll(".noUi-handle, .widget-readout")) {
      if (name && part.getAttribute("aria-label") !== name) {
        part.setAttribute("aria-label", name);
        if (part.matches(".widget-readout")) part.setAttribute("role", "textbox");
      }
    }
  }
}

/** The text of a picture is in its output's metadata, where the kernel put it. */
function describePictures(panel) {
  for (const cell of panel?.content?.widgets ?? []) {
    cell.outputArea?.widgets.forEach((output, index) => {
      const image = output.node.querySelector(".jp-RenderedImage img");
      const model = image && cell.outputArea.model.get(index);
      const words = model && (model.metadata["image/png"]?.alt ?? model.data["text/plain"]);
      if (words && image.alt !== words) image.alt = words;
    });
  }
}

/** The picture among the controls: what they say, or the text of the picture whose place it took. */
function describeLive() {
  for (const image of document.querySelectorAll("img.course-live")) {
    const sliders = [...image.parentElement.querySelectorAll(".widget-slider")];
    const told = sliders.map((slider) => ["label", "readout"].map((part) => slider.querySelector(`.widget-${part}`)?.textContent).join(": "));
    const other = image.closest(".jp-OutputArea")?.querySelector(".jp-RenderedImage img")?.alt;
    const words = told.join(", ") || other || "";
    if (image.alt !== words) image.alt = words;
  }
}

/** The words that the server put into the page, by their English. */
function wordsOfThePage(name) {
  return JSON.parse(document.getElementById("jupyter-config-data")?.textContent ?? "{}")[name];
}

function rename(part, words) {
  const own = words[part.getAttribute("aria-label")];
  if (own) part.setAttribute("aria-label", own);
}

function translateButtons(words) {
  for (const root of document.querySelectorAll(".validate-button, .jp-Dialog")) {
    const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const own = words[texts.currentNode.data.trim()];
      if (own) texts.currentNode.data = own;
    }
    for (const part of [root, ...root.querySelectorAll("[title], [aria-label]")]) {
      if (words[part.title]) part.title = words[part.title];
      rename(part, words);
    }
  }
}

/** While a notebook is validated, its button says which cell runs. */
async function tellCell(panel) {
  const label = panel?.node.querySelector(".validate-button .jp-ToolbarButtonComponent-label");
  const busy = (buttons[VALIDATING] ?? VALIDATING).replace(/[.…]+$/, "");
  if (!label?.textContent.startsWith(busy)) return;
  const path = encodeURIComponent(panel.context.path);
  const answer = await fetch(`${wordsOfThePage("baseUrl") ?? "/"}course/validating?path=${path}`);
  const { cell, of } = answer.ok ? await answer.json() : {};
  if (cell && label.textContent.startsWith(busy)) label.textContent = `${busy} ${cell}/${of}`;
}

function complete(app) {
  translateButtons(buttons);
  for (const part of document.querySelectorAll("[aria-label]")) rename(part, names);
  describeLive();
  nameControls();
  describePictures(app.shell.currentWidget);
}

/** Say so where a slider has no position for a typed number. */
function watchTyping(event) {
  const readout = event.target.closest?.(".widget-slider .widget-readout");
  if (!readout || (event.type === "keydown" && event.key !== "Enter")) return;
  const typed = readout.textContent.trim();
  const note = readout.closest(".widget-vbox")?.querySelector(".course-note");
  if (!note) return;
  setTimeout(() => {
    const shown = readout.textContent.trim();
    const moved = Math.abs(Number(typed) - Number(shown)) > SAME * Math.abs(Number(shown));
    if (typed === shown && event.type === "focusout") return;
    note.textContent = moved || Number.isNaN(Number(typed))
      ? note.dataset.words.replace("{typed}", typed).replace("{shown}", shown) : "";
  }, SETTLED);
}

function leaveControl(event) {
  const cell = event.key === "Escape" && event.target.closest?.(".jupyter-widgets") && event.target.closest(".jp-Cell");
  if (!cell) return;
  event.preventDefault();
  event.target.blur();
  (cell.closest(".jp-WindowedPanel-outer") ?? cell.closest(".jp-Notebook") ?? cell).focus();
}

const plugin = {
  id: "course:reopened",
  autoStart: true,
  activate: (app) => {
    app.shell.currentChanged.connect((_, change) => readAgain(change.newValue));
    app.shell.currentChanged.connect((_, change) => tellOfRunning(app, change.newValue));
    app.restored.then(() => tellOfRunning(app, app.shell.currentWidget));
    window.addEventListener("focus", () => readAgain(app.shell.currentWidget));
    document.head.appendChild(document.createElement("style")).textContent = STYLE;
    buttons = wordsOfThePage("courseButtons") ?? {};
    names = wordsOfThePage("courseNames") ?? {};
    setInterval(() => tellCell(app.shell.currentWidget), A_SECOND);
    let due = false;
    new MutationObserver(() => {
      if (due) return;
      due = true;
      setTimeout(() => { due = false; complete(app); }, 100);
    }).observe(document.body, { childList: true, subtree: true });
    document.addEventListener("keydown", watchTyping, true);
    document.addEventListener("focusout", watchTyping, true);
    document.addEventListener("keydown", leaveControl, true);
  },
};

window._JUPYTERLAB ??= {};
window._JUPYTERLAB["course"] = {
  init: () => {},
  get: () => Promise.resolve(() => plugin),
};
