import { idPrefixes, parseId } from '../domain/ids.ts';
import { invalid, oneLine } from './validate.ts';

const pathStep = /(?:^|[\\/])\.\.(?:[\\/]|$)/;

/**
 * Checks what a caller gave to name a task before anything is looked up: a full id, a short id or a title.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for text that is none of them: a malformed id, a path, control characters
 */
export function taskReference(reference: string): string {
  const text = oneLine('task', reference, 200);
  if (pathStep.test(text))
    throw invalid('task', `${JSON.stringify(text)} is a path`, 'Name a task by its id or title.');
  return text.startsWith(`${idPrefixes.task}_`) ? parseId('task', text) : text;
}
