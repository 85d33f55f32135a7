import { type EgressDecision, type EgressRequest, printable } from '@opencode-tools/core';
import { shownHost } from './decide.ts';

const longestPath = 300;
const secretLike = /^(?=.*\d)(?=.*[A-Za-z])[^/]{24,}$/;

/** One line of the log. Queries, user names and passwords are left out, and what looks like a secret in a path is masked. */
export function decisionLine(
  at: string,
  request: EgressRequest,
  decision: EgressDecision,
  via: string,
  packets?: number,
): string {
  const { method, path } = request;
  const line = {
    at,
    via,
    host: shownHost(request.host),
    port: request.port,
    ...(method === undefined ? {} : { method: printable(method).slice(0, 32) }),
    ...(path === undefined ? {} : { path: redactPath(path) }),
    ...(packets === undefined ? {} : { packets }),
    allowed: decision.allowed,
    rule: decision.rule,
    ...(decision.allowed ? {} : { explanation: printable(decision.explanation) }),
  };
  return `${JSON.stringify(line)}\n`;
}

function redactPath(path: string): string {
  const [bare = ''] = path.split(/[?#]/, 1);
  const masked = printable(bare)
    .split('/')
    .map((segment) => (secretLike.test(segment) || segment.includes('@') ? '[redacted]' : segment))
    .join('/');
  return masked.length > longestPath ? `${masked.slice(0, longestPath)}…` : masked;
}
