"use strict";

/* One box ticks all rows of its form. */
for (const all of document.querySelectorAll("[data-tick-all]")) {
  all.addEventListener("change", () => {
    for (const one of all.form.querySelectorAll('input[name="id"]')) one.checked = all.checked;
  });
}

/* Where there is room, a filter is open. */
if (window.matchMedia("(min-width: 768px)").matches) {
  for (const fold of document.querySelectorAll("details.pp-fold")) fold.open = true;
}

/* A replay is followed until nothing more can change; a new state, or a new failure, shows the whole page anew. */
const replay = document.querySelector("[data-replay]");
if (replay) {
  const show = (told) => {
    for (const place of replay.querySelectorAll("[data-told]")) place.textContent = told[place.dataset.told];
    replay.querySelector("[data-bar]").value = told.percent;
  };
  const follow = async () => {
    try {
      const answer = await fetch(replay.dataset.replay, { headers: { Accept: "application/json" } });
      const told = await answer.json();
      if (answer.ok) {
        const state = replay.querySelector("[data-state]").textContent;
        const failed = replay.querySelector('[data-told="failed"]').textContent;
        const busy = document.activeElement && document.activeElement.name === "note" && document.activeElement.value;
        if (!busy && (told.state !== state || String(told.failed) !== failed || !told.live)) {
          window.location.reload();
          return;
        }
        show(told);
      }
    } catch {
      replay.querySelector('[data-told="why"]').textContent = "This page cannot reach Flower; it goes on asking.";
    }
    window.setTimeout(follow, 1000);
  };
  window.setTimeout(follow, 1000);
}

/* An editor says at once whether its text is JSON. */
for (const editor of document.querySelectorAll("[data-json]")) {
  const state = editor.form.querySelector("[data-json-state]");
  const look = () => {
    try {
      JSON.parse(editor.value);
      state.textContent = "It is JSON.";
      editor.setCustomValidity("");
      editor.removeAttribute("aria-invalid");
    } catch (error) {
      state.textContent = "It is no JSON: " + error.message;
      editor.setCustomValidity("This is no JSON yet.");
      editor.setAttribute("aria-invalid", "true");
    }
  };
  editor.addEventListener("input", look);
  look();
}
