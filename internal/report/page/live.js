"use strict";
// A live page: its server sends the parts that changed, and at last the report of the run that has ended.
(() => {
	const link = document.getElementById("link");
	const say = (text, kind) => {
		if (link.textContent === text) return; // a screen reader says it once
		link.textContent = text;
		link.className = kind;
	};
	link.hidden = false;
	const time = () => new Date().toLocaleTimeString();

	// update makes an element like another, and leaves alone what is the same, so that focus, scroll bars, selections and opened
	// details stay, and little is drawn anew.
	const update = (old, fresh) => {
		if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
		if (old.nodeType !== Node.ELEMENT_NODE) {
			if (old.data !== fresh.data) old.data = fresh.data;
			return;
		}
		for (const {name, value} of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
		for (const {name} of [...old.attributes]) if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
		const from = [...fresh.childNodes], to = [...old.childNodes];
		from.forEach((child, i) => { to[i] ? update(to[i], child) : old.append(child); });
		to.slice(from.length).forEach((child) => child.remove());
	};
	const apply = (parts) => {
		for (const {selector, html} of parts) {
			const old = document.querySelector(selector), made = document.createElement("template");
			made.innerHTML = html;
			if (old) update(old, made.content.firstElementChild);
		}
	};

	const events = new EventSource("events");
	events.addEventListener("update", (e) => {
		const {title, parts} = JSON.parse(e.data);
		document.title = title;
		apply(parts);
		say("This page keeps itself up to date.", "");
	});
	const frame = () => new Promise((drawn) => setTimeout(drawn)); // lets the browser draw and hear its user in between
	events.addEventListener("ended", async (e) => {
		events.close();
		const {title, parts, data} = JSON.parse(e.data);
		document.title = title;
		for (const part of parts) {
			await frame();
			apply([part]);
		}
		await frame();
		if (data) {
			const table = document.createElement("script");
			table.type = "application/json";
			table.id = "data";
			table.textContent = data;
			document.body.append(table);
			showTable();
		}
		say("The run has ended, and this is its report. The program may be gone: keep the page if you need it.", "over");
	});
	events.addEventListener("error", () => {
		say(events.readyState === EventSource.CLOSED
			? "The figures are those of " + time() + ": the program does not serve this page any more. Reload to try again."
			: "The connection was lost at " + time() + ", and the figures are those of then. It is tried again.", "lost");
	});
})();
