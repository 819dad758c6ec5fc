/* A pasted text to the words of one command line: as a shell splits it, or a JSON list. */
function split(text) {
  if (/^\s*\[/.test(text)) {
    try {
      const list = JSON.parse(text);
      if (list.every((word) => typeof word === "string")) return list;
    } catch { /* no JSON: a shell's text may begin like that */ }
  }
  const words = [];
  let word = null;
  const pattern = /(\\\r?\n|[\^`][ \t]*\r?\n)|(\s+)|'([^']*)'|"((?:\\[^]|[^"\\])*)"|\\([^])|(#[^\n]*)|([^])/g;
  for (const [, joined, space, single, double, escaped, comment, plain] of text.matchAll(pattern)) {
    if (joined !== undefined) continue;
    if (space !== undefined) { if (word !== null) words.push(word); word = null; continue; }
    if (comment !== undefined && word === null) continue;
    word = (word ?? "") + (single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? comment ?? plain);
  }
  return word === null ? words : [...words, word];
}
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

const isFlag = (word) => /^-{1,2}[A-Za-z]/.test(word);
const isServer = (word) => /(^|[\\/])llama-server(\.exe)?$|llama\.cpp:server[^/]*$/.test(word);
/* The arguments and variables of a pasted text; what stands before the program is not its own. */
function commandLine(text) {
  const all = split(text);
  let start = all.findIndex((word, place) => isServer(word) && !["-a", "--alias"].includes(all[place - 1])) + 1;
  const isVariable = (word) => /^[A-Za-z_]\w*=/.test(word);
  if (!start) {
    while (start < all.length && (isVariable(all[start]) || ["$", "env", "export", "exec", "sudo"].includes(all[start]))) start += 1;
    if (start < all.length && !isFlag(all[start])) start += 1;
  }
  const variables = all.slice(0, start).filter(isVariable).map((word) => [word.slice(0, word.indexOf("=")), word.slice(word.indexOf("=") + 1)]);
  return { words: all.slice(start), variables };
}
