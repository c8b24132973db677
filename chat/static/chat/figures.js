/* Fetches the figures above the list of calls, which may take the database a while, once the list is there.
   Without it the link in their place leads to them. */
document.addEventListener("DOMContentLoaded", async () => {
    "use strict";
    const place = document.querySelector("[data-figures]");
    if (!place) {
        return;
    }
    const state = place.querySelector("[data-state]");
    state.textContent = "…";
    try {
        const response = await fetch(place.dataset.figures, {credentials: "same-origin"});
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const figures = response.ok && page.getElementById("call-figures");
        if (!figures) {
            throw new Error(`no figures in the answer: ${response.status}`);
        }
        place.replaceChildren(...figures.childNodes);
    } catch {
        state.textContent = "could not be loaded";
    }
});
