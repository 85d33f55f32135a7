import { type ChainReport, type VerifyReport, exitCodeFor } from '@opencode-tools/core';
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
  render({ ok, chains, records, limit }, style) {
    const checked = `${plural(records, 'record')} in ${plural(chains.length, 'chain')}`;
    return lines(
      ok ? `${style.good('intact')} ${checked}` : `${style.bad('broken')} ${checked}`,
      ...chains.map((chain) => describeFault(chain, style)),
      style.dim(limit),
    );
  },
};

function describeFault({ stream, broken }: ChainReport, style: Style): string {
  if (broken === null) return '';
  return lines(
    `${style.bad(broken.fault)} at record ${broken.seq} of ${stream}`,
    `  expected ${oneLine(broken.expected, 200)}`,
    `  found    ${oneLine(broken.found, 200)}`,
  );
}
