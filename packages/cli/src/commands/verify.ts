import { type BrokenRecord, type VerifyReport, exitCodeFor } from '@opencode-tools/core';
import type { Command } from '../command.ts';
import { lines, oneLine, plural } from '../render/format.ts';
import type { Style } from '../render/style.ts';

export const verify: Command<VerifyReport> = {
  name: 'verify',
  summary: 'check the ledger of one task, or every ledger of the home; exit code 8 when one is broken',
  parameters: [{ name: 'task', summary: 'full id, short id or unique title (default: all)', optional: true }],
  options: [],
  async run({ input, services, task }) {
    return services.ledger.verify(input.get('task') === undefined ? undefined : await task());
  },
  exitCode: ({ ok }) => (ok ? 0 : exitCodeFor('OCT_LEDGER_BROKEN')),
  render({ ok, chains, records, broken, limit }, style) {
    const checked = `${plural(records, 'record')} in ${plural(chains, 'chain')}`;
    return lines(
      ok ? `${style.good('intact')} ${checked}` : `${style.bad('broken')} ${checked}`,
      ...broken.map((fault) => describeFault(fault, style)),
      style.dim(limit),
    );
  },
};

function describeFault({ stream, seq, fault, expected, found }: BrokenRecord, style: Style): string {
  return lines(
    `${style.bad(fault)} at record ${seq} of ${stream}`,
    `  expected ${oneLine(expected, 200)}`,
    `  found    ${oneLine(found, 200)}`,
  );
}
