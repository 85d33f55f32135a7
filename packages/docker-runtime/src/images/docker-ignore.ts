import { OpencodeToolsError, printable } from '@opencode-tools/core';
import { posix } from 'node:path';

interface Rule {
  readonly form: RegExp;
  readonly keeps: boolean;
}

/**
 * Reads a `.dockerignore` as the docker command does: the last rule that matches a path, or a directory that it is in, decides; `!`
 * takes back in; `**` stands for any number of directories. The file itself and the Dockerfile are always sent.
 *
 * @param sent paths that are sent whatever the file says
 * @returns says of a path below the context, with `/` between its parts, whether it is left out
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for what is no pattern
 */
export function parseDockerIgnore(text: string, sent: readonly string[]): (path: string) => boolean {
  const rules = text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .flatMap(ruleOf);
  return (path) => {
    if (sent.some((kept) => kept === path)) return false;
    const places = withParents(path);
    return rules.reduce((left, { form, keeps }) => (places.some((place) => form.test(place)) ? !keeps : left), false);
  };
}

function ruleOf(line: string): readonly Rule[] {
  if (line.startsWith('#')) return [];
  const text = line.trim();
  const keeps = text.startsWith('!');
  const pattern = posix.normalize((keeps ? text.slice(1) : text).trim() || '.').replace(/^\/+|\/+$/g, '');
  if (pattern === '' || pattern === '.') return [];
  try {
    return [{ form: new RegExp(`^${formOf(pattern)}$`, 'su'), keeps }];
  } catch (error) {
    throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a pattern in .dockerignore: ${printable(text)}`, {
      details: { argument: 'context' },
      cause: error,
    });
  }
}

/** As Go's `filepath.Match`, with `**` besides. */
function formOf(pattern: string): string {
  return pattern.replaceAll(
    /\*\*\/|\*\*|\*|\?|\[\^?(?:\\.|[^\]\\])+\]|\\(.)|[$()+.^{|}[\]\\/-]/gsu,
    (part, escaped?: string) => {
      if (part === '**/') return '(?:.*/)?';
      if (part === '**') return '.*';
      if (part === '*') return '[^/]*';
      if (part === '?') return '[^/]';
      if (part.length > 1 && part.startsWith('[')) return `(?!/)${classOf(part)}`;
      return literal(escaped ?? part);
    },
  );
}

function classOf(part: string): string {
  return part.replaceAll(/\\(.)/gsu, (_all, escaped: string) => literal(escaped));
}

function literal(character: string): string {
  return /[$()*+.?[\\\]^{|}/-]/.test(character) ? `\\${character}` : character;
}

function withParents(path: string): readonly string[] {
  const parts = path.split('/');
  return parts.map((_part, index) => parts.slice(0, index + 1).join('/'));
}
