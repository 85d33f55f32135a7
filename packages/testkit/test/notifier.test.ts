import {
  type ChainHead,
  type HomeId,
  type LedgerRecord,
  createEventBus,
  linkRecord,
  prepareDraft,
  silentLogger,
} from '@opencode-tools/core';
import { notifierContract, sampleActor } from '../src/index.ts';

const homeId: HomeId = 'hom_00000000000000000000000001';
const genesis: ChainHead = { seq: 0, hash: '0'.repeat(64) };

notifierContract(
  'The event bus',
  (stream, types) => {
    let head = genesis;
    return types.map((type): LedgerRecord => {
      const draft = prepareDraft({ stream, type, actor: sampleActor, puts: [] });
      const record = linkRecord(draft, head, { at: '2026-11-28T09:00:00.000Z', homeId });
      head = { seq: record.seq, hash: record.hash };
      return record;
    });
  },
  () => {
    const bus = createEventBus({
      ledger: { read: async () => [] },
      logger: silentLogger,
      onDeadLetter: async () => undefined,
    });
    return {
      notifier: bus,
      listen: (hears) => void bus.subscribe({ attempts: 2, backoffMs: 0 }, hears),
      settled: async () => bus.drain(),
      close: async () => bus.close(),
    };
  },
);
