const longestWord = 64;
const mostWordsAsked = 16;
/** At three bytes each, three quarters of what PostgreSQL can hold of one document; beyond that it loses words and says nothing. */
const longestBody = 256 * 1024;
/** How much is shown of a text around the first word that was looked for. */
const [shownBefore, shownInAll] = [60, 240];

/**
 * Brings text into the form that both databases index: words of letters and digits, in lower case, without accents,
 * each once. Doing it here makes them find the same. Of a text with more different words than any real one has, the first
 * are taken.
 */
export function searchBody(...texts: readonly string[]): string {
  const body = [...new Set(wordsOf(texts.join(' ')))].join(' ');
  return body.length <= longestBody ? body : body.slice(0, body.lastIndexOf(' ', longestBody));
}

/** The words of a query, at most 16; each matches words that start with it. */
export function searchWords(text: string): readonly string[] {
  return [...new Set(wordsOf(text))].slice(0, mostWordsAsked);
}

/**
 * Looks for words of a query, as the databases do.
 *
 * @param words as `searchWords` gave them
 * @returns one line of the text, up to 240 characters around the first word that is found; undefined unless the text has all of them
 */
export function excerptWith(words: readonly string[], text: string): string | undefined {
  const found = wordsOf(text);
  if (words.length === 0 || !words.every((word) => found.some((one) => one.startsWith(word)))) return undefined;
  const from = Math.max(0, placeOfFirst(words, text) - shownBefore);
  // Half a character at either end is none.
  const shown = text.slice(from, from + shownInAll).replaceAll(/^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/g, '');
  const line = shown.toWellFormed().replaceAll(/\s+/g, ' ').trim();
  return `${from > 0 ? '…' : ''}${line}${from + shownInAll < text.length ? '…' : ''}`;
}

function placeOfFirst(words: readonly string[], text: string): number {
  for (const { 0: part, index } of text.matchAll(/[\p{L}\p{N}\p{M}]+/gu))
    if (wordsOf(part).some((one) => words.some((word) => one.startsWith(word)))) return index;
  return 0;
}

function wordsOf(text: string): readonly string[] {
  // Marks go before, too: putting a long run of them in order takes as long as the square of it.
  const bare = text.replace(/\p{M}/gu, '').normalize('NFKD');
  const plain = bare.replace(/\p{M}/gu, '').toLowerCase();
  return (plain.match(/[\p{L}\p{N}]+/gu) ?? []).map((word) => word.slice(0, longestWord));
}
