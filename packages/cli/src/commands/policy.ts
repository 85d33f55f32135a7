import type { EgressCheck, EgressLogEntry, EgressRule, NetworkChange, NetworkSpec } from '@opencode-tools/core';
import { exitCodeFor } from '@opencode-tools/core';
import { networkOf, networkOptions } from '../arguments/network-options.ts';
import { usageError } from '../arguments/usage-error.ts';
import { integer, text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { lines, oneLine } from '../render/format.ts';
import type { Style } from '../render/style.ts';
import { table } from '../render/table.ts';

export const policyShow: Command<{ readonly network: NetworkSpec }> = {
  name: 'policy show',
  summary: 'show what may leave the sandbox of a task',
  parameters: [taskParameter],
  options: [],
  run: async ({ services, task }) => ({ network: (await services.tasks.get(await task())).sandboxSpec.network }),
  render: ({ network }, style) => renderNetwork(network, style),
};

export const policySet: Command<NetworkChange> = {
  name: 'policy set',
  summary: 'change what may leave the sandbox of a task',
  notes: [
    'Changes live where a policy or the mode upgradable was in force. A container made with fixed-none is saved and made anew: that is refused while commands run in it, unless --end-executions is given.',
  ],
  changes: 'task',
  parameters: [taskParameter],
  options: [
    ...networkOptions,
    { name: 'end-executions', summary: 'end running commands where the container has to be made anew' },
  ],
  async run({ input, services, call, session, task }) {
    const network = networkOf(input, services);
    if (network === undefined) throw usageError('Nothing to set', 'Give --egress, --allow or --network.');
    const endExecutions = input.flag('end-executions');
    return services.egress.set(await task(), { ...session, network, endExecutions }, call);
  },
  render: ({ task, applied }, style) =>
    lines(`${style.good('set')} ${appliedText[applied]}`, renderNetwork(task.sandboxSpec.network, style)),
};

export const policyCheck: Command<EgressCheck> = {
  name: 'policy check',
  summary: 'say whether a task may reach an address; exit code 5 when not',
  parameters: [taskParameter, { name: 'url', summary: 'https://host/path or host:port' }],
  options: [{ name: 'method', value: text('method'), summary: 'HTTP method, for rules that see requests' }],
  async run({ input, services, task }) {
    const method = input.get<string>('method');
    return services.egress.check(await task(), input.text('url'), method === undefined ? {} : { method });
  },
  exitCode: ({ allowed }) => (allowed ? 0 : exitCodeFor('OCT_EGRESS_DENIED')),
  render: ({ allowed, explanation }, style) => (allowed ? style.good(explanation) : style.bad(explanation)),
};

export const policyLog: Command<{ readonly entries: readonly EgressLogEntry[] }> = {
  name: 'policy log',
  summary: 'show what a task asked the egress gateway for',
  parameters: [taskParameter],
  options: [
    { name: 'denied', summary: 'denials only' },
    { name: 'limit', value: integer('count', 1, 10_000), summary: 'newest entries (default: 100)' },
  ],
  async run({ input, services, task }) {
    const limit = input.get<number>('limit') ?? 100;
    return { entries: await services.egress.log(await task(), { limit, deniedOnly: input.flag('denied') }) };
  },
  render({ entries }, style) {
    if (entries.length === 0) return style.dim('Nothing was asked for.');
    return table(
      entries,
      [
        { title: 'TIME', text: ({ at }) => at },
        { title: 'VIA', text: ({ via }) => via },
        { title: 'TARGET', text: targetOf },
        { title: 'RULE', text: ({ rule }) => rule },
        {
          title: 'DECISION',
          text: ({ allowed }) => (allowed ? 'allowed' : 'denied'),
          paint: ({ allowed }) => (allowed ? style.good : style.bad),
        },
      ],
      style,
    );
  },
};

const appliedText: Readonly<Record<NetworkChange['applied'], string>> = {
  live: 'and in force in the running sandbox',
  recreated: 'and the container is made anew, from what was saved, at the next command',
  'at-start': 'for the next start of the sandbox',
};

function targetOf({ method, host, port, path, packets }: EgressLogEntry): string {
  if (packets !== undefined) return `${packets} packets without a route`;
  return oneLine(`${method === undefined ? '' : `${method} `}${host}:${port}${path ?? ''}`, 80);
}

function renderNetwork({ mode, rules }: NetworkSpec, style: Style): string {
  if (mode !== 'policy') return style.dim(`no network (${mode})`);
  if (rules.length === 0) return style.dim('a policy without rules: nothing may leave');
  return table(
    rules,
    [
      { title: 'RULE', text: ({ name }) => name },
      { title: 'HOST', text: ({ host }) => host },
      { title: 'PORTS', text: ({ ports }) => (ports.length === 0 ? '443' : ports.join(',')) },
      { title: 'ONLY', text: onlyOf },
    ],
    style,
  );
}

function onlyOf({ methods, pathPrefixes, terminate, inject = [] }: EgressRule): string {
  const headers = inject.map(({ header }) => header).join(',');
  const parts = [
    methods.join(','),
    pathPrefixes.join(' '),
    terminate === true ? 'terminated' : '',
    headers && `sets ${headers}`,
  ];
  return parts.filter((part) => part !== '').join(' ');
}
