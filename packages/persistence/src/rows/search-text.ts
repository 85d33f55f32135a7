const longestWord = 64;
const mostWordsAsked = 16;

/**
 * Brings text into the form that both databases index: words of letters and digits, in lower case, without accents,
 * each once. Doing it here makes them find the same.
 */
export function searchBody(...texts: readonly string[]): string {
  return [...new Set(wordsOf(texts.join(' ')))].join(' ');
}

/** The words of a query, at most 16; each matches words that start with it. */
export function searchWords(text: string): readonly string[] {
  return [...new Set(wordsOf(text))].slice(0, mostWordsAsked);
}

function wordsOf(text: string): readonly string[] {
  const plain = text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  return (plain.match(/[\p{L}\p{N}]+/gu) ?? []).map((word) => word.slice(0, longestWord));
}
