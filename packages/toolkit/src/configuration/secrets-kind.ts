import { isAbsolute } from 'node:path';
import type { SecretSource } from '@opencode-tools/core';
import { isRecord, jsonOr, parseSecret } from './policies-kind.ts';
import type { ValueKind } from './value-kind.ts';

export type ConfiguredSecrets = Readonly<Record<string, SecretSource>>;

const nameForm = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const texts = { type: 'array', items: { type: 'string' } } as const;

/** `secrets`: where the value of each is. A variable and a file may be written as `env:NAME` and `file:/path`. */
export function secrets(): ValueKind<ConfiguredSecrets> {
  return {
    accepted:
      'names of variables, each with env:NAME, file:/path, or {from: env, variable}, {from: file, path} or {from: command, argv}; never a value itself',
    schema: {
      type: 'object',
      propertyNames: { pattern: nameForm.source },
      additionalProperties: {
        anyOf: [
          { type: 'string', pattern: '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$' },
          {
            type: 'object',
            required: ['from'],
            properties: {
              from: { enum: ['env', 'file', 'command'] },
              variable: { type: 'string' },
              path: { type: 'string' },
              argv: texts,
            },
            additionalProperties: false,
          },
        ],
      },
    },
    secret: true,
    parse: parseSecrets,
    fromText: jsonOr,
  };
}

function parseSecrets(value: unknown): ConfiguredSecrets | undefined {
  if (!isRecord(value)) return undefined;
  const found: [string, SecretSource][] = [];
  for (const [name, given] of Object.entries(value)) {
    const source = typeof given === 'string' ? shortForm(given) : isRecord(given) ? parseSecret(given) : undefined;
    if (!nameForm.test(name) || source === undefined) return undefined;
    if (source.from === 'file' && !isAbsolute(source.path)) return undefined;
    found.push([name, source]);
  }
  return Object.fromEntries(found);
}

function shortForm(text: string): SecretSource | undefined {
  const [, from, rest = ''] = /^(env|file):(.+)$/s.exec(text) ?? [];
  if (from === 'env') return nameForm.test(rest) ? { from, variable: rest } : undefined;
  return from === 'file' ? { from, path: rest } : undefined;
}
