import type { ImportedLedger, ImportedLedgers } from '@opencode-tools/core';
import { integer, text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { plural } from '../render/format.ts';
import { openSource } from './open-source.ts';

export const ledgerExport: Command<{ readonly lines: readonly string[] }> = {
  name: 'ledger export',
  summary: 'write the ledger of a task to stdout, a record per line, for keeping or for another home',
  parameters: [taskParameter],
  options: [],
  async run({ home, task, terminal, json }) {
    const lines: string[] = [];
    for await (const line of home.store.exportLedger(await task())) {
      if (json) lines.push(line);
      else {
        terminal.write(`${line}\n`);
        await terminal.flush();
      }
    }
    return { lines };
  },
  render: () => '',
  json: ({ lines }) => ({ lines: lines.map((line) => JSON.parse(line) as object) }),
};

export const ledgerImport: Command<ImportedLedger | ImportedLedgers> = {
  name: 'ledger import',
  summary: 'take in an exported ledger, whole or not at all; a gap, fork, cut or change is refused',
  parameters: [{ name: 'file', summary: 'what ledger export wrote; - for stdin' }],
  options: [
    {
      name: 'many',
      summary: 'the file has the exports of many tasks, one after the other; ends at the first that does not fit',
    },
  ],
  async run({ home, input, stdin, cwd }) {
    const file = input.text('file');
    const { createInterface } = await import('node:readline');
    const takeIn = async (source: NodeJS.ReadableStream) => {
      const exported = createInterface({ input: source, crlfDelay: Infinity });
      return input.flag('many') ? home.store.importLedgers(exported) : home.store.importLedger(exported);
    };
    if (file === '-') return takeIn(stdin);
    await using source = await openSource(file, cwd, 'opencode-tools ledger export');
    return await takeIn(source.createReadStream({ autoClose: false }));
  },
  render(imported, style) {
    const taken = `${style.good('taken in')} ${plural(imported.added, 'record')}`;
    if ('chains' in imported) return `${taken} of ${plural(imported.chains, 'task')}`;
    const { stream, head } = imported;
    return `${taken} of ${stream}; head ${head.seq} ${head.hash}`;
  },
};

export const ledgerErase: Command<{ readonly erased: readonly number[] }> = {
  name: 'ledger erase',
  summary: 'remove what a record holds, such as a secret; the chain stays whole and says so',
  notes: ['A message goes with its record. Other rows made from it stay: change or delete those by their own verbs.'],
  parameters: [taskParameter],
  options: [
    {
      name: 'record',
      value: integer('number', 1, Number.MAX_SAFE_INTEGER),
      repeatable: true,
      summary: 'number of a record',
    },
    { name: 'reason', value: text('words'), summary: 'why; is recorded' },
  ],
  changes: 'home',
  async run({ home, input, task, call }) {
    const erased = input.list<number>('record');
    if (erased.length > 0) {
      const why = { reason: input.get<string>('reason') ?? '', actor: call.actor };
      await home.store.erasePayloads(await task(), erased, why);
    }
    return { erased };
  },
  render: ({ erased }, style) => `${style.good('erased')} ${plural(erased.length, 'record')}`,
};
