/**
 * Makes text fit for one part of a branch name: lower case, letters and digits of any script, single dashes between.
 * Accents are taken off Latin letters.
 *
 * @param maxBytes longest result in UTF-8; it is cut at a dash where one is near
 * @returns empty when the text holds no letter or digit
 */
export function slug(text: string, maxBytes: number): string {
  const plain = text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .normalize('NFC')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-+|-+$/g, '');
  if (Buffer.byteLength(plain) <= maxBytes) return plain;
  const cut = cutBytes(plain, maxBytes);
  const dash = cut.lastIndexOf('-');
  return (dash > cut.length / 2 ? cut.slice(0, dash) : cut).replace(/-+$/, '');
}

function cutBytes(text: string, maxBytes: number): string {
  let kept = '';
  let bytes = 0;
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > maxBytes) break;
    kept += character;
  }
  return kept;
}
