import type { EgressRule, NetworkMode, NetworkSpec, Services } from '@opencode-tools/core';
import type { CommandOption } from '../command.ts';
import type { Input } from './input.ts';
import { quoted, usageError } from './usage-error.ts';
import { choice, text } from './values.ts';

/** Options that say what may leave a sandbox. */
export const networkOptions: readonly CommandOption[] = [
  {
    name: 'egress',
    value: text('policy'),
    repeatable: true,
    summary: 'egress policy by name, such as npm, pip, github',
  },
  {
    name: 'allow',
    value: text('host[:port]'),
    repeatable: true,
    summary: 'allow one host; *.domain for those below it',
  },
  {
    name: 'network',
    value: choice('mode', ['fixed-none', 'upgradable']),
    summary: 'no network: for good, or until a policy is set',
  },
];

/** What the options ask for; undefined when there are none. @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` */
export function networkOf(input: Input, services: Services): NetworkSpec | undefined {
  const names = input.list('egress');
  const allowed = input.list('allow');
  const mode = input.get<NetworkMode>('network');
  if (names.length === 0 && allowed.length === 0) return mode === undefined ? undefined : { mode, rules: [] };
  if (mode !== undefined)
    throw usageError(
      '--network cannot be combined with --egress and --allow',
      'Give a policy, or a mode without a network.',
    );
  const { rules } = services.egress.named(names);
  return { mode: 'policy', rules: [...rules, ...allowed.map(ruleFor)] };
}

function ruleFor(allowed: string, index: number): EgressRule {
  const [, host, port] = /^(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?$/.exec(allowed) ?? [];
  if (host === undefined)
    throw usageError(
      `--allow ${quoted(allowed)} is no host`,
      'Give a host, or a host and a port such as example.org:8443.',
    );
  const name = `allow-${index + 1}`;
  return {
    name,
    host: host.replace(/^\[|\]$/g, ''),
    ports: port === undefined ? [443] : [Number(port)],
    methods: [],
    pathPrefixes: [],
  };
}
