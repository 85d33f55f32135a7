import { type FileHandle, open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type ImportedLedger, OpencodeToolsError } from '@opencode-tools/core';
import { quoted } from '../arguments/usage-error.ts';
import { integer, text } from '../arguments/values.ts';
import { type Command, taskParameter } from '../command.ts';
import { plural } from '../render/format.ts';

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

export const ledgerImport: Command<ImportedLedger> = {
  name: 'ledger import',
  summary: 'take in an exported ledger, whole or not at all; a gap, fork, cut or change is refused',
  parameters: [{ name: 'file', summary: 'what ledger export wrote; - for stdin' }],
  options: [],
  async run({ home, input, stdin, cwd }) {
    const file = input.text('file');
    const { createInterface } = await import('node:readline');
    const linesOf = (input: NodeJS.ReadableStream) => createInterface({ input, crlfDelay: Infinity });
    if (file === '-') return home.store.importLedger(linesOf(stdin));
    await using source = await openSource(file, cwd);
    return await home.store.importLedger(linesOf(source.createReadStream({ autoClose: false })));
  },
  render: ({ stream, added, head }, style) =>
    `${style.good('taken in')} ${plural(added, 'record')} of ${stream}; head ${head.seq} ${head.hash}`,
};

async function openSource(file: string, cwd: string): Promise<FileHandle> {
  try {
    const source = await open(resolve(cwd, file));
    if ((await source.stat()).isFile()) return source;
    await source.close();
  } catch (cause) {
    throw unreadable(file, cause);
  }
  throw unreadable(file);
}

function unreadable(file: string, cause?: unknown): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The file ${quoted(file)} cannot be read`, {
    remedy: 'Name a file that `opencode-tools ledger export` wrote, or - for standard input.',
    details: { argument: 'file' },
    cause,
  });
}

export const ledgerErase: Command<{ readonly erased: readonly number[] }> = {
  name: 'ledger erase',
  summary: 'remove what a record holds, such as a secret; the chain stays whole and says so',
  notes: ['Rows made from the record stay: change or delete those by their own verbs.'],
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
