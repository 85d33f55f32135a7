import type { Decision } from '@opencode-tools/core';
import { renderDecisions } from './decisions-file.ts';

/** What a person wrote about one decision. */
interface Entry {
  /** Null for one that the person added. */
  readonly id: string | null;
  readonly what: string;
  readonly why: string;
  readonly alternatives: readonly string[];
}

export interface DecisionEdits {
  readonly changed: readonly Decision[];
  readonly added: readonly Omit<Entry, 'id'>[];
}

const longestWhat = 500;
const longestWhy = 20_000;
const wellFormed = new TextDecoder('utf-8', { fatal: true });
const metaLine = /^\S+ · .* · `(dec_[0-9a-z]+)`$/;

/**
 * Reads what a person changed in `decisions.md`. A mark of byte order and the line ends of another system are no change.
 *
 * @param bytes as they are in the file
 * @returns null when that cannot be told for certain: the text is not UTF-8, an entry is gone or has lost the line with its id, a text is too
 *   long, or a decision has a text that reads as the page's own form
 */
export function readDecisionEdits(bytes: Uint8Array, title: string, known: readonly Decision[]): DecisionEdits | null {
  const text = textOf(bytes);
  const before = parseEntries(renderDecisions(title, known));
  if (before?.length !== known.length || before.some(({ id }, index) => id !== known[index]?.id)) return null;
  const found = text === null ? null : parseEntries(text);
  if (found === null || !found.every(isSound)) return null;
  const ids = found.flatMap(({ id }) => id ?? []);
  if (new Set(ids).size !== ids.length || ids.length !== known.length) return null;
  const changed: Decision[] = [];
  for (const [index, decision] of known.entries()) {
    const entry = found.find(({ id }) => id === decision.id);
    if (entry === undefined) return null;
    const { what, why, alternatives } = entry;
    if (!same(entry, before[index])) changed.push({ ...decision, what, why, alternatives });
  }
  return { changed, added: found.filter(({ id }) => id === null) };
}

function textOf(bytes: Uint8Array): string | null {
  try {
    return wellFormed.decode(bytes).replaceAll('\r\n', '\n');
  } catch {
    return null;
  }
}

function parseEntries(text: string): readonly Entry[] | null {
  const [head = '', ...parts] = text.split(/^## /m);
  if (!head.startsWith('# Decisions')) return null;
  return parts.map(parseEntry);
}

function parseEntry(part: string): Entry {
  const [what = '', ...lines] = part.split('\n');
  const first = lines.findIndex((line) => line.trim() !== '');
  const id = metaLine.exec(lines[first]?.trim() ?? '')?.[1] ?? null;
  const body = id === null ? lines : lines.slice(first + 1);
  const evidence = body.findLastIndex((line) => line.startsWith('Evidence: ['));
  const rest = evidence === -1 ? body : body.slice(0, evidence);
  const heading = rest.findLastIndex((line) => line.trim() === 'Alternatives:');
  const listed = heading === -1 ? [] : rest.slice(heading + 1).filter((line) => line.trim() !== '');
  const isList = listed.length > 0 && listed.every((line) => line.startsWith('- '));
  return {
    id,
    what: what.trim(),
    why: (isList ? rest.slice(0, heading) : rest).join('\n').trim(),
    alternatives: isList ? listed.map((line) => line.slice(2).trim()) : [],
  };
}

function isSound({ what, why, alternatives }: Entry): boolean {
  return (
    what !== '' && what.length <= longestWhat && why.length <= longestWhy && alternatives.every((text) => text !== '')
  );
}

function same(left: Entry, right: Entry | undefined): boolean {
  const told = (entry: Entry | undefined) => JSON.stringify([entry?.what, entry?.why, entry?.alternatives]);
  return told(left) === told(right);
}
