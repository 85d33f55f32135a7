import type { EntryType, TreeEntry } from './tree-entry.ts';

export const letters: Readonly<Record<EntryType, string>> = { file: 'f', directory: 'd', symlink: 's', link: 'l' };
const types: Readonly<Record<string, EntryType>> = { f: 'file', d: 'directory', s: 'symlink', l: 'link' };
const special = /[\\\t\n]/;

/** The line of an entry, with its line feed. What has extended attributes has a field more. */
export function encodeLine(entry: TreeEntry): string {
  const { type, mode, uid, gid, mtimeNs, size, digest, path } = entry;
  return `${letters[type]}\t${mode.toString(8)}\t${uid}\t${gid}\t${mtimeNs}\t${size}\t${digest}\t${escapeName(path)}${lineEnd(entry)}`;
}

/** What of a line comes after the path. */
export function lineEnd({ target, attributes }: TreeEntry): string {
  return `\t${escapeName(target)}${attributes ? `\t${attributes}` : ''}\n`;
}

/** The entry of a line of a text. @param end where its line feed is @throws Error when it is none */
export function decodeLine(text: string, from: number, end: number): TreeEntry {
  const type = types[text.charAt(from)];
  const ownerAt = text.indexOf('\t', from + 2) + 1;
  const groupAt = text.indexOf('\t', ownerAt) + 1;
  const timeAt = text.indexOf('\t', groupAt) + 1;
  const sizeAt = text.indexOf('\t', timeAt) + 1;
  const digestAt = text.indexOf('\t', sizeAt) + 1;
  const pathAt = text.indexOf('\t', digestAt) + 1;
  const targetAt = text.indexOf('\t', pathAt) + 1;
  const isInOrder = ownerAt > from && groupAt > ownerAt && timeAt > groupAt && sizeAt > timeAt && digestAt > sizeAt;
  const isWhole = isInOrder && pathAt > digestAt && targetAt > pathAt && targetAt <= end;
  if (type === undefined || !isWhole) throw new Error('Not a line of a manifest');
  const tab = targetAt === end ? -1 : text.indexOf('\t', targetAt);
  const targetEnd = tab === -1 || tab > end ? end : tab;
  const attributes = targetEnd === end ? {} : { attributes: text.slice(targetEnd + 1, end) };
  return {
    path: unescapeName(text.slice(pathAt, targetAt - 1)),
    type,
    mode: Number.parseInt(text.slice(from + 2, ownerAt - 1), 8),
    uid: Number(text.slice(ownerAt, groupAt - 1)),
    gid: Number(text.slice(groupAt, timeAt - 1)),
    mtimeNs: BigInt(text.slice(timeAt, sizeAt - 1)),
    size: Number(text.slice(sizeAt, digestAt - 1)),
    digest: text.slice(digestAt, pathAt - 1),
    target: targetAt === targetEnd ? '' : unescapeName(text.slice(targetAt, targetEnd)),
    ...attributes,
  };
}

/** A name as it is in a line. */
export function escapeName(name: string): string {
  if (!special.test(name)) return name;
  return name.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n');
}

/** A name as it was before it was put into a line. */
export function unescapeName(name: string): string {
  if (!name.includes('\\')) return name;
  return name.replaceAll(/\\([\\tn])/g, (_, letter: string) => ({ t: '\t', n: '\n' })[letter] ?? '\\');
}
