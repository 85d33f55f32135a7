import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { TextEdit } from './files-contract.ts';
import { integerBetween, invalid } from './validate.ts';

const mostEdits = 100;

/**
 * Replaces texts that occur exactly as often as said. Works on bytes, so that whatever is not replaced stays as it is.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming the edit, how often its text occurs, and why it may not be found
 */
export function editText(
  bytes: Uint8Array,
  edits: readonly TextEdit[],
): { readonly bytes: Buffer; readonly replaced: number } {
  if (edits.length === 0 || edits.length > mostEdits)
    throw invalid('edits', `has ${edits.length} entries`, `Give 1 to ${mostEdits} edits.`);
  let text = Buffer.from(bytes).toString('latin1');
  let replaced = 0;
  for (const [index, { oldText, newText, count = 1 }] of edits.entries()) {
    const where = edits.length === 1 ? 'oldText' : `edits[${index}].oldText`;
    const old = asBytes(where, oldText);
    if (old === '') throw invalid(where, 'is empty', 'Give the text to replace; to make a file, write it.');
    if (count !== 'all') integerBetween('count', count, 1, 1_000_000);
    const parts = text.split(old);
    const found = parts.length - 1;
    if (count === 'all' ? found === 0 : found !== count) throw mismatch(where, { text, old, found, count });
    text = parts.join(asBytes('newText', newText));
    replaced += found;
  }
  return { bytes: Buffer.from(text, 'latin1'), replaced };
}

function asBytes(argument: string, text: string): string {
  if (!text.isWellFormed()) throw invalid(argument, 'holds a lone surrogate', 'Give valid Unicode text.');
  return Buffer.from(text, 'utf8').toString('latin1');
}

interface Mismatch {
  readonly text: string;
  readonly old: string;
  readonly found: number;
  readonly count: number | 'all';
}

function mismatch(where: string, { text, old, found, count }: Mismatch): OpencodeToolsError {
  const wanted = count === 'all' ? 'at least once' : count === 1 ? 'once' : `${count} times`;
  const times = found === 0 ? 'does not occur' : found === 1 ? 'occurs once' : `occurs ${found} times`;
  return new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `${where} ${times} in the file, not ${wanted}; nothing was changed`,
    {
      remedy: found === 0 ? hint(text, old) : 'Give more of the text around it, or say the number of places as count.',
      details: { argument: where, found },
    },
  );
}

function hint(text: string, old: string): string {
  const read = 'Read the file again and give the text exactly as it is there.';
  if (text.includes(old.replaceAll('\n', '\r\n'))) return 'The lines of the file end in \\r\\n: give them so.';
  if (text.includes(old.replaceAll('\r\n', '\n'))) return 'The lines of the file end in \\n: give them so.';
  const loose = (value: string): string => value.replaceAll(/\s+/g, ' ').trim();
  if (loose(old) !== '' && loose(text).includes(loose(old))) return `Only white space differs. ${read}`;
  return read;
}
