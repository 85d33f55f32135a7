import type { ProcessRef, ProcessTable } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';

/** Another process that the table can be asked about. */
export interface OtherProcess {
  readonly reference: ProcessRef;
  /** Ends it, and returns when it is gone. */
  kill(): Promise<void>;
}

/** Says what every `ProcessTable` does. Called at the top level of a test file. */
export function processTableContract(name: string, table: ProcessTable, start: () => Promise<OtherProcess>): void {
  describe(`${name} as a process table`, () => {
    test('has itself as alive, always by the same reference', () => {
      expect(table.isAlive(table.self())).toBe(true);
      expect(table.self()).toEqual(table.self());
    });

    test('has another process as alive until it is killed', async () => {
      const other = await start();
      expect(table.isAlive(other.reference)).toBe(true);
      expect(other.reference).not.toEqual(table.self());
      await other.kill();
      expect(table.isAlive(other.reference)).toBe(false);
    });

    test('takes no other start and no other boot for the same process, and knows nothing of other hosts', () => {
      const self = table.self();
      expect(table.isAlive({ ...self, startedAt: 'another time' })).toBe(false);
      expect(table.isAlive({ ...self, hostId: 'elsewhere' })).toBe(true);
    });
  });
}
