import { isAbsolute, normalize } from 'node:path/posix';
import { isRecord, jsonOr } from './policies-kind.ts';
import type { ValueKind } from './value-kind.ts';

/** Directories of sandboxes by name of the cache that is there. */
export type ConfiguredCaches = Readonly<Record<string, string>>;

const nameForm = /^[a-z0-9][a-z0-9._-]{0,31}$/;
const usual: ConfiguredCaches = { npm: '/home/agent/.npm', pip: '/home/agent/.cache/pip' };
const taken = ['/', '/home', '/home/agent', '/workspace', '/tmp', '/etc', '/usr', '/bin', '/lib', '/sbin', '/run'];

/** `caches`: where sandboxes have each. `default` is for npm and pip. */
export function caches(): ValueKind<ConfiguredCaches> {
  return {
    accepted:
      'names in lower case, each with an absolute path in the sandbox, such as /home/agent/.cargo/registry; npm and pip may have default',
    schema: {
      type: 'object',
      propertyNames: { pattern: nameForm.source },
      additionalProperties: { type: 'string', pattern: '^(default|/.+)$' },
    },
    parse: parseCaches,
    fromText: jsonOr,
  };
}

function parseCaches(value: unknown): ConfiguredCaches | undefined {
  if (!isRecord(value)) return undefined;
  const found: [string, string][] = [];
  for (const [name, given] of Object.entries(value)) {
    const path = given === 'default' && Object.hasOwn(usual, name) ? usual[name] : given;
    if (!nameForm.test(name) || typeof path !== 'string' || !isUsable(path)) return undefined;
    found.push([name, path]);
  }
  const paths = found.map(([, path]) => `${path}/`);
  const nested = paths.some((path, index) => paths.some((other, at) => at !== index && path.startsWith(other)));
  return nested ? undefined : Object.fromEntries(found);
}

function isUsable(path: string): boolean {
  const plain = isAbsolute(path) && normalize(path) === path && !path.endsWith('/') && !/[,:\0\n]/.test(path);
  return plain && !taken.includes(path) && !path.startsWith('/workspace/') && !path.startsWith('/run/');
}
