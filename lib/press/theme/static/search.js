// Search over the index that Sphinx writes (searchindex.js calls Search.setIndex). Words must all occur in a page.
var Search = (() => {
  "use strict";
  const list = () => document.getElementById("search-results");
  const root = document.documentElement.dataset.content_root || "";
  let index = null;

  const pagesWith = (table, word) => {
    const found = new Set();
    for (const [term, where] of Object.entries(table)) {
      if (term === word || (word.length > 2 && term.startsWith(word))) for (const page of [].concat(where)) found.add(page);
    }
    return found;
  };

  function find(query) {
    const stemmer = new Stemmer();
    const words = query.toLowerCase().split(/[^\p{L}\p{N}_]+/u).filter((w) => w && !stopwords.includes(w));
    if (!words.length) return [];
    const scores = new Map();
    words.forEach((raw, i) => {
      const word = stemmer.stemWord(raw);
      const inTitle = new Set([...pagesWith(index.titleterms, word), ...pagesWith(index.titleterms, raw)]);
      const inText = new Set([...pagesWith(index.terms, word), ...pagesWith(index.terms, raw)]);
      for (const page of new Set([...inTitle, ...inText])) {
        const before = scores.get(page);
        if (i && !before) continue;
        scores.set(page, { hits: (before?.hits || 0) + 1, score: (before?.score || 0) + (inTitle.has(page) ? 10 : 0) + (inText.has(page) ? 3 : 0) });
      }
    });
    const stems = words.map((w) => stemmer.stemWord(w));
    return [...scores].filter(([, s]) => s.hits === words.length).map(([page, s]) => {
      const title = index.titles[page];
      const inside = Object.entries(index.alltitles).flatMap(([heading, places]) => places
        .filter(([p, id]) => p === page && id !== null && heading !== title && stems.some((w) => heading.toLowerCase().includes(w)))
        .map(([, id]) => [heading, id]));
      const whole = stems.every((w) => title.toLowerCase().includes(w)) ? 20 : 0;
      return { title, doc: index.docnames[page], inside, score: s.score + whole + inside.length };
    }).sort((a, b) => b.score - a.score || a.title.localeCompare(b.title));
  }

  const plain = (text) => text.replace(/<[^>]+>/g, "").replace(/[\\{}$]/g, "");
  const about = () => JSON.parse(document.getElementById("pages").textContent);

  function show() {
    const query = new URLSearchParams(location.search).get("q") || "";
    for (const input of document.querySelectorAll("input[name=q]")) input.value = query;
    if (!query.trim()) return document.getElementById("q").focus();
    const results = find(query), pages = about();
    document.getElementById("search-count").textContent = results.length
      ? `${results.length} page${results.length > 1 ? "s" : ""} with “${query}”.`
      : `No page with “${query}”. Fewer or shorter words find more.`;
    list().replaceChildren(...results.map(({ title, doc, inside }) => {
      const item = document.createElement("li");
      const link = item.appendChild(document.createElement("a"));
      link.href = `${root}${doc}.html`;
      link.textContent = plain(title);
      if (pages[doc]) item.appendChild(document.createElement("p")).textContent = pages[doc];
      if (inside.length) {
        const places = item.appendChild(document.createElement("ul"));
        for (const [heading, id] of inside.slice(0, 4)) {
          const place = places.appendChild(document.createElement("li")).appendChild(document.createElement("a"));
          place.href = `${root}${doc}.html#${id}`;
          place.textContent = plain(heading);
        }
      }
      return item;
    }));
  }
  return { setIndex(data) { index = data; show(); } };
})();
