import { isIP } from 'node:net';
import {
  type EgressRule,
  type NetworkSpec,
  OpencodeToolsError,
  networkModes,
  secretSource,
} from '@opencode-tools/core';
import { normaliseHost } from './host.ts';
import { normalisePath } from './path.ts';

const ruleName = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
/** Names by which the gateway itself decides. */
const decisionNames = [
  'default-deny',
  'no-network',
  'private-address',
  'public-address',
  'name-mismatch',
  'malformed',
  'not-http-or-tls',
  'overloaded',
  'secret-missing',
  'trace',
  'upgrade',
  'timeout',
];
const header = /^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
const closedHeaders = [
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'upgrade',
  'te',
  'trailer',
  'expect',
];
const prefix = /^[ -~]{0,64}$/;
const method = /^[A-Z][A-Z-]{0,31}$/;

/**
 * Checks a network spec from outside before it is stored.
 *
 * @param where how the caller names the spec, for messages; default `network`
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` naming the member and its accepted form
 */
export function validatePolicy(network: NetworkSpec, where = 'network'): void {
  if (!networkModes.includes(network.mode)) {
    throw invalid(`${where}.mode`, network.mode, `Use one of ${networkModes.join(', ')}.`);
  }
  assertList(network.rules, `${where}.rules`);
  if (network.mode !== 'policy' && network.rules.length > 0) {
    throw invalid(`${where}.rules`, network.rules.length, 'Rules need mode "policy"; without it there is no network.');
  }
  const names = new Set<string>();
  for (const [index, rule] of network.rules.entries()) validateRule(rule, `${where}.rules[${index}]`, names);
}

function validateRule(rule: EgressRule, where: string, names: Set<string>): void {
  for (const member of ['name', 'host'] as const)
    if (typeof rule[member] !== 'string') throw invalid(`${where}.${member}`, rule[member], 'Give a text.');
  for (const member of ['ports', 'methods', 'pathPrefixes'] as const) assertList(rule[member], `${where}.${member}`);
  if (!ruleName.test(rule.name) || decisionNames.includes(rule.name)) {
    throw invalid(
      `${where}.name`,
      rule.name,
      `Use 1 to 64 letters, digits, dots and dashes, but not ${decisionNames.join(', ')}.`,
    );
  }
  if (names.has(rule.name)) throw invalid(`${where}.name`, rule.name, 'Each rule needs a name of its own.');
  names.add(rule.name);
  validateHost(rule.host, `${where}.host`);
  for (const port of rule.ports) {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) throw invalid(`${where}.ports`, port, 'Use 1 to 65535.');
  }
  validateInjections(rule, where);
  for (const name of rule.methods) {
    if (!method.test(name)) throw invalid(`${where}.methods`, name, 'Write methods in capitals, such as GET.');
  }
  for (const prefix of rule.pathPrefixes) {
    if (normalisePath(prefix) !== prefix) {
      throw invalid(
        `${where}.pathPrefixes`,
        prefix,
        'Start with a slash; no query, no dot segments, no needless encoding.',
      );
    }
  }
}

/** A header can only be set where the gateway sees requests, and never one by which requests are told apart. */
function validateInjections({ inject, terminate }: EgressRule, where: string): void {
  if (inject === undefined) return;
  if (inject.length > 0 && terminate !== true)
    throw invalid(
      `${where}.inject`,
      inject.length,
      'Headers need terminate: true, which lets the gateway see requests.',
    );
  for (const [index, injection] of inject.entries()) {
    const at = `${where}.inject[${index}]`;
    if (!header.test(injection.header) || closedHeaders.includes(injection.header))
      throw invalid(
        `${at}.header`,
        injection.header,
        `Name a header in lower case, but not ${closedHeaders.join(', ')}.`,
      );
    if (!prefix.test(injection.prefix))
      throw invalid(`${at}.prefix`, injection.prefix, 'Use up to 64 plain characters.');
    secretSource(`${at}.secret`, injection.secret);
  }
}

function validateHost(text: string, where: string): void {
  const isWildcard = text.startsWith('*.');
  const host = normaliseHost(isWildcard ? text.slice(2) : text);
  if (host.kind === 'invalid' || (isWildcard && host.kind === 'address')) {
    throw invalid(where, text, 'Name a host, an address, or *. and a domain, without scheme, port and path.');
  }
  if (host.kind === 'address' && isIP(text.replace(/^\[|\]$/g, '')) === 0) {
    throw invalid(where, text, `Write the address as ${host.name} if it is meant; programs read such names as it.`);
  }
  if (isWildcard && !host.name.includes('.'))
    throw invalid(where, text, 'A wildcard needs a domain of two labels or more.');
}

/** Callers without types leave lists out. */
function assertList(value: unknown, argument: string): void {
  if (!Array.isArray(value)) throw invalid(argument, value, 'Give a list; an empty one for none.');
}

function invalid(argument: string, value: unknown, remedy: string): OpencodeToolsError {
  const shown = (JSON.stringify(value) ?? 'left out').slice(0, 100);
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `${argument} cannot be ${shown}`, {
    remedy,
    details: { argument },
  });
}
