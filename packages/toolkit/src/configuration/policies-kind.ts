import type { EgressRule, HeaderInjection, SecretSource } from '@opencode-tools/core';
import type { ValueKind } from './value-kind.ts';

/** Egress policies by name, as the configuration has them. */
export type ConfiguredPolicies = Readonly<Record<string, readonly EgressRule[]>>;

const policyName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/;
const texts = { type: 'array', items: { type: 'string' } } as const;
const secret = {
  type: 'object',
  required: ['from'],
  properties: {
    from: { enum: ['env', 'file', 'command'] },
    variable: { type: 'string' },
    path: { type: 'string' },
    argv: texts,
    prefix: { type: 'string' },
  },
  additionalProperties: false,
} as const;
const rule = {
  type: 'object',
  required: ['host'],
  properties: {
    name: { type: 'string' },
    host: { type: 'string' },
    ports: { type: 'array', items: { type: 'integer', minimum: 1, maximum: 65_535 } },
    methods: texts,
    paths: texts,
    terminate: { type: 'boolean' },
    inject: { type: 'object', additionalProperties: secret },
  },
  additionalProperties: false,
} as const;

/** `policies`: a list of rules per name. A rule is a host, or a host with what is allowed there. */
export function policies(): ValueKind<ConfiguredPolicies> {
  return {
    accepted:
      'names with lists of rules, each a host such as example.org or *.example.org, or {host, ports, methods, paths, terminate, inject}',
    schema: {
      type: 'object',
      additionalProperties: { type: 'array', items: { anyOf: [{ type: 'string' }, rule] } },
    },
    secret: true,
    parse: parsePolicies,
    fromText: jsonOr,
  };
}

/** Addresses of name servers. */
export function nameServers(): ValueKind<readonly string[]> {
  const form = /^\d{1,3}(\.\d{1,3}){3}(:\d{1,5})?$/;
  return {
    accepted: 'a list of IPv4 addresses, each with a port if it is not 53, such as [192.0.2.53]',
    schema: texts,
    parse: (value) =>
      Array.isArray(value) && value.every((one) => form.test(String(one))) ? value.map(String) : undefined,
    fromText: (given) => given.split(','),
  };
}

function parsePolicies(value: unknown): ConfiguredPolicies | undefined {
  if (!isRecord(value)) return undefined;
  const found: [string, readonly EgressRule[]][] = [];
  for (const [name, list] of Object.entries(value)) {
    if (!policyName.test(name) || !Array.isArray(list)) return undefined;
    const rules = list.map((one: unknown, index) =>
      parseRule(typeof one === 'string' ? { host: one } : one, name, index),
    );
    if (rules.includes(undefined)) return undefined;
    found.push([name, rules as readonly EgressRule[]]);
  }
  return Object.fromEntries(found);
}

const members = ['name', 'host', 'ports', 'methods', 'paths', 'terminate', 'inject'];

function parseRule(value: unknown, policy: string, index: number): EgressRule | undefined {
  if (!isRecord(value) || !Object.keys(value).every((key) => members.includes(key))) return undefined;
  const { name = `${policy}-${index + 1}`, host, ports = [443], methods = [], paths = [], terminate, inject } = value;
  if (typeof name !== 'string' || typeof host !== 'string') return undefined;
  if (!isList(ports, 'number') || !isList(methods, 'string') || !isList(paths, 'string')) return undefined;
  if (terminate !== undefined && typeof terminate !== 'boolean') return undefined;
  const injections = inject === undefined ? undefined : parseInjections(inject);
  if (inject !== undefined && injections === undefined) return undefined;
  return {
    name,
    host,
    ports: ports as readonly number[],
    methods: methods as readonly string[],
    pathPrefixes: paths as readonly string[],
    ...(terminate === undefined ? {} : { terminate }),
    ...(injections === undefined ? {} : { inject: injections }),
  };
}

function parseInjections(value: unknown): readonly HeaderInjection[] | undefined {
  if (!isRecord(value)) return undefined;
  const found: HeaderInjection[] = [];
  for (const [header, given] of Object.entries(value)) {
    if (!isRecord(given)) return undefined;
    const { prefix = '', ...rest } = given;
    const source = parseSecret(rest);
    if (typeof prefix !== 'string' || source === undefined) return undefined;
    found.push({ header: header.toLowerCase(), prefix, secret: source });
  }
  return found;
}

/** Where a secret is, as `SecretSource` has it. */
export function parseSecret(value: Readonly<Record<string, unknown>>): SecretSource | undefined {
  const { from, variable, path, argv } = value;
  if (from === 'env' && typeof variable === 'string') return { from, variable };
  if (from === 'file' && typeof path === 'string') return { from, path };
  if (from === 'command' && isList(argv, 'string')) return { from, argv: argv as readonly string[] };
  return undefined;
}

/** What a text says as JSON; the text itself where it is none. */
export function jsonOr(given: string): unknown {
  try {
    return JSON.parse(given);
  } catch {
    return given;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isList(value: unknown, type: 'string' | 'number'): value is readonly unknown[] {
  return Array.isArray(value) && value.every((one) => typeof one === type);
}
