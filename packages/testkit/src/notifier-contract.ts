import type { LedgerRecord, Notifier, RecordType, StreamId } from '@opencode-tools/core';
import { describe, expect, test } from 'vitest';

export interface OpenNotifier {
  readonly notifier: Notifier;
  /** Adds a listener. */
  readonly listen: (hears: (record: LedgerRecord) => void | Promise<void>) => void;
  /** Returns when everything that was published has been heard. */
  readonly settled: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/**
 * Says what every `Notifier` does. Called at the top level of a test file.
 *
 * @param records the first records of a stream, in order
 */
export function notifierContract(
  name: string,
  records: (stream: StreamId, types: readonly RecordType[]) => readonly LedgerRecord[],
  open: () => OpenNotifier,
): void {
  describe(`${name} as a notifier`, () => {
    const [one, other]: readonly StreamId[] = ['tsk_00000000000000000000000001', 'tsk_00000000000000000000000002'];
    const types: readonly RecordType[] = ['task.created', 'note.added', 'todo.added'];

    test('waits for nobody who listens, and tells each stream in its order', async () => {
      const { notifier, listen, settled, close } = open();
      const heard: string[] = [];
      const goesOn = Promise.withResolvers<void>();
      listen(async ({ stream, seq }) => {
        await goesOn.promise;
        heard.push(`${stream}/${seq}`);
      });
      const [first, second] = [records(one ?? 'home', types), records(other ?? 'home', types)];
      expect(notifier.publish([...first.slice(0, 2), ...second])).toBeUndefined();
      notifier.publish(first.slice(2));
      expect(heard).toEqual([]);
      goesOn.resolve();
      await settled();
      for (const stream of [one, other])
        expect(heard.filter((each) => each.startsWith(String(stream)))).toEqual(
          [1, 2, 3].map((seq) => `${stream}/${seq}`),
        );
      await close();
    });

    test('throws nothing of a listener at who publishes, and tells the others', async () => {
      const { notifier, listen, settled, close } = open();
      const heard: number[] = [];
      listen(() => {
        throw new Error('never');
      });
      listen(async () => Promise.reject(new Error('never either')));
      listen(({ seq }) => void heard.push(seq));
      notifier.publish(records(one ?? 'home', types));
      await settled();
      expect(heard).toEqual([1, 2, 3]);
      await close();
    });

    test('takes records without anybody listening, and when it is closed', async () => {
      const { notifier, close } = open();
      expect(notifier.publish([])).toBeUndefined();
      expect(notifier.publish(records(one ?? 'home', types))).toBeUndefined();
      await close();
      expect(notifier.publish(records(other ?? 'home', types))).toBeUndefined();
    });
  });
}
