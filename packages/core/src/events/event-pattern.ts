import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';

const accepted = /^(?:\*|[a-z]+\.\*|\*\.[a-z_]+|[a-z]+\.[a-z_]+)$/;

/**
 * Makes the test for event types from patterns: `*`, `task.*`, `*.failed`, `execution.completed`. Answers are kept, so that a
 * type is compared with the patterns once.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`
 */
export function typeMatcher(patterns: readonly string[]): (type: string) => boolean {
  for (const pattern of patterns) if (!accepted.test(pattern)) throw badPattern(pattern);
  if (patterns.includes('*')) return () => true;
  const known = new Map<string, boolean>();
  return (type) => {
    const answer = known.get(type);
    if (answer !== undefined) return answer;
    const matches = patterns.some((pattern) => fits(pattern, type));
    known.set(type, matches);
    return matches;
  };
}

function fits(pattern: string, type: string): boolean {
  if (pattern.endsWith('.*')) return type.startsWith(pattern.slice(0, -1));
  if (pattern.startsWith('*.')) return type.endsWith(pattern.slice(1));
  return pattern === type;
}

function badPattern(pattern: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a pattern of event types: ${JSON.stringify(pattern)}`, {
    remedy: 'Give `*`, `task.*`, `*.failed` or a whole type such as `execution.completed`.',
    details: { argument: 'pattern' },
  });
}
