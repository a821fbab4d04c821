/* The page of the product's state: it says so when what it shows can't be renewed. */

const stale = document.getElementById("status-stale");
const isOurs = (event) => event.detail.elt.id === "status-parts";

for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(name, (event) => {
    if (isOurs(event)) stale.hidden = false;
  });
}
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.target?.id === "status-parts" && event.detail.shouldSwap) stale.hidden = true;
});
