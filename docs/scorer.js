// How results of a search are ordered: as Sphinx does, and functions of the package before methods of the same name.
var Scorer = {
  score: ([docName, title, anchor, descr, score]) =>
    score + (descr && /^keyapi_research\.\w+$/.test(title) ? 5 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
