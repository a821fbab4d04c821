// Runs in <head> before the first paint, so that neither the theme nor the rail flickers.
(() => {
  "use strict";
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const read = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage is switched off: the defaults stand
    }
  };
  const apply = () => {
    const choice = read("theme") || "auto";
    root.dataset.themeChoice = choice;
    root.dataset.bsTheme = choice === "auto" ? (dark.matches ? "dark" : "light") : choice;
  };
  apply();
  dark.addEventListener("change", apply);
  document.addEventListener("theme:changed", apply);
  if (root.dataset.rail !== "narrow" && read("rail") === "narrow") root.dataset.rail = "narrow";
  root.dataset.shortcuts = read("shortcuts") || "on";
})();
