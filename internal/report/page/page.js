"use strict";
// The table of all groups: a page of rows at a time, so that it stays quick whatever their number is. A live page has it when
// its run has ended.
const showTable = () => {
	const byId = (id) => document.getElementById(id);
	const data = JSON.parse(byId("data").textContent);
	const pageSize = 100;
	const seconds = (ms) => ms === undefined ? "" : (ms / 1000).toFixed(3);
	// Of a row: site, group, outcome, reason, and where it was tried, tries, start and length in ms, worker, status. The
	// verdicts on the mail are a digit a row; there are none where nobody asked for them.
	const name = (r) => (data.sites[r[0]] ? data.sites[r[0]] + "/" : "") + r[1];
	const number = (i) => (r) => r[i] ?? Number.MIN_SAFE_INTEGER; // a start may be below 0
	const columns = [
		{title: data.thing[0].toUpperCase() + data.thing.slice(1), text: name, key: name, head: true},
		{title: "Outcome", text: (r) => data.signs[r[2]] + " " + data.outcomes[r[2]], key: (r) => data.outcomes[r[2]]},
		{title: "Mail", text: (r) => data.mailSigns[r.mail] + " " + data.mails[r.mail], key: (r) => data.mails[r.mail]},
		{title: "Took, s", text: (r) => seconds(r[6]), key: number(6), right: true},
		{title: "Started after, s", text: (r) => seconds(r[5]), key: number(5), right: true},
		{title: "Worker", text: (r) => r[7] ?? "", key: number(7), right: true},
		{title: "Tries", text: (r) => r[4] ?? 0, key: (r) => r[4] ?? 0, right: true},
		{title: "Status", text: (r) => r[8] || "", key: number(8), right: true},
		{title: "Reason", text: (r) => data.reasons[r[3]], key: (r) => data.reasons[r[3]], name: "text"},
	];
	const verdict = byId("verdict");
	if (verdict) data.groups.forEach((r, i) => { r.mail = Number(data.mail[i]); });
	else columns.splice(2, 1);
	const haystack = data.groups.map((r) => (name(r) + "\n" + data.reasons[r[3]]).toLowerCase());
	const search = byId("search"), outcome = byId("outcome"), rows = byId("rows");
	let shown = [], page = 0, sorted = -1, down = false;

	const element = (tag, text) => {
		const e = document.createElement(tag);
		e.textContent = text;
		return e;
	};
	const draw = () => {
		const pages = Math.max(1, Math.ceil(shown.length / pageSize));
		page = Math.min(Math.max(page, 0), pages - 1);
		const body = document.createDocumentFragment();
		for (const i of shown.slice(page * pageSize, (page + 1) * pageSize)) {
			const tr = document.createElement("tr");
			for (const c of columns) {
				const cell = element(c.head ? "th" : "td", c.text(data.groups[i]));
				if (c.head) cell.scope = "row";
				cell.className = c.right ? "n" : c.name ?? "";
				tr.append(cell);
			}
			body.append(tr);
		}
		rows.replaceChildren(body);
		byId("found").textContent = shown.length + " of " + data.groups.length + " " + data.things;
		byId("page").textContent = "page " + (page + 1) + " of " + pages;
		byId("earlier").disabled = page === 0;
		byId("later").disabled = page === pages - 1;
	};
	const sort = () => {
		if (sorted < 0) return;
		const keys = data.groups.map(columns[sorted].key), sign = down ? -1 : 1;
		shown.sort((a, b) => sign * (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : 0) || a - b);
	};
	const filter = () => {
		const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), wanted = outcome.value, mail = verdict?.value ?? "";
		shown = [];
		for (let i = 0; i < haystack.length; i++) {
			if (wanted !== "" && data.groups[i][2] !== Number(wanted)) continue;
			if (mail !== "" && data.groups[i].mail !== Number(mail)) continue;
			if (words.every((w) => haystack[i].includes(w))) shown.push(i);
		}
		page = 0;
		sort();
		draw();
	};

	columns.forEach((c, i) => {
		const th = document.createElement("th"), button = element("button", c.title);
		th.scope = "col";
		if (c.right) th.className = "n";
		button.type = "button";
		button.addEventListener("click", () => {
			down = sorted === i ? !down : Boolean(c.right); // figures: the largest first
			sorted = i;
			for (const other of byId("columns").children) {
				other.removeAttribute("aria-sort");
				other.firstChild.textContent = other.firstChild.textContent.replace(/ [▲▼]$/, "");
			}
			th.setAttribute("aria-sort", down ? "descending" : "ascending");
			button.textContent = c.title + (down ? " ▼" : " ▲");
			page = 0;
			sort();
			draw();
		});
		th.append(button);
		byId("columns").append(th);
	});
	const choices = (select, names, of) => names.forEach((word, i) => {
		if (!data.groups.some((r) => of(r) === i)) return;
		const option = element("option", word);
		option.value = i;
		select.append(option);
	});
	choices(outcome, data.outcomes, (r) => r[2]);
	if (verdict) choices(verdict, data.mails.map((word) => word || "not asked"), (r) => r.mail);
	search.addEventListener("input", filter);
	outcome.addEventListener("change", filter);
	verdict?.addEventListener("change", filter);
	byId("filter").addEventListener("submit", (e) => e.preventDefault());
	byId("earlier").addEventListener("click", () => { page--; draw(); });
	byId("later").addEventListener("click", () => { page++; draw(); });
	for (const button of document.querySelectorAll("button[data-outcome], button[data-mail]")) {
		button.addEventListener("click", () => {
			const {reason = "", outcome: word, mail} = button.dataset;
			search.value = reason;
			outcome.value = word ? data.outcomes.indexOf(word) : "";
			if (verdict) verdict.value = mail ? data.mails.indexOf(mail) : "";
			filter();
			byId("groups").scrollIntoView();
			search.focus({preventScroll: true});
		});
	}
	document.documentElement.classList.add("scripted");
	byId("table").hidden = false;
	filter();
};
if (document.getElementById("data")) showTable();
