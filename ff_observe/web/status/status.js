// Keeps the page current: every ten seconds, while it is seen, it takes over what the server renders anew.
"use strict";

const lost = document.getElementById("lost");

async function renew() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    lost.hidden = true;
  } catch (error) {
    if (!lost.hidden) return;
    lost.hidden = false;
    lost.textContent = `The bridge cannot be reached since ${new Date().toLocaleTimeString()} (${error.message}): what follows is older.`;
  }
}

function show(page) {
  document.title = page.title;
  for (const open of document.querySelectorAll("details[open]")) page.getElementById(open.id)?.setAttribute("open", "");
  for (const selector of ["#state", "#status", "footer"]) {
    const [old, now] = [document.querySelector(selector), page.querySelector(selector)];
    old.className = now.className;
    if (old.innerHTML !== now.innerHTML) replaceContent(old, now);
  }
}

function replaceContent(old, now) {
  const focused = old.contains(document.activeElement) ? identity(document.activeElement) : null;
  old.replaceChildren(...now.childNodes);
  const reachable = [...old.querySelectorAll("a, summary, [tabindex]")];
  reachable.find((each) => identity(each) === focused)?.focus({ preventScroll: true });
}

function identity(element) {
  return `${element.tagName} ${element.getAttribute("href") ?? element.closest("[id]").id}`;
}

setInterval(renew, 10_000);
document.addEventListener("visibilitychange", renew);
