/* Fetches the summary above the list of calls once the list is shown, because the database may need a while for it.
   Without this script, a link in its place leads to the summary. */
document.addEventListener("DOMContentLoaded", async () => {
    "use strict";
    const place = document.querySelector("[data-summary]");
    if (!place) {
        return;
    }
    const state = place.querySelector("[data-state]");
    state.textContent = "…";
    try {
        const response = await fetch(place.dataset.summary, {credentials: "same-origin"});
        const page = new DOMParser().parseFromString(await response.text(), "text/html");
        const summary = response.ok && page.getElementById("call-summary");
        if (!summary) {
            throw new Error(`no summary in the answer: ${response.status}`);
        }
        place.replaceChildren(...summary.childNodes);
    } catch {
        state.textContent = "could not be loaded";
    }
});
