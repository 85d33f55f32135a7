import { constants } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type EgressDecision, type EgressRequest, OpencodeToolsError, printable } from '@opencode-tools/core';
import { shownHost } from './decide.ts';

const fileName = 'egress.jsonl';
const appending = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
const longestPath = 300;
const secretLike = /^(?=.*\d)(?=.*[A-Za-z])[^/]{24,}$/;

/**
 * Appends one decision to `egress.jsonl` as one write, so that lines of several processes never mix. Queries, user names and
 * passwords are left out, and path segments that look like a secret are masked.
 *
 * @throws OpencodeToolsError `OCT_STORE_UNAVAILABLE` when the file cannot be written
 */
export async function appendDecision(
  directory: string,
  at: string,
  request: EgressRequest,
  decision: EgressDecision,
): Promise<void> {
  const { method, path } = request;
  const line = {
    at,
    host: shownHost(request.host),
    port: request.port,
    ...(method === undefined ? {} : { method: printable(method).slice(0, 32) }),
    ...(path === undefined ? {} : { path: redactPath(path) }),
    allowed: decision.allowed,
    rule: decision.rule,
  };
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(join(directory, fileName), `${JSON.stringify(line)}\n`, { flag: appending, mode: 0o600 });
  } catch (cause) {
    throw new OpencodeToolsError('OCT_STORE_UNAVAILABLE', `The egress log in ${directory} cannot be written`, {
      cause,
    });
  }
}

function redactPath(path: string): string {
  const [bare = ''] = path.split(/[?#]/, 1);
  const masked = printable(bare)
    .split('/')
    .map((segment) => (secretLike.test(segment) || segment.includes('@') ? '[redacted]' : segment))
    .join('/');
  return masked.length > longestPath ? `${masked.slice(0, longestPath)}…` : masked;
}
